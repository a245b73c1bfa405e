"""``discovery hunt``: start, play, show, export, list and move hunts."""

from __future__ import annotations

import dataclasses
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from discovery.commands.hunt_answers import answer, counted, info_document, round_document
from discovery.commands.hunt_labels import label_request, read_labels, read_pairs, rest_requests
from discovery.errors import HuntError

if TYPE_CHECKING:
    from discovery.hunts import Hunt
    from discovery.prompts import Prompt
    from discovery.release import Release

app = App(name="hunt", help="Label galaxies round by round until enough of a kind are found.")
app.command("discovery.commands.hunt_simulate:simulate", name="simulate", help="Play hunts whose targets are known.")
app.command("discovery.commands.hunt_simulate:bench", name="bench", help="Play a table of data sets and strategies.")

Several = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]
Files = Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")]


@app.command
def new(
    hunt: Path,
    release: Path,
    /,
    *,
    like: Several = None,
    like_table: Files = None,
    unlike: Several = None,
    unlike_table: Files = None,
    alpha: float = 0.5,
    page_size: int = 20,
    where: str | None = None,
    flagged: bool = True,
    seed: int = 0,
    who: str | None = None,
    json: bool = False,
) -> None:
    """Start a hunt from examples.

    Parameters
    ----------
    hunt
        File to make, such as mergers.hunt.
    release
        Release folder to hunt in.
    like
        Positive examples: object ids, RA,DEC positions or stamp files; at least one.
    like_table
        Tables of positive examples, by id or position.
    unlike
        Negative examples; with three the rescorer ranks from the first round on.
    unlike_table
        Tables of negative examples.
    alpha
        From 0 to 1: the highest scores are shown while positives/negatives of the latest round are at most
        alpha, else the lowest. 0.9 leads to precision, 0.1 to recall.
    page_size
        Objects a round.
    where
        SQL condition on the catalogue that candidates must meet, such as "mag_r < 19".
    flagged
        Show stars and flagged objects too.
    seed
        Of everything drawn at random.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """
    from discovery.hunts import new_hunt
    from discovery.release import open_release

    opened = open_release(release)
    started = new_hunt(
        hunt,
        opened,
        positives=_prompts(opened, like, like_table),
        negatives=_prompts(opened, unlike, unlike_table),
        alpha=alpha,
        page_size=page_size,
        seed=seed,
        where=where,
        flagged=flagged,
        who=_person(who),
    )
    info = started.info()
    text = (
        f"{info.path}: a hunt in {info.release_name} ({info.count} objects) from {info.examples_positive} positive and"
        f" {info.examples_negative} negative examples\nnext: discovery hunt next {info.path}"
    )
    answer(json, {"hunt": info_document(info)}, text)


@app.command(name="next")
def next_(
    hunt: Path,
    /,
    *,
    page_size: int | None = None,
    alpha: float | None = None,
    contact_sheet: Path | None = None,
    release: Path | None = None,
    who: str | None = None,
    json: bool = False,
) -> None:
    """Rank by the labels so far and show the next objects to label.

    Parameters
    ----------
    hunt
        Hunt file.
    page_size
        Objects in this round; the hunt's own number by default.
    alpha
        Change alpha from this round on.
    contact_sheet
        PNG file to draw the round's stamps into.
    release
        Release folder, if it is no longer where the hunt knows it.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """
    opened = _open(hunt, release)
    if alpha is not None:
        opened.set_alpha(alpha, _person(who))
    played = opened.next_round(_person(who), page_size)
    if contact_sheet is not None and not played.exhausted:
        from discovery.render import contact_sheet as draw

        stamps = [opened.release.stamp(row) for row in played.rows.tolist()]
        draw(stamps, [f"{n}  {name}" for n, name in enumerate(played.object_ids, 1)], contact_sheet)
    document = round_document(played)
    lines = [f"round {played.number}: {played.why}"]
    if played.exhausted:
        lines = [f"nothing is left to show: {played.why}"]
    lines += [f"{line['object_id']:<32} {line['score']:8.4f}" for line in document["candidates"]]
    answer(json, document, "\n".join(lines))


