"""``discovery hunt label`` and ``note``: verdicts and notes on objects."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from discovery.errors import HuntError
from discovery.hunts.commands.answers import answer, counted
from discovery.hunts.commands.label_requests import label_request, read_labels, read_pairs, rest_requests
from discovery.hunts.commands.options import Json, Several, opened_hunt, person_name

if TYPE_CHECKING:
    from discovery.hunts import Hunt


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Options of ``discovery hunt label``.

    Attributes
    ----------
    positive
        Ids of objects that are targets.
    negative
        Ids of objects that are none.
    unsure
        Ids of objects that cannot be decided on.
    skipped
        Ids of objects that are passed over.
    clear
        Ids of objects whose label is taken back.
    rest
        Verdict for all objects of the latest round that have none yet, such as negative.
    labels
        Table (csv, FITS, VOTable or Parquet) with columns object_id and verdict, and optionally negative_class and reason.
    negative_class
        What the negatives of this call are, such as ring or artefact.
    reason
        Note kept with the labels of this call.
    undo
        Revert your latest label instead.
    event
        With --undo: the event to revert, whoever gave it (see discovery hunt history).
    release
        Release folder, if it is no longer where the hunt knows it.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    positive: Several = None
    negative: Several = None
    unsure: Several = None
    skipped: Several = None
    clear: Several = None
    rest: str | None = None
    labels: Path | None = None
    negative_class: str | None = None
    reason: str | None = None
    undo: Json = False
    event: int | None = None
    release: Path | None = None
    who: str | None = None
    json: Json = False


def label(hunt: Path, /, *verdicts: str, options: LabelOptions = LabelOptions()) -> None:
    """Label objects; every label is on disk when the command answers.

    Parameters
    ----------
    hunt
        Hunt file.
    verdicts
        Pairs OBJECT_ID VERDICT, with VERDICT one of positive, negative, unsure, skipped, cleared.
    """
    opened, person = opened_hunt(hunt, options.release), person_name(options.who)
    given = read_pairs(verdicts)
    for verdict, ids in zip(
        ("positive", "negative", "unsure", "skipped", "cleared"),
        (options.positive, options.negative, options.unsure, options.skipped, options.clear),
        strict=True,
    ):
        given += [{"object_id": name, "verdict": verdict} for name in ids or ()]
    for line in given:
        line["negative_class"] = options.negative_class if line["verdict"] == "negative" else None
        line["reason"] = options.reason
    if options.negative_class is not None and options.rest != "negative" and all(line["verdict"] != "negative" for line in given):
        raise HuntError(
            f"negative class {options.negative_class!r} belongs to no label of this call; give it with --negative ID or --rest negative"
        )
    given += read_labels(options.labels) if options.labels is not None else []
    if options.event is not None and not options.undo:
        raise HuntError(f"event {options.event} can only be undone: add --undo")
    if options.undo:
        if given or options.rest:
            raise HuntError("undo stands alone; label in another call")
        _answer_undo(opened, person, options.event, options.json)
        return
    _check_agreement(given)
    requests = [label_request(opened, **line) for line in given]
    requests += rest_requests(opened, requests, options.rest, options.negative_class, options.reason) if options.rest is not None else []
    if not requests:
        raise HuntError(
            "give OBJECT_ID VERDICT, --positive ID, --negative ID, --rest VERDICT or --labels FILE"
        )
    events = opened.label_many(requests, who=person)
    counts = opened.counts()
    document = {"events": events, "counts": dataclasses.asdict(counts)}
    answer(options.json, document, f"{len(events)} label{'' if len(events) == 1 else 's'} recorded; {counted(counts)}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NoteOptions:
    """Options of ``discovery hunt note``.

    Attributes
    ----------
    release
        Release folder, if it is no longer where the hunt knows it.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    release: Path | None = None
    who: str | None = None
    json: Json = False


def note(hunt: Path, object_id: str, text: str, /, *, options: NoteOptions = NoteOptions()) -> None:
    """Keep a note on an object; notes go with the hunt and its exports.

    Parameters
    ----------
    hunt
        Hunt file.
    object_id
        The object.
    text
        The note.
    """
    opened = opened_hunt(hunt, options.release)
    row = opened.release.catalogue.find_id(object_id)
    opened.note(row, text, person_name(options.who))
    kept = opened.notes(row)[-1]
    answer(options.json, {"note": dataclasses.asdict(kept)}, f"note {kept.event} kept on {kept.object_id}")


def _check_agreement(given: list[dict[str, Any]]) -> None:
    verdicts: dict[str, str] = {}
    for line in given:
        name, verdict = line["object_id"], line["verdict"]
        if verdicts.setdefault(name, verdict) != verdict:
            raise HuntError(f"{name} is {verdicts[name]} and {verdict} in one call; give it one verdict")


def _answer_undo(hunt: Hunt, person: str, event: int | None, json: bool) -> None:
    undone = hunt.undo(person, event)
    text = f"event {undone.undid} undone: {undone.object_id} is {undone.verdict}"
    answer(json, {"undone": dataclasses.asdict(undone), "counts": dataclasses.asdict(hunt.counts())}, text)
