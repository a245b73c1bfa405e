"""How a round follows from what a hunt holds: the same input gives the same round, today or in a replay."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from discovery import __version__
from discovery.hunts.alpha_rule import propose
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.choosers import Page
from discovery.hunts.log.records import AUDIT, LabelState, Round
from discovery.hunts.models.ranking import rank
from discovery.hunts.rounds.labels import decided, labelled_rows, training_set
from discovery.hunts.rounds.recorded_parts import packed_rows
from discovery.hunts.rounds.round_input import Exclusion, HuntContext, RoundInput
from discovery.hunts.stoppers import NEVER, History, parse_stopper
from discovery.hunts.strategies import HuntStrategy, parse_strategy

EXHAUSTED = "every object that this hunt may show has a label"


def play(context: HuntContext, given: RoundInput, *, who: str, when: str, versions: dict[str, str] | None = None) -> Round:
    """Play a round by the strategy: rank, choose, and mix in what waits for the audit.

    Audit stamps take at most half of a page, unless the rest of it would be empty.

    Raises
    ------
    HuntError
        No such strategy, or no positive or negative example or label is left to rank by.
    """
    strategy = parse_strategy(given.strategy, alpha=given.alpha, config=given.config, source=given.source)
    drawn = set(given.audit_rows)
    candidates = _candidates(context, given)
    waiting = _waiting(given, int(np.count_nonzero(candidates)))
    ordinary = [state for state in given.states if state.row not in drawn]
    positives, negatives = decided(ordinary, _ordinary_names(given.before[-1]) if given.before else ())
    turn = Turn(
        embeddings=context.release,
        training=training_set(context.release, context.examples, ordinary),
        candidates=candidates,
        positives=positives,
        negatives=negatives,
        page_size=given.page_size - len(waiting),
        seed=given.seed,
        latest=_latest(given, context),
        nearby=context.nearby,
        engine=context.engine,
    )
    page = _page(strategy, turn, len(waiting))
    ranking = page.ranking
    assert ranking is not None
    rows, reasons = _mixed(page, waiting, given.seed)
    scores, ranked = np.full(len(rows), np.nan, dtype=np.float32), np.array(reasons, dtype=object) != AUDIT
    scores[ranked] = ranking.shown(rows[ranked])
    parts = {
        "candidates": {
            "name": "unlabelled",
            "where": context.where,
            "flagged": context.flagged,
            **({} if context.cone is None else {"cone": context.cone}),
            **_without(given.exclusion),
            **({} if page.source is None else {"source": page.source}),
        },
        "ranker": ranking.model,
        "chooser": {**strategy.describe(context.release.dimension)["chooser"], "page_size": given.page_size},
        "strategy": given.strategy,
        "consensus": given.consensus,
        "audits": given.audit,
        **_advice(context, given, ordinary),
        "versions": versions or present_versions(),
    }
    return Round(
        number=given.number,
        strategy=page.did,
        parts=json.loads(json.dumps(parts)),
        seed=given.seed,
        alpha=getattr(strategy.chooser, "alpha", given.alpha),
        rows=rows,
        object_ids=_names(context, rows),
        scores=scores,
        reasons=reasons,
        digest=ranking.digest,
        positives=positives,
        negatives=negatives,
        why=page.why,
        last_event=given.last_event,
        release_id=context.release_id,
        who=who,
        when=when,
    )


def play_published(context: HuntContext, given: RoundInput, *, who: str, when: str) -> Round:
    """Play a round as files of version 1 recorded it: the published alpha rule, nothing else."""
    candidates = _candidates(context, given)
    positives, negatives = decided(given.states, given.before[-1].object_ids if given.before else ())
    training = training_set(context.release, context.examples, given.states)
    ranking = rank(context.release, training, seed=given.seed, config=given.config)
    proposal = propose(
        ranking,
        candidates,
        positives=positives,
        negatives=negatives,
        alpha=given.alpha,
        page_size=given.page_size,
    )
    return Round(
        number=given.number,
        strategy=proposal.strategy,
        parts={
            "candidates": {"name": "unlabelled", "where": context.where, "flagged": context.flagged},
            "ranker": {key: value for key, value in ranking.model.items() if key != "weights"},
            "chooser": {"name": "alpha-rule", "page_size": given.page_size},
        },
        seed=given.seed,
        alpha=given.alpha,
        rows=proposal.rows,
        object_ids=_names(context, proposal.rows),
        scores=proposal.scores,
        reasons=("",) * len(proposal.rows),
        digest=ranking.digest,
        positives=positives,
        negatives=negatives,
        why=proposal.why,
        last_event=given.last_event,
        release_id=context.release_id,
        who=who,
        when=when,
    )


@cache
def present_versions() -> dict[str, str]:
    """Return what a round's last digits may depend on, for the record."""
    return {
        "discovery": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),
        "blas": _blas(),
        "machine": platform.machine(),
    }


