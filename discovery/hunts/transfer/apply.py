"""Apply a hunt to another release of the same encoder: last year's labels rank this year's data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import EncoderMismatch, HuntError, QueryError
from discovery.hunts.hunt import Hunt
from discovery.hunts.log.file import insert
from discovery.hunts.log.records import REMEMBERED, LabelState
from discovery.hunts.log.store import HuntStore
from discovery.hunts.log.validation import checked_person
from discovery.hunts.start import open_hunt
from discovery.hunts.transfer.move import move_hunt
from discovery.hunts.transfer.move_report import MoveReport

if TYPE_CHECKING:
    from discovery.release.release import Release

TEACHING = ("positive", "negative")


@dataclass(frozen=True, kw_only=True)
class ApplyReport:
    """What an application carried over.

    Attributes
    ----------
    moved : MoveReport
        Which objects the new release holds.
    found : int
        Positive and negative labels on objects that the new release holds: they teach as it shows them.
    remembered : int
        Those on other objects that teach as their own release showed them.
    silent : tuple of str
        Objects whose labels do not teach, since neither release is there to show them.
    """

    moved: MoveReport
    found: int
    remembered: int
    silent: tuple[str, ...]


def apply_hunt(
    hunt: Hunt | Path | str, release: Release, out: Path | str, who: str, *, where: str | None = None
) -> tuple[Hunt, ApplyReport]:
    """Make a hunt in another release that knows all that this one learned; the old file stays as it is.

    Every label teaches. An object that the new release holds too (by object_id, else within 1 arcsec, as
    `discovery.hunts.move_hunt` finds it) is labelled there and taught by its vector there. Any other keeps the vector
    that its own release has for it, stored in the new file as an example. What is ordinary, which models learn from
    unlabelled objects, is taken from the new release. `Hunt.ranking` of the result ranks all of it; it can be played
    on, audited and exported like any hunt.

    Parameters
    ----------
    hunt : Hunt or Path
        The hunt, opened on its own release; its path alone where that release is gone: then labels on objects that the
        new release does not hold cannot teach.
    release : Release
        Where to, made by the same encoder.
    out : Path or str
        The new file; it must not exist.
    who : str
        Who applies it.
    where : str, optional
        Condition on the new catalogue in place of the hunt's own; "" for none.

    Raises
    ------
    EncoderMismatch
        The release was made by another encoder.
    HuntError
        The file is no hunt, ``out`` is taken, or the hunt's own condition does not fit the new catalogue.
    """
    path, out, who = hunt.path if isinstance(hunt, Hunt) else Path(hunt), Path(out), checked_person(who)
    store = HuntStore.open(path)
    _check_encoder(store, release)
    _check_condition(store, release, where)
    moved, report = move_hunt(path, release, out, who)
    try:
        return _taught(hunt, moved, report, where, who)
    except BaseException:
        out.unlink()
        raise


def _taught(
    hunt: Hunt | Path | str, moved: Hunt, report: MoveReport, where: str | None, who: str
) -> tuple[Hunt, ApplyReport]:
    """Add what the labels on objects that the new release lacks teach, and the new condition."""
    names = {one.object_id: one.new_object_id or one.object_id for one in report.not_found}
    known = {example.object_id for example in moved.usable_examples}
    here = hunt.labels().values() if isinstance(hunt, Hunt) else ()
    states = [state for state in here if state.object_id in names and names[state.object_id] not in known]
    if isinstance(hunt, Hunt):
        with moved.store.writing() as connection:
            for example in _examples(hunt, [state for state in states if state.verdict in TEACHING], names):
                insert(connection, "examples", **example)
    if where is not None:
        moved.store.change_settings({"where": where.strip() or None}, who)
    applied = open_hunt(moved.path, moved.release)
    teaching = {example.object_id for example in applied.usable_examples if example.row is None}
    lost = [state for state in applied.lost_labels() if state.verdict in TEACHING]
    return applied, ApplyReport(
        moved=report,
        found=sum(state.verdict in TEACHING for state in applied.labels().values()),
        remembered=sum(state.object_id in teaching for state in lost),
        silent=tuple(state.object_id for state in lost if state.object_id not in teaching),
    )


def _examples(hunt: Hunt, states: list[LabelState], names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Labelled objects with the vectors that their own release has for them, as table rows of examples."""
    vectors = hunt.release.take(np.array([state.row for state in states], dtype=np.int64))  # (n, D)
    for state, vector in zip(states, vectors, strict=True):
        yield {
            "label": f"{REMEMBERED}{state.object_id} in {hunt.release.name}",
            "object_id": names[state.object_id],
            "verdict": state.verdict,
            "vector": np.asarray(vector, dtype="<f4").tobytes(),
            "encoder_checksum": hunt.release.encoder_checksum,
            "who": state.who,
            "when": state.when,
        }


def _check_encoder(store: HuntStore, release: Release) -> None:
    own = store.releases()[-1]
    if own.encoder_checksum != release.encoder_checksum:
        raise EncoderMismatch(
            f"{store.path.name} was played with the encoder {own.encoder_checksum[:12]} of {own.name}, but"
            f" {release.name} was made by {release.encoder_checksum[:12]}: index the new survey with"
            f" '--encoder {own.name}/encoder' and apply the hunt to that, or carry its labels to the other encoder"
            " with 'discovery hunt move'"
        )


def _check_condition(store: HuntStore, release: Release, where: str | None) -> None:
    condition = store.settings().where if where is None else where.strip() or None
    if condition is None:
        return
    try:
        release.catalogue.where(condition)
    except QueryError as problem:
        raise HuntError(
            f"the condition '{condition}' cannot be used in {release.name}: {problem} Give another one (--where)"
        ) from problem
