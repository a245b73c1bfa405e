"""The tractor catalogue of a brick: the DR9 columns that fit a simulation, and ``truth_class``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from discovery.simulation.config import BANDS
from discovery.simulation.files.hdf5 import RELEASE
from discovery.simulation.targets import Target

if TYPE_CHECKING:
    from discovery.simulation.draw import Drawn

WISE_EXTINCTION = {"W1": 0.184, "W2": 0.113}
WISE_COLOUR = {"W1": 0.9, "W2": 0.6}
"""Flux relative to z of a nearby galaxy, roughly."""


def tractor_columns(targets: list[Target], drawn: list[Drawn]) -> dict[str, np.ndarray]:
    """Return the columns (N,) of the catalogue, one line an object, by upper-case DR9 names."""
    columns = {
        "RELEASE": np.full(len(targets), RELEASE, "i2"),
        "BRICKID": np.array([target.brick.brickid for target in targets], "i4"),
        "BRICKNAME": np.array([target.brick.name for target in targets], "S8"),
        "OBJID": np.array([target.objid for target in targets], "i4"),
        "BRICK_PRIMARY": np.ones(len(targets), bool),
        "MASKBITS": np.array([stamp.maskbits for stamp in drawn], "i2"),
        "TYPE": np.array([stamp.source_type for stamp in drawn], "S3"),
        "RA": np.array([target.ra_deg for target in targets]),
        "DEC": np.array([target.dec_deg for target in targets]),
        "EBV": np.array([stamp.ebv for stamp in drawn], "f4"),
    }
    for index, band in enumerate(BANDS):
        columns |= _band_columns(drawn, index, band.upper())
    for band, extinction in WISE_EXTINCTION.items():
        flux = np.array([stamp.flux_nmgy[2] for stamp in drawn]) * WISE_COLOUR[band]
        columns[f"FLUX_{band}"] = flux.astype("f4")
        columns[f"FLUX_IVAR_{band}"] = np.full(len(drawn), 1.5, "f4")
        columns[f"MW_TRANSMISSION_{band}"] = 10 ** (-0.4 * extinction * columns["EBV"])
    columns |= _shape_columns(drawn)
    columns["truth_class"] = np.array([target.truth_class for target in targets], "S10")
    return columns


def _band_columns(drawn: list[Drawn], index: int, band: str) -> dict[str, np.ndarray]:
    depth = np.array([stamp.exposure.psfdepth[index] for stamp in drawn])
    in_band = {
        "FLUX": [stamp.flux_nmgy[index] for stamp in drawn],
        "FLUX_IVAR": depth / 4,
        "FIBERFLUX": [stamp.fiberflux_nmgy[index] for stamp in drawn],
        "MW_TRANSMISSION": [stamp.transmission[index] for stamp in drawn],
        "FRACIN": [stamp.fracin[index] for stamp in drawn],
        "PSFSIZE": [stamp.exposure.psfsize_arcsec[index] for stamp in drawn],
        "PSFDEPTH": depth,
        "GALDEPTH": depth * 0.7,
    }
    columns = {f"{name}_{band}": np.array(values, "f4") for name, values in in_band.items()}
    columns[f"NOBS_{band}"] = np.array([stamp.nobs[index] for stamp in drawn], "i2")
    return columns


def _shape_columns(drawn: list[Drawn]) -> dict[str, np.ndarray]:
    """Return half-light radius (arcsec), Sersic index and ellipticity, 0 for point sources."""
    ellipticity = np.array([stamp.shape.ellipticity for stamp in drawn])
    return {
        "SERSIC": np.array([stamp.shape.sersic for stamp in drawn], "f4"),
        "SHAPE_R": np.array([stamp.shape_r_arcsec for stamp in drawn], "f4"),
        "SHAPE_E1": ellipticity[:, 0].astype("f4"),
        "SHAPE_E2": ellipticity[:, 1].astype("f4"),
    }
