"""What a release says about itself: ``manifest.json``, version 3 (`discovery.release.manifest_file` reads and writes it, and reads versions 1 and 2).

A release folder holds::

    manifest.json               this
    embeddings/image-00000.f16  rows of the space ``image``, (rows, D) little-endian float16, row-major
    index.faiss                 nearest-neighbour structure, derived from the embeddings
    catalogue.duckdb            table ``objects``, one table row a row
    encoder/                    the encoder's card and weights
    report.json                 what the reader recognised, damaged stamps, flags, duplicates
    drift.json                  in a grown release: how far new stamps of known objects lie from their embeddings
    drift-sample.safetensors    in a grown release: the embeddings of those new stamps

A release is a list of *segments*, each made in one run from one survey: a fresh release has one, one that grew from an
older release (``discovery index --add``) has the older one's segments first, under their row numbers, and one more.
It is also a list of *spaces*, each one encoder's embeddings of the rows, with its shards segment by segment::

    version       3; programs before it refuse it by this number
    name, rows    the release's name and its number of rows N
    plan          SHA-256 of everything that decides its bytes
    segments      [{name, first_row, rows, survey, suffix, plan, made, commit, positions}]
        survey        {paths, relative_paths, table, relative_table, options, format, recognised, fingerprint,
                       bands, unit, stretch}: the files that the stamps came from, and how they are read again
    spaces        [{name, dimension, encoder, segments, index, mask}]
        encoder       {name, checksum, folder}
        segments      [{shards, precision, device, runtime}], one a segment of the release
            shards        [{file, start, stop, rows, sha256}]
        index         {kind, probes, candidates, file}
    measured      what differs between two runs of the same work: times, recall
    grown_from    {name, plan, rows, path, relative_path} of the older release, or null

A field that is null was not recorded, unless its record (below) says what else it means.
"""

from __future__ import annotations

import bisect
from typing import Any

import msgspec

from discovery.errors import ReleaseError

MANIFEST_VERSION = 3
MANIFEST_FILE = "manifest.json"
CATALOGUE_FILE = "catalogue.duckdb"
INDEX_FILE = "index.faiss"
REPORT_FILE = "report.json"
DRIFT_FILE = "drift.json"
DRIFT_SAMPLE_FILE = "drift-sample.safetensors"
ENCODER_FOLDER = "encoder"
EMBEDDINGS_FOLDER = "embeddings"
IMAGE_SPACE = "image"
"""Name of the space that every release has: the embeddings of its stamps."""


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of embeddings: of the stamps at survey positions start..stop (exclusive) those that are rows of its segment."""

    file: str
    start: int
    stop: int
    rows: int
    sha256: str


class EncoderRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The encoder that made the embeddings of a space."""

    name: str
    checksum: str
    folder: str = ENCODER_FOLDER


class IndexRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The FAISS structure: its factory string, and what a query for 100 neighbours takes of it (None for ``Flat``).

    ``probes`` cells are visited; the ``candidates`` nearest by their codes are compared exactly.
    """

    kind: str
    probes: int | None = None
    candidates: int | None = None
    file: str = INDEX_FILE


class SpaceSegment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embeddings of one segment in one space.

    Attributes
    ----------
    shards : tuple of Shard
        In the order of their rows.
    precision, device : str or None
        What the encoder computed in (float32, bfloat16) and on (cpu, cuda).
    runtime : str or None
        The library that computed, with its version, such as ``torch 2.9.1``.
    """

    shards: tuple[Shard, ...]
    precision: str | None = None
    device: str | None = None
    runtime: str | None = None


class SpaceRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One encoder's embeddings of the rows.

    Attributes
    ----------
    segments : tuple of SpaceSegment
        One a segment of the release.
    mask : str or None
        File in the release folder with a bit a row: which rows have an embedding in this space. None: every row has.
    """

    name: str
    dimension: int
    encoder: EncoderRecord
    segments: tuple[SpaceSegment, ...]
    index: IndexRecord
    mask: str | None = None

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of all segments, in the order of their rows."""
        return tuple(shard for segment in self.segments for shard in segment.shards)


class SurveyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files that stamps came from, and how they are read again.

    ``relative_paths`` start at the release folder: a release moved together with its survey still finds it.

    Attributes
    ----------
    fingerprint : str
        `discovery.storage.provenance.contents_fingerprint` of the files.
    bands : tuple of str or None
        Bands of a stamp, in the order of its channels. None: g, r, z (or i), as `discovery.stamps.stamp.Stamp` has them.
    unit : str or None
        Unit of the pixels. None: each stamp tells its own (``nmgy`` or ``rgb``).
    stretch : str or None
        How flux becomes colour. None: as the imaging survey of ``options`` has it (`discovery.stamps.imaging_surveys`).
    """

    paths: tuple[str, ...]
    relative_paths: tuple[str, ...]
    table: str | None
    relative_table: str | None
    options: dict[str, Any]
    format: str
    recognised: str
    fingerprint: str
    bands: tuple[str, ...] | None = None
    unit: str | None = None
    stretch: str | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows that one run made from one survey.

    Attributes
    ----------
    name : str or None
        Of the release that the run made.
    first_row, rows : int
        Its rows are first_row..first_row + rows (exclusive).
    suffix : str
        What was added to an object_id of the survey that already was another object's in the release.
    plan : str or None
        SHA-256 of everything that decided its bytes.
    made : str or None
        When the run ended, UTC.
    commit : str or None
        Of the program's source, with ``+`` where it was changed.
    positions : int or None
        Survey positions that were looked at: those that are no rows had stamps that could not be used.
    """

    name: str | None
    first_row: int
    rows: int
    survey: SurveyRecord
    suffix: str = ""
    plan: str | None = None
    made: str | None = None
    commit: str | None = None
    positions: int | None = None


class GrownFrom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The older release that a release grew from: its first ``rows`` rows are that one's."""

    name: str
    plan: str
    rows: int
    path: str
    relative_path: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole manifest. ``measured`` holds what differs between two runs of the same work (times, recall)."""

    version: int = MANIFEST_VERSION
    name: str
    rows: int
    plan: str
    segments: tuple[Segment, ...]
    spaces: tuple[SpaceRecord, ...]
    measured: dict[str, Any]
    grown_from: GrownFrom | None = None

    @property
    def surveys(self) -> tuple[SurveyRecord, ...]:
        """The survey of each segment."""
        return tuple(segment.survey for segment in self.segments)

    @property
    def image(self) -> SpaceRecord:
        """The space of the stamps' embeddings.

        Raises
        ------
        ReleaseError
            If the release has none.
        """
        found = next((space for space in self.spaces if space.name == IMAGE_SPACE), None)
        if found is None:
            raise ReleaseError(f"The manifest of release {self.name} names no embeddings. Build it again.")
        return found

    def segment_number(self, row: int) -> int:
        """Return the place in ``segments`` of the segment that a row is in."""
        return bisect.bisect_right([segment.first_row for segment in self.segments], row) - 1

    def segment_of(self, row: int) -> Segment:
        """Return the segment that a row is in."""
        return self.segments[self.segment_number(row)]

    def survey_of(self, row: int) -> SurveyRecord:
        """Return the survey that a row came from."""
        return self.segment_of(row).survey

    def with_image(self, image: SpaceRecord) -> Manifest:
        """Return the manifest with another record of the stamps' embeddings."""
        spaces = tuple(image if space.name == IMAGE_SPACE else space for space in self.spaces)
        return msgspec.structs.replace(self, spaces=spaces)
