"""Audits of a hunt: draw stamps to be judged, and report how much the hunt has found.

An audit draws a sample, stratified by the present ranking, from what nobody has judged. Its stamps come within the
ordinary pages, marked and without a score; they are never candidates and never teach. The report rests on two assumptions:
verdicts are right, and a skipped stamp is like the others of its stratum. ``unsure`` counts as no target, since such an
object is on no list. Only primary rows within the hunt's filter count, each once; an object that the hunt itself skipped is
left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from discovery.errors import HuntError
from discovery.hunts.audits.design import (
    AuditDesign,
    design_audit,
    draw_strata,
    read_design,
    sample_of,
    strata_bounds,
)
from discovery.hunts.audits.estimates import Evidence
from discovery.hunts.audits.report import (
    DEFAULT_COMPLETENESS,
    DEFAULT_LABELS,
    AuditProgress,
    AuditReport,
    make_report,
)
from discovery.hunts.log.audits import add_audit, read_audit_design
from discovery.hunts.log.release_check import object_rows
from discovery.hunts.log.store import now
from discovery.hunts.log.validation import checked_person
from discovery.hunts.models.ranking import Ranking
from discovery.hunts.state import HuntState, read_state

if TYPE_CHECKING:
    from discovery.hunts.bound_hunt import BoundHunt
    from discovery.hunts.log.store import HuntStore

MOST_LABELS = 5000
LATEST_LABELS = 20
"""Of the hunt's latest labels, the share of positives that guesses the rate at the top."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """An audit as it was drawn: its number, the ``rows`` in the order in which they are to be judged, and its design."""

    number: int
    rows: np.ndarray
    object_ids: tuple[str, ...]
    design: AuditDesign


def draw_audit(hunt: BoundHunt, labels: int = DEFAULT_LABELS, *, who: str, seed: int | None = None) -> Audit:
    """Return an audit: stamps drawn from what has no label, to be judged; they come with the next rounds.

    Several audits of 100 find out more than one of 300, since each draws where the earlier ones found the most to learn.

    Parameters
    ----------
    labels : int
        Stamps to draw; fewer when fewer are left.
    who : str
        Who draws it.
    seed : int, optional
        Of the drawing; by default it follows from the hunt's own seed and the audit's number.

    Raises
    ------
    HuntError
        The number of labels is out of range, nothing is left, or stamps of an earlier audit still wait.
    """
    who = checked_person(who)
    with hunt.ranking_lock:
        return _drawn(hunt, labels, who, seed)


def _drawn(hunt: BoundHunt, labels: int, who: str, seed: int | None) -> Audit:
    """An audit, drawn and recorded."""
    if not 1 <= labels <= MOST_LABELS:
        raise HuntError(f"an audit of {labels} labels cannot be drawn; give 1 to {MOST_LABELS}")
    state = hunt.state()
    ranking, audited = hunt.ranking(state), _AuditedRows(hunt, state)
    waiting = audited.progress.waiting
    if waiting:
        stamps = f"{waiting} stamps of the audit still wait" if waiting > 1 else "a stamp of the audit still waits"
        raise HuntError(f"{stamps} for a label; label what waits before drawing more")
    free = audited.free
    if not free.any():
        raise HuntError("every object that this hunt may show has a label; nothing is left to audit")
    seed = _seed(state, state.mark.audit + 1) if seed is None else seed
    scores = ranking.order_scores.astype(np.float64)
    design = design_audit(
        scores,
        free,
        labels,
        share=_latest_share(state),
        bounds=audited.bounds(ranking),
        earlier=audited.evidence(scores),
        strategy=state.settings.strategy,
        model=ranking.model,
    )
    rows = draw_strata(design.members, np.array(design.drawn), seed)
    objects = [
        {**place, "stratum": int(design.members[row]), "score": float(ranking.order_scores[row])}
        for place, row in zip(object_rows(hunt.release, rows), rows.tolist(), strict=True)
    ]
    number = add_audit(
        hunt.store,
        seen=state.mark,
        seed=seed,
        digest=ranking.digest,
        design=design.document(),
        objects=objects,
        who=who,
        when=now(),
    )
    return Audit(number=number, rows=rows, object_ids=tuple(drawn["object_id"] for drawn in objects), design=design)


