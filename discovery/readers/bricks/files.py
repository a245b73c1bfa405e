"""Which files belong to which Legacy Survey brick, from their names.

``<region>/coadd/<AAA>/<brick>/legacysurvey-<brick>-<plane>-<band>.fits.fz`` are the coadds,
``<region>/tractor/<AAA>/tractor-<brick>.fits`` and ``<region>/sweep/.../sweep-*.fits`` the catalogues.
Files that lie flat in one folder are of one region.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_COADD = re.compile(r"(?:^|/)legacysurvey-(\d{4}[pm]\d{3})-([a-z]+)(?:-([a-zA-Z]))?\.fits(?:\.fz|\.gz)?$")
_TRACTOR = re.compile(r"(?:^|/)tractor-(\d{4}[pm]\d{3})\.fits(?:\.gz)?$")
_SWEEP = re.compile(r"(?:^|/)sweep-\d{3}[pm]\d{3}-\d{3}[pm]\d{3}[\w-]*\.fits(?:\.gz)?$")
_REGION = re.compile(r"(?:^|.*/)(?=(?:coadd|tractor|sweep)/)")


@dataclass(kw_only=True)
class BrickFiles:
    """The files of one brick, by paths relative to the survey's folder.

    Attributes
    ----------
    region : str
        Folder above ``coadd`` and ``tractor`` (``north/``, ``south/``), or empty.
    brick : str
        Brick name.
    images, invvars : dict
        File of each band.
    tractor : str or None
        Catalogue of the brick.
    """

    region: str
    brick: str
    images: dict[str, str] = field(default_factory=dict)
    invvars: dict[str, str] = field(default_factory=dict)
    tractor: str | None = None

    @property
    def label(self) -> str:
        """Name of the brick in ids and reports."""
        return f"{self.region}{self.brick}"


def is_brick_file(name: str) -> bool:
    """Tell whether a file is a coadd plane, tractor or sweep file of the Legacy Surveys."""
    return bool(_COADD.search(name) or _TRACTOR.search(name) or _SWEEP.search(name))


def sort_bricks(names: Sequence[str]) -> tuple[list[BrickFiles], list[str]]:
    """Return the bricks that have images or a catalogue, in order, and the sweep files.

    Parameters
    ----------
    names : sequence of str
        Relative paths of all files.
    """
    bricks: dict[tuple[str, str], BrickFiles] = {}
    sweeps: list[str] = []
    for name in sorted(names):
        coadd, tractor = _COADD.search(name), _TRACTOR.search(name)
        if coadd and coadd[3] and coadd[2] in ("image", "invvar"):
            files = _files_of(bricks, name, coadd[1])
            (files.images if coadd[2] == "image" else files.invvars)[coadd[3].lower()] = name
        elif tractor:
            _files_of(bricks, name, tractor[1]).tractor = name
        elif _SWEEP.search(name):
            sweeps.append(name)
    found = [bricks[place] for place in sorted(bricks)]
    _adopt_catalogues(found)
    return found, sweeps


def region_of(name: str) -> str:
    """Return the folder above ``coadd``, ``tractor`` or ``sweep`` in a path; empty where there is none."""
    match = _REGION.match(name)
    return match[0] if match else ""


def _adopt_catalogues(bricks: list[BrickFiles]) -> None:
    """Give images without a catalogue the only catalogue of their brick that lies elsewhere."""
    for files in bricks:
        if files.images and files.tractor is None:
            same = [other for other in bricks if other.brick == files.brick]
            elsewhere = [other.tractor for other in same if other.tractor and not other.images]
            files.tractor = elsewhere[0] if len(elsewhere) == 1 else None


def _files_of(bricks: dict[tuple[str, str], BrickFiles], name: str, brick: str) -> BrickFiles:
    region = region_of(name)
    return bricks.setdefault((region, brick), BrickFiles(region=region, brick=brick))
