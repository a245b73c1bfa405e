"""Quality of a stamp, measured on its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discovery.preprocess import Box, Prepared
from discovery.stamps import Stamp


@dataclass(frozen=True, kw_only=True)
class StampMeasures:
    """What is measured on a stamp beside its embedding."""

    box: Box
    crop_side_arcsec: float | None
    covered_fraction: float
    artefact: bool


def measure_stamp(stamp: Stamp, prepared: Prepared) -> StampMeasures:
    """Measure one stamp."""
    return StampMeasures(
        box=prepared.box,
        crop_side_arcsec=prepared.crop_side_arcsec,
        covered_fraction=float(stamp.covered_fraction),
        artefact=looks_like_artefact(stamp),
    )


def looks_like_artefact(stamp: Stamp) -> bool:
    """Tell whether the stamp's pixels look like an artefact. """
    return False
