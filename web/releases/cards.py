"""The card of a release on the first page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from discovery.errors import ReleaseError
from discovery.release.manifest import REPORT_FILE
from discovery.release.release import Release
from web.layout.parts import NamedValue
from web.layout.problems import without_paths
from web.layout.text_format import count, figure
from web.stamps.pictures import SMALL_SIZE
from web.stamps.stamps import grid_picture
from web.workspace.workspace import survey_problem

DAMAGED_SHOWN = 20
PICTURES = 6


@dataclass(frozen=True, kw_only=True)
class ReleaseCard:
    """One release on the first page."""

    name: str
    objects: int
    facts: tuple[NamedValue, ...]
    recognised: str
    """What the survey's reader saw."""
    damaged: int
    damaged_examples: tuple[NamedValue, ...]
    """The first few damaged stamps: name and reason."""
    pictures: tuple[str, ...]
    """Addresses of a few stamps."""
    stamps_problem: str = ""
    """Why its stamps cannot be shown, if so."""


class DamagedStamp(msgspec.Struct, frozen=True, kw_only=True):
    """One damaged stamp of the report."""

    object_id: str
    reason: str
    source: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a release's report that is shown."""

    recognised: str
    duplicates: int
    shared_positions: int = 0
    """Objects that have exactly the position of others, and other pixels."""
    flag_star: int
    flag_masked: int
    flag_partial: int
    flag_artefact: int
    damaged: list[DamagedStamp]
    damaged_count: int | None = None
    """All of them, where the list has only the first ones."""


def release_card(name: str, release: Release) -> ReleaseCard:
    """Return the card of a release.

    Raises
    ------
    ReleaseError
        If its report cannot be read.
    """
    report = read_report(release)
    problem = without_paths(survey_problem(release))
    rows = [] if problem else _spread(np.flatnonzero(release.clean & release.primary))
    return ReleaseCard(
        name=name,
        objects=int(release.primary.sum()),
        facts=(*_counts(report), *_technical(release)),
        recognised=without_paths(report.recognised),
        damaged=report.damaged_count or len(report.damaged),
        damaged_examples=tuple(
            NamedValue(name=stamp.object_id, value=without_paths(stamp.reason)) for stamp in report.damaged[:DAMAGED_SHOWN]
        ),
        pictures=tuple(grid_picture(name, release, row, size=SMALL_SIZE) for row in rows),
        stamps_problem=problem,
    )


def read_report(release: Release) -> Report:
    """Read the report in a release's folder.

    Raises
    ------
    ReleaseError
        If it is missing or damaged.
    """
    try:
        return msgspec.json.decode((release.path / REPORT_FILE).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ReleaseError(f"The report of release {release.name} is missing or damaged. Build it again.") from error


def _counts(report: Report) -> tuple[NamedValue, ...]:
    named = {
        "stars": report.flag_star,
        "masked": report.flag_masked,
        "partly observed": report.flag_partial,
        "artefact-like": report.flag_artefact,
        "duplicates": report.duplicates,
        "with a position that cannot be theirs": report.shared_positions,
    }
    flagged = ", ".join(f"{count(number)} {name}" for name, number in named.items() if number)
    return (NamedValue(name="Flagged", value=flagged or "none"),)


def _technical(release: Release) -> tuple[NamedValue, ...]:
    space, measured = release.manifest.image, release.manifest.measured
    return (
        NamedValue(name="Encoder", value=f"{space.encoder.name}, {space.dimension} numbers, {space.encoder.checksum[:10]}"),
        NamedValue(name="Index", value=f"{space.index.kind}" + (f", {space.index.probes} probes" if space.index.probes else "")),
        NamedValue(name="Recall @10, @100", value=f"{_ratio(measured.get('recall_at_10'))}, {_ratio(measured.get('recall_at_100'))}"),
        NamedValue(name="A query", value=figure(measured.get("milliseconds_a_query")), unit="ms"),
    )


def _ratio(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else "–"


def _spread(rows: np.ndarray) -> list[int]:
    """Return a few rows spread over all."""
    if len(rows) == 0:
        return []
    places = np.linspace(0, len(rows) - 1, min(PICTURES, len(rows))).astype(int)
    return [int(row) for row in rows[places]]
