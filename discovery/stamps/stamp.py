"""Stamps, and the one interface behind which every survey format is read.

A *stamp* holds the pixels of one object as (3, H, W) float32 with channel 0 = g (blue), 1 = r (green),
2 = z or i (red), whatever the order in the file was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

StampKind = Literal["nmgy", "rgb"]

MIN_SIDE_PIXELS = 8
MAX_SIDE_PIXELS = 4096
MIN_COVERED_FRACTION = 0.5
"""A flux stamp with a band that was observed in less than this fraction of the pixels is `Damaged`."""


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The pixels of one object.

    Attributes
    ----------
    object_id : str
        The survey's own name of the object.
    pixels : numpy.ndarray
        (3, H, W) float32, channels g, r, z (or i). ``kind`` says what the numbers are.
    kind : {"nmgy", "rgb"}
        ``nmgy``: nanomaggies per pixel. ``rgb``: display colours 0..1 (a JPEG divided by 255), the
        planes of the picture in the order B, G, R, so that channel 0 is the bluest band.
    pixel_scale_arcsec : float or None
        Size of a pixel; None when the file does not tell.
    ra_deg, dec_deg : float or None
        ICRS position; None when the file does not tell.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS` that sets the stretch of the rendering.
    covered_fraction : float
        Fraction of the pixels that were observed, in the band with the fewest. Below 1 the stamp is
        partial: at the survey's edge, or with lost pixels.
    """

    object_id: str
    pixels: np.ndarray
    kind: StampKind
    pixel_scale_arcsec: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    survey: str = "legacy"
    covered_fraction: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A stamp that cannot be used: what the report records in its place."""

    object_id: str
    source: str
    """File (and row or member) it was read from, relative to the survey's folder."""
    reason: str


class Survey(Protocol):
    """A set of stamps with a table: what every reader is.

    Positions count from 0 to ``len(survey) - 1`` and are stable for unchanged files. A survey is
    picklable and opens its files on first use in each process.
    """

    format: str
    """Name of the layout, such as ssl-legacysurvey, galaxy10, fits-cutouts, images, bricks or joined."""
    recognised: str
    """One or two sentences for people: what the reader saw (format, objects, bands, columns, scale)."""
    paths: tuple[Path, ...]
    """What was opened, absolute."""

    @property
    def options(self) -> dict[str, Any]:
        """JSON-able keywords with which `discovery.readers.open_survey` opens the same survey again."""
        ...

    def __len__(self) -> int: ...

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return every column that came, one table row a position, for positions start..stop (exclusive).

        Always holds ``object_id`` (string, unique), ``ra`` and ``dec`` (float64 degrees, NULL when
        unknown) and ``source`` (string, the file and row or member), beside the survey's own columns
        under their own names.
        """
        ...

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps at positions start..stop (exclusive), a `Damaged` in place of each bad one."""
        ...
