"""What a release says about itself: ``manifest.json``, version 2; version 1 is read as it is.

A release folder holds::

    manifest.json               this
    embeddings/image-00000.f16  rows of the space ``image``, (rows, D) little-endian float16, row-major
    index.faiss                 nearest-neighbour structure, derived from the embeddings
    catalogue.duckdb            table ``objects``, one line a row
    encoder/                    the encoder's card and weights
    report.json                 what the reader recognised, damaged stamps, flags, duplicates
    drift.json                  in a grown release: how far new stamps of known objects lie from their embeddings
    drift-sample.safetensors    in a grown release: the embeddings of those new stamps

A release grown from an older one (``discovery index --add``) has the older one's rows first, under their numbers, and
names the survey that each range of rows came from.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Any

import msgspec

from discovery.errors import ReleaseError

MANIFEST_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 1 lacks fields that have defaults here."""
MANIFEST_FILE = "manifest.json"
CATALOGUE_FILE = "catalogue.duckdb"
INDEX_FILE = "index.faiss"
REPORT_FILE = "report.json"
DRIFT_FILE = "drift.json"
DRIFT_SAMPLE_FILE = "drift-sample.safetensors"
ENCODER_FOLDER = "encoder"
EMBEDDINGS_FOLDER = "embeddings"


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of embeddings: the good (in a grown release: the good and new) stamps among survey positions start..stop (exclusive)."""

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
    """The FAISS structure: its factory string, and what a query for 100 neighbours asks of it (None for ``Flat``).

    ``probes`` cells are visited; the ``candidates`` nearest by their codes are compared exactly.
    """

    kind: str
    probes: int | None = None
    candidates: int | None = None
    file: str = INDEX_FILE


class Space(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One embedding of every row."""

    name: str
    dimension: int
    encoder: EncoderRecord
    shards: tuple[Shard, ...]
    index: IndexRecord


class SurveyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the stamps of a range of rows came from, so that they can be read again.

    ``relative_paths`` start at the release folder: a release moved together with its survey still finds it. The range
    begins with ``first_row`` and ends where the next survey's begins. Where an object_id of the survey already was
    another object's in the release, ``suffix`` was added to it.
    """

    paths: tuple[str, ...]
    relative_paths: tuple[str, ...]
    table: str | None
    relative_table: str | None
    options: dict[str, Any]
    format: str
    recognised: str
    fingerprint: str
    first_row: int = 0
    suffix: str = ""


class GrownFrom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The older release that a release grew from: its first ``rows`` rows are that one's."""

    name: str
    plan: str
    rows: int
    path: str
    relative_path: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole manifest. ``measured`` holds what differs between two runs of the same work (times, recall).

    ``survey`` is where the first rows came from, ``added`` what later rows came from in a grown release.
    """

    version: int
    name: str
    rows: int
    plan: str
    survey: SurveyRecord
    spaces: tuple[Space, ...]
    measured: dict[str, Any]
    added: tuple[SurveyRecord, ...] = ()
    grown_from: GrownFrom | None = None

    @property
    def surveys(self) -> tuple[SurveyRecord, ...]:
        """The surveys, in the order of their rows."""
        return (self.survey, *self.added)

    def survey_number(self, row: int) -> int:
        """Return the place in ``surveys`` of the survey that a row came from."""
        return bisect.bisect_right([record.first_row for record in self.surveys], row) - 1

    def survey_of(self, row: int) -> SurveyRecord:
        """Return the survey that a row came from."""
        return self.surveys[self.survey_number(row)]


class _Version(msgspec.Struct):
    version: int


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a release folder.

    Raises
    ------
    ReleaseError
        If there is none, it is damaged, or of a version that this program does not know.
    """
    path = folder / MANIFEST_FILE
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ReleaseError(
            f"{folder} is no release: it has no readable {MANIFEST_FILE}. Make one with 'discovery index'."
        ) from problem
    try:
        version = msgspec.json.decode(data, type=_Version).version
        if version not in READABLE_VERSIONS:
            raise ReleaseError(
                f"Release {folder.name} has manifest version {version}, this program reads version {MANIFEST_VERSION} and before: "
                "update discovery, or build the release again with 'discovery index'."
            )
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise ReleaseError(
            f"The manifest of release {folder.name} is damaged ({problem}). Build it again with 'discovery index'."
        ) from problem


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
