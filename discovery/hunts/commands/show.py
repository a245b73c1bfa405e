"""``discovery hunt show``, ``history``, ``disagreements`` and ``list``: what a hunt holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from discovery.errors import HuntError
from discovery.hunts.commands.answers import answer, counted, info_document, round_document
from discovery.hunts.commands.options import Json, opened_hunt
from discovery.search.known_options import KnownFiles, KnownRadius, matched_known

if TYPE_CHECKING:
    from discovery.hunts import HuntInfo, LabelEvent, LabelState


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """Options of ``discovery hunt show``.

    Attributes
    ----------
    log
        Show every event of the label log as well.
    known
        Tables of known objects (csv, FITS, VOTable, Parquet; ra and dec): labelled ones are shown as "known as ...".
    known_radius
        Within how many arcsec an object is a known one; 2 by default.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """

    log: bool = False
    known: KnownFiles = None
    known_radius: KnownRadius = None
    release: Path | None = None
    json: Json = False


def show(hunt: Path, /, *, options: ShowOptions = ShowOptions()) -> None:
    """Show a hunt's settings, rounds, labels and notes.

    Parameters
    ----------
    hunt
        Hunt file.
    """
    opened = opened_hunt(hunt, options.release)
    rows = matched_known(opened.release, options.known, options.known_radius)
    info, rounds, notes = opened.info(), opened.rounds(), opened.notes()
    given, found = opened.curve()
    states = sorted([*opened.labels().values(), *opened.lost_labels()], key=lambda state: state.event)
    flags = {} if rows is None else {one.object_id: rows.flag(one.row) for one in states if one.row is not None}
    document: dict[str, Any] = {
        "hunt": info_document(info),
        "rounds": [round_document(played, rows) for played in rounds],
        "labels": [
            dataclasses.asdict(state) | ({} if rows is None else {"known": flags.get(state.object_id, "")})
            for state in states
        ],
        "notes": [dataclasses.asdict(note) for note in notes],
        "curve": {"labels_given": given.tolist(), "positives_found": found.tolist()},
    }
    lines = [
        f"{info.path}: {info.release_name}, strategy {_strategy(info)}, consensus {info.consensus}, {info.rounds} rounds",
        counted(info.counts) + _classes(info),
        *(f"round {played.number}: {len(played.rows)} shown, {played.why}" for played in rounds),
        *(
            f"{_verdict(state):<9} {state.object_id:<32} {state.who} {flags.get(state.object_id, '')}".rstrip()
            for state in states
        ),
        *(f"note on {note.object_id} by {note.who}: {note.text}" for note in notes),
    ]
    if options.log:
        events = [dataclasses.asdict(event) for event in opened.log()]
        document["log"] = events
        lines += [f"{e['event']:>5} {e['when']} {e['who']} {e['verdict']} {e['object_id']}" for e in events]
    answer(options.json, document, "\n".join(lines))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HistoryOptions:
    """Options of ``discovery hunt history``.

    Attributes
    ----------
    last
        So many of the newest events; all by default.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """

    last: int | None = None
    release: Path | None = None
    json: Json = False


def history(hunt: Path, /, *, options: HistoryOptions = HistoryOptions()) -> None:
    """Show who labelled what and when, the newest first; any of it can be undone by its number.

    Parameters
    ----------
    hunt
        Hunt file.
    """
    if options.last is not None and options.last < 1:
        raise HuntError(f"last is {options.last}; give 1 or more events")
    events = opened_hunt(hunt, options.release).history()[:options.last]
    document = {"history": [{**dataclasses.asdict(line), "is_undo": line.is_undo} for line in events]}
    answer(options.json, document, "\n".join(map(_history_text, events)) or "nothing is labelled yet")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DisagreementsOptions:
    """Options of ``discovery hunt disagreements``.

    Attributes
    ----------
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """

    release: Path | None = None
    json: Json = False


def disagreements(hunt: Path, /, *, options: DisagreementsOptions = DisagreementsOptions()) -> None:
    """Show the objects on which people disagree, and what the hunt's consensus makes of each.

    Parameters
    ----------
    hunt
        Hunt file.
    """
    opened = opened_hunt(hunt, options.release)
    found = opened.disagreements()
    document = {
        "consensus": opened.consensus,
        "disagreements": [dataclasses.asdict(one) for one in found],
    }
    lines = [
        f"{one.object_id:<32} {one.agreed:<9} {', '.join(f'{who}: {verdict}' for who, verdict in one.verdicts.items())}"
        for one in found
    ]
    answer(options.json, document, "\n".join(lines) or "nobody disagrees")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Options of ``discovery hunt list``.

    Attributes
    ----------
    json
        Print one JSON document.
    """

    json: Json = False


def list_hunts(folder: Path = Path(), /, *, options: ListOptions = ListOptions()) -> None:
    """List the hunts in a folder.

    Parameters
    ----------
    folder
        Where to look; here by default.
    """
    from discovery import hunts

    infos = hunts.list_hunts(folder)
    lines = [
        f"{info.path.name:<24} {info.release_name:<16} {info.rounds:>3} rounds  {counted(info.counts)}"
        for info in infos
    ]
    answer(
        options.json, {"hunts": [info_document(info) for info in infos]}, "\n".join(lines) or f"no hunts in {folder}"
    )


def _strategy(info: HuntInfo) -> str:
    return f"alpha:{info.alpha:g}" if info.strategy == "alpha" else info.strategy


def _classes(info: HuntInfo) -> str:
    named = ", ".join(f"{number} {name}" for name, number in info.negative_classes.items())
    return f" (negatives: {named})" if named else ""


def _verdict(state: LabelState) -> str:
    return state.verdict if state.negative_class is None else f"{state.verdict} ({state.negative_class})"


def _history_text(line: LabelEvent) -> str:
    verdict = line.verdict if line.negative_class is None else f"{line.verdict} ({line.negative_class})"
    text = f"{line.event:>5} {line.when[:19].replace('T', ' ')} {line.who:<12} {verdict:<9} {line.object_id}"
    if line.is_undo:
        return f"{text} (undo of {line.undoes})"
    return text if line.undone_by is None else f"{text} (undone by {line.undone_by})"