@app.command
def label(
    hunt: Path,
    /,
    *verdicts: str,
    positive: Several = None,
    negative: Several = None,
    unsure: Several = None,
    skipped: Several = None,
    clear: Several = None,
    rest: str | None = None,
    labels: Path | None = None,
    negative_class: str | None = None,
    reason: str | None = None,
    undo: bool = False,
    release: Path | None = None,
    who: str | None = None,
    json: bool = False,
) -> None:
    """Label objects; every label is on disk when the command answers.

    Parameters
    ----------
    hunt
        Hunt file.
    verdicts
        Pairs OBJECT_ID VERDICT, with VERDICT one of positive, negative, unsure, skipped, cleared.
    positive, negative, unsure, skipped
        Ids of objects to label so.
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
    release
        Release folder, if it is no longer where the hunt knows it.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """
    opened, person = _open(hunt, release), _person(who)
    given = read_pairs(verdicts)
    for verdict, ids in zip(
        ("positive", "negative", "unsure", "skipped", "cleared"),
        (positive, negative, unsure, skipped, clear),
        strict=True,
    ):
        given += [{"object_id": name, "verdict": verdict} for name in ids or ()]
    for line in given:
        line["negative_class"] = negative_class if line["verdict"] == "negative" else None
        line["reason"] = reason
    given += read_labels(labels) if labels is not None else []
    if undo:
        if given or rest:
            raise HuntError("undo stands alone; label in another call")
        _answer_undo(opened, person, json)
        return
    requests = [label_request(opened, **line) for line in given]
    requests += rest_requests(opened, requests, rest, reason) if rest is not None else []
    if not requests:
        raise HuntError(
            "give OBJECT_ID VERDICT, --positive ID, --negative ID, --rest VERDICT or --labels FILE"
        )
    events = opened.label_many(requests, who=person)
    counts = opened.counts()
    document = {"events": events, "counts": dataclasses.asdict(counts)}
    answer(json, document, f"{len(events)} labels kept; {counted(counts)}")


@app.command
def show(hunt: Path, /, *, log: bool = False, release: Path | None = None, json: bool = False) -> None:
    """Show a hunt's settings, rounds and labels.

    Parameters
    ----------
    hunt
        Hunt file.
    log
        Show every event of the label log as well.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """
    opened = _open(hunt, release)
    info, rounds = opened.info(), opened.rounds()
    given, found = opened.curve()
    states = [*opened.labels().values(), *opened.lost_labels()]
    document: dict[str, Any] = {
        "hunt": info_document(info),
        "rounds": [round_document(played) for played in rounds],
        "labels": [dataclasses.asdict(state) for state in sorted(states, key=lambda state: state.event)],
        "curve": {"labels_given": given.tolist(), "positives_found": found.tolist()},
    }
    lines = [
        f"{info.path}: {info.release_name}, alpha {info.alpha:g}, {info.rounds} rounds",
        counted(info.counts),
        *(f"round {played.number}: {len(played.rows)} shown, {played.why}" for played in rounds),
        *(f"{line['verdict']:<9} {line['object_id']:<32} {line['who']}" for line in document["labels"]),
    ]
    if log:
        events = [dataclasses.asdict(event) for event in opened.log()]
        document["log"] = events
        lines += [f"{e['event']:>5} {e['when']} {e['who']} {e['verdict']} {e['object_id']}" for e in events]
    answer(json, document, "\n".join(lines))


