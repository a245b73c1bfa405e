"""A few training stamps of each class."""

from __future__ import annotations

import numpy as np

from discovery.errors import ConfigError
from training.data.labels import labels_of
from training.data.stamps import Stamps


def shots(stamps: Stamps, train: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return up to ``size`` training rows of each class, the same for a seed; smaller sizes are parts of larger ones."""
    labels, rng = labels_of(stamps), np.random.default_rng([6, seed])
    drawn = [rng.permutation(train[labels[train] == at])[:size] for at in range(len(stamps.classes))]
    return np.sort(np.concatenate(drawn))


def check_classes(stamps: Stamps, rows: np.ndarray, least: int) -> None:
    """Raise `ConfigError` where there is one class only, or a class has too few training stamps."""
    if len(stamps.classes) < 2:
        raise ConfigError(f"{stamps.name} has {len(stamps.classes)} classes; two are the least.")
    counts = np.bincount(labels_of(stamps)[rows], minlength=len(stamps.classes))
    at = int(counts.argmin())
    if counts[at] < least:
        raise ConfigError(
            f"Class {stamps.classes[at]!r} of {stamps.name} has {counts[at]} training stamps, fewer than {least}; label more, or leave the class out."
        )
