"""Legacy Survey bricks: stamps cut out of coadds at the positions of tractor or sweep catalogues.

Objects are read brick by brick, so that at most one brick's planes are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.errors import StampError, SurveyError
from discovery.files.containers import Folder, OpenFiles
from discovery.readers.bricks.catalogue_files import CatalogueFile
from discovery.readers.bricks.coadds import BrickImages
from discovery.readers.bricks.files import BrickFiles, region_of, sort_bricks
from discovery.readers.bricks.selection import CatalogueColumns, usual_selection
from discovery.readers.fits_cutouts import BAND_CHOICES
from discovery.readers.pixel_checks import check_coverage
from discovery.stamps.stamp import Damaged, Stamp
from discovery.tables.columns import conform, kept_names, merged_types, required_columns
from discovery.tables.reader import fits_columns

FEW_STAMPS = 4
"""Up to so many stamps of a brick are cut from its compressed tiles, more from its decoded planes."""
ID_FIELDS = (("release", "brickid", "objid"), ("release", "brickid", "brick_objid"))


@dataclass(frozen=True, kw_only=True)
class BrickObjects:
    """The chosen objects of one brick.

    Attributes
    ----------
    files : BrickFiles
        The brick's files.
    bands : tuple of str
        Bands of the stamps; empty when some are missing.
    catalogue : str
        The catalogue file, relative to the folder.
    rows : numpy.ndarray
        (N,) int64 rows of the catalogue.
    """

    files: BrickFiles
    bands: tuple[str, ...]
    catalogue: str
    rows: np.ndarray


class BrickSurvey:
    """Stamps at catalogue positions in the bricks below a folder.

    Parameters
    ----------
    folder : Folder
        Holds coadds and catalogues in the Legacy Surveys' layout, or flat.
    names : sequence of str
        The brick files in it.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS`.
    select : {"usual", "all"}
        The usual galaxy selection, or every row of the catalogues.
    max_mag : float
        Faintest z magnitude of the usual selection.
    side_pixels : int
        Pixels a side of the stamps.
    ids : {"plain", "brick", "row"} or None
        How ids were made unique by an earlier opening; None checks.

    Raises
    ------
    SurveyError
        There are only images or only catalogues, or a catalogue cannot be read.
    """

    format = "bricks"

    def __init__(
        self,
        folder: Folder,
        names: Sequence[str],
        *,
        survey: str = "legacy",
        select: str = "usual",
        max_mag: float = 20.0,
        side_pixels: int = 152,
        ids: str | None = None,
    ) -> None:
        self._folder = folder
        self._survey = survey
        self._side = side_pixels
        self._catalogues = OpenFiles()
        self._images = OpenFiles(limit=1)
        self._seen: dict[str, None] = {}
        self._unreadable: dict[str, str] = {}
        self._without_objects: list[str] = []
        self._types: dict[str, pa.DataType] = {}
        self._objects = self._choose(names, select, max_mag)
        self._starts = np.cumsum(
            [0, *(max(len(brick.rows), brick.catalogue in self._unreadable) for brick in self._objects)]
        )
        self._kept = kept_names(self._types)
        self._id_style = ids if ids is not None else self._unique_style()
        self.paths: tuple[Path, ...] = (folder.root,)
        self.recognised = self._describe()
        self.options: dict[str, Any] = {"ids": {self.format: self._id_style}}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def table(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return every column of the catalogues (see `Survey.table`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        parts = [self._empty_table()]
        for brick, first, last in self._spans(start, stop):
            if brick.catalogue in self._unreadable:
                required = required_columns([brick.files.label], None, None, [brick.catalogue])
                parts.append(conform(pa.table(required), self._schema()))
            else:
                parts.append(self._table_part(brick, first, last))
        return pa.concat_tables(parts)

    def read(self, start: int, stop: int) -> Sequence[Stamp | Damaged]:
        """Return the stamps at positions start..stop (see `Survey.read`)."""
        start, stop, _ = slice(start, stop).indices(len(self))
        found: list[Stamp | Damaged] = []
        for brick, first, last in self._spans(start, stop):
            if reason := self._unreadable.get(brick.catalogue):
                found.append(Damaged(object_id=brick.files.label, source=brick.catalogue, reason=reason))
            else:
                found += self._read_part(brick, first, last)
        return found

    def _read_part(self, brick: BrickObjects, first: int, last: int) -> list[Stamp | Damaged]:
        records = self._records(brick, first, last)
        columns = CatalogueColumns(records)
        names = self._names(brick, records, brick.rows[first:last])
        ra_deg, dec_deg = (np.asarray(columns.get(axis), np.float64) for axis in ("ra", "dec"))
        try:
            with self._images.lock:
                cuts = self._cut(brick, ra_deg, dec_deg)
        except StampError as error:
            cuts = [error] * len(names)
        sources = [f"{brick.catalogue}:{row}" for row in brick.rows[first:last].tolist()]
        objects = zip(cuts, names, sources, ra_deg.tolist(), dec_deg.tolist(), strict=True)
        return [self._stamp(*of_object, bands=brick.bands) for of_object in objects]

    def _cut(self, brick: BrickObjects, ra_deg: np.ndarray, dec_deg: np.ndarray) -> list[Any]:
        """Return (pixels, covered, scale) or a StampError for each position."""
        if not brick.bands:
            there = " ".join(brick.files.images) or "none"
            raise StampError(
                f"bands are missing: brick {brick.files.label} has images in {there}, needed are g r z"
            )
        images = self._images.get(Path(brick.files.label), lambda _: self._open_images(brick))
        if len(ra_deg) > FEW_STAMPS:
            images.load()
        cuts: list[Any] = []
        for row, column in images.locate(ra_deg, dec_deg).tolist():
            try:
                cuts.append((*images.cut(row, column, self._side), images.pixel_scale_arcsec))
            except StampError as error:
                cuts.append(error)
        return cuts

    def _stamp(
        self, cut: Any, object_id: str, source: str, ra_deg: float, dec_deg: float, *, bands: tuple[str, ...]
    ) -> Stamp | Damaged:
        try:
            if isinstance(cut, StampError):
                raise cut
            pixels, covered, scale = cut
            fraction = check_coverage(covered, pixels, bands)
        except StampError as error:
            return Damaged(object_id=object_id, source=source, reason=str(error))
        return Stamp(
            object_id=object_id,
            pixels=pixels,
            kind="nmgy",
            pixel_scale_arcsec=scale,
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            survey=self._survey,
            covered_fraction=fraction,
        )

    def _open_images(self, brick: BrickObjects) -> BrickImages:
        files, path = brick.files, self._folder.path
        return BrickImages(
            {band: path(files.images[band]) for band in brick.bands},
            {band: path(files.invvars[band]) for band in brick.bands if band in files.invvars},
        )

    def _choose(self, names: Sequence[str], select: str, max_mag: float) -> list[BrickObjects]:
        bricks, sweeps = sort_bricks(names)
        with_images = [files for files in bricks if files.images]
        if not with_images:
            raise SurveyError(
                f"{self._folder.root} holds catalogues of bricks but no coadd images to cut stamps from"
            )
        if not sweeps and not any(files.tractor for files in with_images):
            raise SurveyError(
                f"{self._folder.root} has images of {len(with_images)} bricks but no tractor or sweep "
                "catalogue that says where the objects are; put the tractor files beside the coadds"
            )
        found = []
        for files in with_images:
            bands = next((choice for choice in BAND_CHOICES if set(choice) <= set(files.images)), ())
            catalogues = self._catalogues_of(files, sweeps)
            chosen = [(name, self._select(files, name, bands, select, max_mag)) for name in catalogues]
            kept = [(name, rows) for name, rows in chosen if len(rows) or name in self._unreadable]
            found += [
                BrickObjects(files=files, bands=bands, catalogue=name, rows=rows) for name, rows in kept
            ]
            if not kept:
                self._without_objects.append(files.label)
        if not found:
            raise SurveyError(
                f"{self._folder.root} has images of bricks {_some(self._without_objects)}, but no "
                f"catalogue row in them was selected ({' '.join(self._seen) or 'no catalogue of these bricks'})"
            )
        return found

    def _catalogues_of(self, files: BrickFiles, sweeps: Sequence[str]) -> list[str]:
        if files.tractor is not None:
            return [files.tractor]
        return [sweep for sweep in sweeps if region_of(sweep) == files.region] or list(sweeps)

    def _select(
        self, files: BrickFiles, catalogue: str, bands: tuple[str, ...], select: str, max_mag: float
    ) -> np.ndarray:
        """Return the lines of a catalogue to cut stamps for."""
        try:
            with self._catalogues.lock:
                opened = self._catalogue(catalogue)
        except StampError as error:
            self._unreadable[catalogue] = str(error)
            return np.empty(0, np.int64)
        records, columns = opened.records, CatalogueColumns(opened.records)
        if "ra" not in columns or "dec" not in columns:
            self._unreadable[catalogue] = "the catalogue has no RA and DEC"
            return np.empty(0, np.int64)
        self._types = merged_types([self._types, opened.types])
        keep = np.ones(len(records), bool)
        cuts = ["no selection"]
        if select == "usual":
            keep, cuts = usual_selection(columns, len(records), bands or ("g", "r", "z"), max_mag)
        if files.tractor is None and (in_brick := columns.get("brickname")) is not None:
            keep &= np.char.strip(in_brick.astype(str)) == files.brick
        self._seen.setdefault(f"{columns.describe()}; selection: {', '.join(cuts) or 'none possible'}")
        return np.flatnonzero(keep)

    def _catalogue(self, name: str) -> CatalogueFile:
        return self._catalogues.get(self._folder.path(name), CatalogueFile)

    def _records(self, brick: BrickObjects, first: int, last: int) -> np.ndarray:
        with self._catalogues.lock:
            return self._catalogue(brick.catalogue).records[brick.rows[first:last]]

    def _table_part(self, brick: BrickObjects, first: int, last: int) -> pa.Table:
        rows = brick.rows[first:last]
        records = self._records(brick, first, last)
        columns = CatalogueColumns(records)
        ids = self._names(brick, records, rows)
        sources = [f"{brick.catalogue}:{row}" for row in rows.tolist()]
        required = required_columns(ids, columns.get("ra"), columns.get("dec"), sources)
        came = fits_columns(records)
        kept = {self._kept[name]: came.column(name) for name in came.column_names if name in self._kept}
        return conform(pa.table({**required, **kept}), self._schema())

    def _names(self, brick: BrickObjects, records: np.ndarray, rows: np.ndarray) -> list[str]:
        columns = CatalogueColumns(records)
        fields = next((fields for fields in ID_FIELDS if all(name in columns for name in fields)), None)
        if fields is None or self._id_style == "row":
            return [f"{brick.files.label}/{row}" for row in rows.tolist()]
        parts = [columns.get(name).tolist() for name in fields]  # type: ignore[union-attr]
        names = ["-".join(str(part) for part in three) for three in zip(*parts, strict=True)]
        return names if self._id_style == "plain" else [f"{brick.files.label}/{name}" for name in names]

    def _unique_style(self) -> str:
        self._id_style = "plain"
        seen: set[str] = set()
        style = "plain"
        for brick in self._objects:
            names = (
                self._names(brick, self._records(brick, 0, len(brick.rows)), brick.rows)
                if len(brick.rows)
                else []
            )
            if len(set(names)) < len(names):
                return "row"
            if not seen.isdisjoint(names):
                style = "brick"
            seen.update(names)
        return style

    def _spans(self, start: int, stop: int) -> Iterator[tuple[BrickObjects, int, int]]:
        for brick, begin, end in zip(
            self._objects, self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True
        ):
            first, last = max(start, begin), min(stop, end)
            if first < last:
                yield brick, first - begin, last - begin

    def _schema(self) -> dict[str, pa.DataType]:
        required = required_columns([], None, None, [])
        types = {name: array.type for name, array in required.items()}
        return types | {self._kept[name]: type_ for name, type_ in self._types.items() if name in self._kept}

    def _empty_table(self) -> pa.Table:
        return pa.table({name: pa.nulls(0, type_) for name, type_ in self._schema().items()})

    def _describe(self) -> str:
        bricks = {brick.files.label: brick for brick in self._objects}
        bands = sorted({" ".join(brick.files.images) for brick in self._objects})
        lacking = [label for label, brick in bricks.items() if not brick.bands]
        invvar = all(set(brick.bands) <= set(brick.files.invvars) for brick in self._objects)
        coverage = "from invvar" if invvar else "from pixels that are not exactly 0, where invvar is missing"
        text = [
            f"bricks: {len(self)} objects in {len(bricks)} Legacy Survey bricks",
            f"images in {', '.join(bands)}, coverage {coverage}",
            f"stamps of {self._side} x {self._side} pixels in nanomaggies",
            *self._seen,
        ]
        if lacking:
            text.append(f"{len(lacking)} bricks lack a band and give no stamps: {_some(lacking)}")
        if self._without_objects:
            text.append(f"no catalogue row selected in bricks {_some(self._without_objects)}")
        text += [f"{name} cannot be used: {reason}" for name, reason in self._unreadable.items()]
        if self._id_style != "plain":
            by = "line" if self._id_style == "row" else "id"
            text.append(f"RELEASE-BRICKID-OBJID repeats: objects are named by brick and {by}")
        return "; ".join(text) + "."


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