@app.command
def export(
    hunt: Path,
    out: Path,
    /,
    *,
    top: int | None = None,
    min_score: float | None = None,
    columns: str | None = None,
    stamps: Path | None = None,
    unfiltered: bool = False,
    release: Path | None = None,
    json: bool = False,
) -> None:
    """Write the labelled objects and, on request, the ranked rest of the release.

    Parameters
    ----------
    hunt
        Hunt file.
    out
        Table to write: .csv, .fits, .vot or .parquet.
    top
        So many of the best unlabelled objects go along.
    min_score
        Unlabelled objects from this score up go along.
    columns
        Catalogue columns, separated by commas; all by default.
    stamps
        Folder for a picture of each object and a contact sheet.
    unfiltered
        Also rank what the hunt's own filter leaves out.
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """
    opened = _open(hunt, release)
    chosen = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    table = opened.export(
        out, top=top, min_score=min_score, columns=chosen, stamps=stamps, unfiltered=unfiltered
    )
    labelled = table.num_rows - table["label"].null_count
    document = {
        "file": str(out),
        "objects": table.num_rows,
        "labelled": labelled,
        "columns": table.column_names,
    }
    answer(json, document, f"{out}: {labelled} labelled objects, {table.num_rows - labelled} more")


@app.command(name="list")
def list_(folder: Path = Path(), /, *, json: bool = False) -> None:
    """List the hunts in a folder.

    Parameters
    ----------
    folder
        Where to look; here by default.
    json
        Print one JSON document.
    """
    from discovery.hunts import list_hunts

    infos = list_hunts(folder)
    lines = [
        f"{info.path.name:<24} {info.release_name:<16} {info.rounds:>3} rounds  {counted(info.counts)}"
        for info in infos
    ]
    answer(
        json, {"hunts": [info_document(info) for info in infos]}, "\n".join(lines) or f"no hunts in {folder}"
    )


@app.command
def move(
    hunt: Path,
    release: Path,
    out: Path | None = None,
    /,
    *,
    like: Several = None,
    who: str | None = None,
    json: bool = False,
) -> None:
    """Carry a hunt to another release or encoder, by object_id, else by position within 1 arcsec.

    Parameters
    ----------
    hunt
        Hunt file; it stays as it is.
    release
        Release folder to carry it to.
    out
        New hunt file; by default HUNT-RELEASE.hunt beside the old one.
    like
        Further positive examples.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """
    from discovery.hunts import move_hunt
    from discovery.release import open_release

    opened = open_release(release)
    out = out or hunt.with_name(f"{hunt.stem}-{opened.name}.hunt")
    moved, report = move_hunt(hunt, opened, out, _person(who), positives=_prompts(opened, like, None))
    found = len(report.objects) - len(report.not_found)
    lines = [f"{out}: {found} of {len(report.objects)} objects found in {opened.name}"]
    lines += [f"not found: {one.object_id} {one.note}".rstrip() for one in report.not_found]
    lines += [f"example left out, seen by another encoder: {label}" for label in report.examples_left]
    document = {
        "hunt": info_document(moved.info()),
        "objects": [dataclasses.asdict(one) for one in report.objects],
        "not_found": [one.object_id for one in report.not_found],
        "examples_left": list(report.examples_left),
    }
    answer(json, document, "\n".join(lines))


def _open(path: Path, release: Path | None) -> Hunt:
    """Open a hunt on the release given, or on the one it remembers."""
    from discovery.hunts import open_hunt, peek_hunt, remembered_release
    from discovery.release import open_release

    return open_hunt(path, open_release(release or remembered_release(peek_hunt(path))))


def _person(who: str | None) -> str:
    if who is not None:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise HuntError("your login has no name here; say who labels with --who NAME") from None


def _prompts(release: Release, texts: Sequence[str] | None, tables: Sequence[Path] | None) -> list[Prompt]:
    from discovery.prompts import read_prompt_table, resolve_prompt

    prompts = [resolve_prompt(release, text) for text in texts or ()]
    return prompts + [prompt for table in tables or () for prompt in read_prompt_table(release, table)]


def _answer_undo(hunt: Hunt, person: str, json: bool) -> None:
    undone = hunt.undo(person)
    if undone is None:
        raise HuntError(f"{person} has no label in this hunt that could be undone")
    text = f"event {undone.undid} undone: {undone.object_id} is {undone.verdict}"
    answer(json, {"undone": dataclasses.asdict(undone), "counts": dataclasses.asdict(hunt.counts())}, text)
