"""``discovery hunt show``, ``history``, ``disagreements`` and ``list``: what a hunt holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discovery.errors import HuntError
from discovery.hunts.commands.answers import answer, counted, info_document, round_document
from discovery.hunts.commands.options import Json, opened_hunt
from discovery.search.known_options import KnownFiles, KnownRadius, matched_known

if TYPE_CHECKING:
    from discovery.hunts import HistoryLine, HuntInfo, LabelState


def show(
    hunt: Path,
    /,
    *,
    log: bool = False,
    known: KnownFiles = None,
    known_radius: KnownRadius = None,
    release: Path | None = None,
    json: Json = False,
) -> None:
    """Show a hunt's settings, rounds, labels and notes.

    Parameters
    ----------
    hunt
        Hunt file.
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
    opened = opened_hunt(hunt, release)
    rows = matched_known(opened.release, known, known_radius)
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
    if log:
        events = [dataclasses.asdict(event) for event in opened.log()]
        document["log"] = events
        lines += [f"{e['event']:>5} {e['when']} {e['who']} {e['verdict']} {e['object_id']}" for e in events]
    answer(json, document, "\n".join(lines))


def history(
    hunt: Path, /, *, last: int | None = None, release: Path | None = None, json: Json = False
) -> None:
    """Show who labelled what and when, the newest first; any of it can be undone by its number.

    Parameters
    ----------
    hunt
        Hunt file.
    last
        So many of the newest events; all by default.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """
    if last is not None and last < 1:
        raise HuntError(f"last is {last}; ask for 1 or more events")
    events = opened_hunt(hunt, release).history()[:last]
    document = {"history": [{**dataclasses.asdict(line), "is_undo": line.is_undo} for line in events]}
    answer(json, document, "\n".join(map(_history_text, events)) or "nothing is labelled yet")


def disagreements(hunt: Path, /, *, release: Path | None = None, json: Json = False) -> None:
    """Show the objects of which people say different things, and what the hunt's consensus makes of each.

    Parameters
    ----------
    hunt
        Hunt file.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """
    opened = opened_hunt(hunt, release)
    found = opened.disagreements()
    document = {
        "consensus": opened.consensus,
        "disagreements": [dataclasses.asdict(one) for one in found],
    }
    lines = [
        f"{one.object_id:<32} {one.agreed:<9} {', '.join(f'{who}: {said}' for who, said in one.verdicts.items())}"
        for one in found
    ]
    answer(json, document, "\n".join(lines) or "nobody disagrees")


def list_hunts(folder: Path = Path(), /, *, json: Json = False) -> None:
    """List the hunts in a folder.

    Parameters
    ----------
    folder
        Where to look; here by default.
    json
        Print one JSON document.
    """
    from discovery import hunts

    infos = hunts.list_hunts(folder)
    lines = [
        f"{info.path.name:<24} {info.release_name:<16} {info.rounds:>3} rounds  {counted(info.counts)}"
        for info in infos
    ]
    answer(
        json, {"hunts": [info_document(info) for info in infos]}, "\n".join(lines) or f"no hunts in {folder}"
    )


def _strategy(info: HuntInfo) -> str:
    return f"alpha:{info.alpha:g}" if info.strategy == "alpha" else info.strategy


def _classes(info: HuntInfo) -> str:
    named = ", ".join(f"{number} {name}" for name, number in info.negative_classes.items())
    return f" (negatives: {named})" if named else ""


def _verdict(state: LabelState) -> str:
    return state.verdict if state.negative_class is None else f"{state.verdict} ({state.negative_class})"


def _history_text(line: HistoryLine) -> str:
    verdict = line.verdict if line.negative_class is None else f"{line.verdict} ({line.negative_class})"
    text = f"{line.event:>5} {line.when[:19].replace('T', ' ')} {line.who:<12} {verdict:<9} {line.object_id}"
    if line.is_undo:
        return f"{text} (undo of {line.undoes})"
    return text if line.undone_by is None else f"{text} (undone by {line.undone_by})"
