"""What a head has to beat: the constant, and gradient boosting on a catalogue's colours and on the side features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from discovery.errors import ConfigError
from training.finetuning.parameters.apertures import BANDS
from training.finetuning.parameters.data import Objects
from training.finetuning.parameters.targets import Targets, band_flux, numbers

MAGNITUDES = tuple(f"mag_{band}" for band in BANDS)


def catalogue_features(objects: Objects, columns: Sequence[str]) -> tuple[np.ndarray, str] | None:
    """Return the features (N, P) of the catalogue baseline and their name: ``columns``, or g - r, r - z and r.

    None where no columns are named and the catalogue has no magnitudes or fluxes in all of g, r and z.
    """
    if columns:
        return np.stack([numbers(objects.catalogue, name) for name in columns], 1), ", ".join(columns)
    names = {name.lower() for name in objects.catalogue.column_names}
    if not all(f"mag_{band}" in names or band_flux(objects.catalogue, band) is not None for band in BANDS):
        return None
    g, r, z = (numbers(objects.catalogue, name) for name in MAGNITUDES)
    return np.stack([g - r, r - z, r], 1), "g-r, r-z, r"


def picture_features(objects: Objects) -> np.ndarray:
    """Return the mean of each display colour within the crop and the ratios of neighbours: (N, 5)."""
    g, r, z = (np.maximum(plane, 1e-3) for plane in objects.colours.T)
    return np.stack([g, r, z, np.log(g / r), np.log(r / z)], 1)


def holds(target: str, columns: Sequence[str]) -> bool:
    """Return whether a catalogue baseline is given its target: one of its columns, or a magnitude or flux of its bands."""
    if columns:
        return target in columns
    return target in MAGNITUDES or target.lower().startswith("flux_")


def boosted(features: np.ndarray, targets: Targets, trains: np.ndarray, seed: int) -> np.ndarray:
    """Return estimates (N, T) by gradient-boosted trees, fitted for each target to the rows that know it.

    scikit-learn's HistGradientBoostingRegressor with its defaults, except 200 trees at rate 0.05; NaN is a value of its own.
    """
    estimate = np.empty_like(targets.values)
    for index, values in enumerate(targets.values.T):
        rows = trains & np.isfinite(values)
        trees = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, early_stopping=False, random_state=seed)
        estimate[:, index] = trees.fit(features[rows], values[rows]).predict(features)
    return estimate


def constant(targets: Targets, trains: np.ndarray) -> np.ndarray:
    """Return the median of the training values of each target for all objects: (N, T)."""
    if not trains.any():
        raise ConfigError("No object trains.")
    return np.broadcast_to(np.nanmedian(targets.values[trains], axis=0), targets.values.shape)