def report(hunt: BoundHunt, *, completeness: float = DEFAULT_COMPLETENESS, ranking: Ranking | None = None) -> AuditReport:
    """Return how many targets the release holds and how many of them the hunt has.

    All audits of the present release count, whatever was labelled after them, at the cuts of the present ranking.

    Parameters
    ----------
    completeness : float
        The completeness to advise on, above 0 and below 1.
    ranking : Ranking, optional
        The hunt's present ranking, if it is at hand.

    Raises
    ------
    HuntError
        No audit was drawn, or the completeness is out of range.
    """
    if not 0.0 < completeness < 1.0:
        raise HuntError(f"a completeness of {completeness:g} cannot be advised on; it must lie between 0 and 1")
    state = hunt.state()
    ranking, audited = ranking or hunt.ranking(state), _AuditedRows(hunt, state)
    if not audited.audits:
        raise HuntError("no audit has been drawn yet; draw one and label its stamps first")
    scores = ranking.order_scores.astype(np.float64)
    made = make_report(
        audited.evidence(scores),
        known=int(audited.targets.sum()),
        objects=int((audited.counted & ~audited.left_out).sum()),
        bounds=audited.bounds(ranking) or strata_bounds(scores[audited.unknown]),
        progress=audited.progress,
        requested=completeness,
    )
    return replace(made, curve=tuple(replace(cut, score=_shown(ranking, cut.score)) for cut in made.curve))


def waiting(store: HuntStore) -> list[int]:
    """Return the rows that an audit drew and that have no verdict yet, in the order drawn."""
    return read_state(store).waiting


def plot_report(report: AuditReport, path: Path | str) -> None:
    """Draw purity and completeness against the cut, with their bands; see `discovery.hunts.audits.plot`."""
    from discovery.hunts.audits.plot import draw_report

    draw_report(report, Path(path))


class _AuditedRows:
    """Masks over the release's rows, (N,) bool each, and the audits with what became of them."""

    def __init__(self, hunt: BoundHunt, state: HuntState) -> None:
        verdicts = {one.row: one.verdict for one in hunt.usable_examples if one.row is not None}
        verdicts |= {row: label.verdict for row, label in state.labels.items()}
        self.counted = hunt.allowed
        self.audits = state.current_audits
        designs = [read_audit_design(hunt.store, audit.number) for audit in self.audits]
        self.designs = [read_design(design, hunt.release.count) for design in designs]
        current = {audit.number for audit in self.audits}
        self.marks = {row: drawn for row, drawn in state.drawn.items() if drawn.audit in current}
        self.drawn = _mask(hunt.release.count, state.drawn)
        self.targets = self.counted & _mask(hunt.release.count, _rows(verdicts, "positive"))
        self.judged = _mask(hunt.release.count, _rows(verdicts, "positive", "negative", "unsure"))
        skipped = _mask(hunt.release.count, _rows(verdicts, "skipped"))
        self.left_out = self.counted & skipped & ~_mask(hunt.release.count, self.marks)
        self.unknown = self.counted & ~self.judged & ~self.left_out
        self.free = self.unknown & ~self.drawn
        here = _mask(hunt.release.count, self.marks)
        self.progress = AuditProgress(
            audits=len(self.audits),
            drawn=len(self.marks),
            judged=int((here & self.judged).sum()),
            skipped=int((here & skipped).sum()),
            waiting=int((here & ~self.judged & ~skipped).sum()),
        )

    def bounds(self, ranking: Ranking) -> tuple[float, ...] | None:
        """The strata of the latest audit while its ranking holds."""
        holds = bool(self.audits) and self.audits[-1].digest == ranking.digest
        return self.designs[-1].bounds if holds else None

    def evidence(self, scores: np.ndarray) -> Evidence:
        """What the audits found, by score."""
        samples, covered = [], np.zeros(len(scores), dtype=bool)
        for audit, design in zip(self.audits, self.designs, strict=True):
            rows = [row for row, mark in self.marks.items() if mark.audit == audit.number and self.judged[row]]
            sample, frame = sample_of(
                design, np.array(rows, dtype=np.int64), scores, self.targets, self.counted & ~self.left_out
            )
            samples.append(sample)
            covered |= frame
        return Evidence(scores[self.unknown], samples, blind=scores[self.unknown & ~covered])


def _latest_share(state: HuntState) -> float:
    """Share of positives among the latest decided labels of the hunt, with one of each added."""
    decided = sorted(
        (label.event, label.verdict == "positive")
        for row, label in state.labels.items()
        if row not in state.drawn and label.verdict in ("positive", "negative")
    )[-LATEST_LABELS:]
    return (1 + sum(positive for _, positive in decided)) / (2 + len(decided))


def _seed(state: HuntState, number: int) -> int:
    return int(np.random.SeedSequence([state.settings.seed, number, 1]).generate_state(1)[0])


def _shown(ranking: Ranking, score: float) -> float:
    """The order score as people see it."""
    one = replace(ranking, order_scores=np.array([score], dtype=np.float32))
    return float(one.shown(np.array([0]))[0])


def _rows(verdicts: Mapping[int, str], *kinds: str) -> list[int]:
    return [row for row, verdict in verdicts.items() if verdict in kinds]


def _mask(count: int, rows: Iterable[int]) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[np.array(list(rows), dtype=np.int64)] = True
    return mask