def _blas() -> str:
    """The library that multiplies numpy's matrices: its version, and the kind of processor that it works for."""
    loaded = [one for one in threadpool_info() if one["user_api"] == "blas"]
    used = [one for one in loaded if "numpy" in one["filepath"]] or loaded
    named = {f"{one['internal_api']} {one['version']} {one.get('architecture', '')}".strip() for one in used}
    return ", ".join(sorted(named)) or "unknown"


def _candidates(context: HuntContext, given: RoundInput) -> np.ndarray:
    """What may be shown in this round, (N,) bool."""
    candidates = context.allowed.copy()
    candidates[labelled_rows(context.examples, given.states)] = False
    candidates[np.array(given.audit_rows, dtype=np.int64)] = False
    if given.exclusion is not None:
        candidates[given.exclusion.rows] = False
    return candidates


def _latest(given: RoundInput, context: HuntContext) -> np.ndarray:
    """What the round before showed by itself, (n,) int64; nothing of another release."""
    if not given.before or given.before[-1].release_id != context.release_id:
        return np.empty(0, dtype=np.int64)
    played = given.before[-1]
    own = (np.array(played.reasons, dtype=object) != AUDIT) & (played.rows >= 0)
    return played.rows[own]


def _waiting(given: RoundInput, candidates: int) -> list[int]:
    """The audit rows of this page: drawn, without a verdict, first come first served."""
    done = {state.row for state in given.states if state.verdict != "cleared"}
    most = max(1, given.page_size // 2, given.page_size - candidates)
    return [row for row in given.audit_rows if row not in done][:most]


def _ordinary_names(played: Round) -> list[str]:
    """What a round showed without the audit's stamps: neither alpha rule nor stopper counts them."""
    return [name for name, reason in zip(played.object_ids, played.reasons, strict=True) if reason != AUDIT]


def _advice(context: HuntContext, given: RoundInput, ordinary: Sequence[LabelState]) -> dict[str, str]:
    """The stopper and, where it would end the hunt, why, for the record; nothing for a hunt without one."""
    if given.stopper == NEVER:
        return {}
    verdicts = {state.object_id: state.verdict for state in ordinary if state.verdict in ("positive", "negative")}
    pages = [[verdicts[name] == "positive" for name in _ordinary_names(played) if name in verdicts] for played in given.before]
    history = History(
        pages=[np.array(page, dtype=bool) for page in pages if page],
        objects=int(np.count_nonzero(context.allowed)) - len(labelled_rows(context.examples, ())) - len(given.audit_rows),
    )
    return {"stopper": given.stopper, "advice": parse_stopper(given.stopper).stop(history) or ""}


def _page(strategy: HuntStrategy, turn: Turn, waiting: int) -> Page:
    """The strategy's page with its ranking; a page that it has no room or nothing for is empty."""
    empty = Page(rows=np.empty(0, dtype=np.int64), reasons=(), did="nothing", why=EXHAUSTED)
    page = strategy.play(turn) if turn.page_size > 0 and turn.candidates.any() else empty
    if waiting:
        stamps = f"{waiting} stamp{'s' * (waiting > 1)} of the audit"
        why = f"{page.why}; {stamps} among them" if len(page.rows) else stamps
        page = replace(page, why=why, did=page.did if len(page.rows) else AUDIT)
    if page.ranking is not None:
        return page
    ranking, source = strategy.rank_turn(turn)
    return replace(page, ranking=ranking, source=source)


def _mixed(page: Page, waiting: list[int], seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The page with the audit's stamps at places drawn with the seed; each kind keeps its order."""
    total = len(page.rows) + len(waiting)
    places = np.zeros(total, dtype=bool)
    places[np.random.default_rng([seed, 1]).permutation(total)[: len(waiting)]] = True
    rows, reasons = np.empty(total, dtype=np.int64), np.full(total, AUDIT, dtype=object)
    rows[places], rows[~places] = waiting, page.rows
    reasons[~places] = page.reasons
    return rows, tuple(reasons.tolist())


def _without(exclusion: Exclusion | None) -> dict[str, Any]:
    if exclusion is None:
        return {}
    return {
        "without": exclusion.what,
        "sha256": list(exclusion.sha256),
        **packed_rows(exclusion.rows),
    }


def _names(context: HuntContext, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(place["object_id"] for place in context.places.of(rows))
