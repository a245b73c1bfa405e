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
from discovery.hunts.audits.log import AuditLine, AuditMark, add_audit, audit_lines, audited
from discovery.hunts.audits.report import AuditReport, Progress, make_report
from discovery.hunts.log.binding import object_lines
from discovery.hunts.log.store import now
from discovery.hunts.log.validation import checked_person
from discovery.hunts.models.ranking import Ranking

if TYPE_CHECKING:
    from discovery.hunts.hunt import Hunt

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


def draw_audit(hunt: Hunt, labels: int = 100, *, who: str, seed: int | None = None) -> Audit:
    """Draw stamps to be judged from what has no label; they come with the next rounds.

    Several audits of 100 say more than one of 300, since each draws where the earlier ones found the most to learn.

    Parameters
    ----------
    labels : int
        Stamps to draw; fewer when fewer are left.
    who : str
        Who asks.
    seed : int, optional
        Of the drawing; by default it follows from the hunt's own seed and the audit's number.

    Raises
    ------
    HuntError
        The number of labels is out of range, nothing is left, or stamps of an earlier audit still wait.
    """
    who = checked_person(who)
    if not 1 <= labels <= MOST_LABELS:
        raise HuntError(f"an audit of {labels} labels cannot be drawn; ask for 1 to {MOST_LABELS}")
    seen, ranking, ground = hunt.store.mark(), hunt.ranking(), _Ground(hunt)
    waiting = ground.progress.waiting
    if waiting:
        stamps = f"{waiting} stamps of the audit still wait" if waiting > 1 else "a stamp of the audit still waits"
        raise HuntError(f"{stamps} for a label; label what waits before drawing more")
    free = ground.free
    if not free.any():
        raise HuntError("every object that this hunt may show has a label; nothing is left to audit")
    seed = _seed(hunt, seen.audit + 1) if seed is None else seed
    scores = ranking.order_scores.astype(np.float64)
    design = design_audit(
        scores,
        free,
        labels,
        share=_latest_share(hunt),
        bounds=ground.bounds(ranking),
        earlier=ground.evidence(scores),
        strategy=hunt.strategy,
        model=ranking.model,
    )
    rows = draw_strata(design.members, np.array(design.drawn), seed)
    objects = [
        {**line, "stratum": int(design.members[row]), "score": float(ranking.order_scores[row])}
        for line, row in zip(object_lines(hunt.release, rows), rows.tolist(), strict=True)
    ]
    number = add_audit(
        hunt.store,
        seen=seen,
        seed=seed,
        digest=ranking.digest,
        design=design.document(),
        objects=objects,
        who=who,
        when=now(),
    )
    return Audit(number=number, rows=rows, object_ids=tuple(line["object_id"] for line in objects), design=design)


def report(hunt: Hunt, *, completeness: float = 0.9, ranking: Ranking | None = None) -> AuditReport:
    """Report how many targets the release holds and how many of them the hunt has.

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
        No audit was drawn, or the wished completeness is out of range.
    """
    if not 0.0 < completeness < 1.0:
        raise HuntError(f"a completeness of {completeness:g} cannot be wished for; it must lie between 0 and 1")
    ranking = ranking or hunt.ranking()
    ground = _Ground(hunt)
    if not ground.lines:
        raise HuntError("no audit has been drawn yet; draw one and label its stamps first")
    scores = ranking.order_scores.astype(np.float64)
    made = make_report(
        ground.evidence(scores),
        known=int(ground.targets.sum()),
        objects=int((ground.counted & ~ground.left_out).sum()),
        bounds=ground.bounds(ranking) or strata_bounds(scores[ground.unknown]),
        progress=ground.progress,
        wished=completeness,
    )
    return replace(made, curve=tuple(replace(cut, score=_shown(ranking, cut.score)) for cut in made.curve))


def plot_report(report: AuditReport, path: Path | str) -> None:
    """Draw purity and completeness against the cut, with their bands; see `discovery.hunts.audits.plot`."""
    from discovery.hunts.audits.plot import draw_report

    draw_report(report, Path(path))


class _Ground:
    """Masks over the release's rows, (N,) bool each, and the audits with what became of them."""

    def __init__(self, hunt: Hunt) -> None:
        states = hunt.labels()
        verdicts = {one.row: one.verdict for one in hunt.usable_examples if one.row is not None}
        verdicts |= {row: state.verdict for row, state in states.items()}
        self.counted = hunt.allowed
        self.lines: list[AuditLine] = audit_lines(hunt.store)
        self.designs = [read_design(line.design, hunt.release.count) for line in self.lines]
        ever = audited(hunt.store)
        present = {line.number for line in self.lines}
        self.marks: dict[int, AuditMark] = {row: mark for row, mark in ever.items() if mark.audit in present}
        self.drawn = _mask(hunt.release.count, ever)
        self.targets = self.counted & _mask(hunt.release.count, _rows(verdicts, "positive"))
        self.judged = _mask(hunt.release.count, _rows(verdicts, "positive", "negative", "unsure"))
        skipped = _mask(hunt.release.count, _rows(verdicts, "skipped"))
        self.left_out = self.counted & skipped & ~_mask(hunt.release.count, self.marks)
        self.unknown = self.counted & ~self.judged & ~self.left_out
        self.free = self.unknown & ~self.drawn
        here = _mask(hunt.release.count, self.marks)
        self.progress = Progress(
            audits=len(self.lines),
            drawn=len(self.marks),
            judged=int((here & self.judged).sum()),
            skipped=int((here & skipped).sum()),
            waiting=int((here & ~self.judged & ~skipped).sum()),
        )

    def bounds(self, ranking: Ranking) -> tuple[float, ...] | None:
        """The strata of the latest audit while its ranking holds."""
        holds = bool(self.lines) and self.lines[-1].digest == ranking.digest
        return self.designs[-1].bounds if holds else None

    def evidence(self, scores: np.ndarray) -> Evidence:
        """What the audits say, by score."""
        samples, covered = [], np.zeros(len(scores), dtype=bool)
        for line, design in zip(self.lines, self.designs, strict=True):
            rows = [row for row, mark in self.marks.items() if mark.audit == line.number and self.judged[row]]
            sample, frame = sample_of(
                design, np.array(rows, dtype=np.int64), scores, self.targets, self.counted & ~self.left_out
            )
            samples.append(sample)
            covered |= frame
        return Evidence(scores[self.unknown], samples, blind=scores[self.unknown & ~covered])


def _latest_share(hunt: Hunt) -> float:
    """Share of positives among the latest decided labels of the hunt, with one of each added."""
    drawn = audited(hunt.store)
    decided = sorted(
        (state.event, state.verdict == "positive")
        for row, state in hunt.labels().items()
        if row not in drawn and state.verdict in ("positive", "negative")
    )[-LATEST_LABELS:]
    return (1 + sum(positive for _, positive in decided)) / (2 + len(decided))


def _seed(hunt: Hunt, number: int) -> int:
    return int(np.random.SeedSequence([hunt.settings().seed, number, 1]).generate_state(1)[0])


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
