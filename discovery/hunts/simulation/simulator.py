"""Many simulated hunts at once: strategies x starting examples x seeds, on several processes, with their measures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from tqdm import tqdm

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import check_alpha
from discovery.hunts.log.validation import MAX_PAGE_SIZE
from discovery.hunts.settings import checked_stopper
from discovery.hunts.simulation import measures
from discovery.hunts.simulation.indexed_embeddings import IndexedEmbeddings
from discovery.hunts.simulation.processes import spread_out
from discovery.hunts.simulation.sets import HuntSet
from discovery.hunts.simulation.simulate import ArrayEmbeddings, PlayedHunt, check_noise, play_hunt
from discovery.hunts.strategies import parse_strategy
from discovery.processes.cores import usable_cores

CHECKPOINTS = (50, 100, 200, 500)
"""Labels given after which the share of the ideal is measured."""
SHARES = (50, 80, 95)
"""Per cent of the targets for which the labels needed are counted."""


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """How hunts are played.

    Attributes
    ----------
    strategies : tuple of str
        As `discovery.hunts.strategies.parse_strategy` reads them.
    alpha : float
        Of an alpha rule that does not name its own.
    examples : tuple of int
        Positive examples to start from; hunts are played with each of these numbers.
    negative_examples : int
        Negative examples beside them.
    noise : float
        Chance of a wrong click.
    seeds : int
        Hunts with the seeds 0 .. seeds - 1.
    named_negatives : bool
        The person names what each negative is, by the set's kinds.
    stopper : str
        As `discovery.hunts.stoppers.parse_stopper` reads it; measured, not obeyed.
    index : str
        What a candidate pool searches: ``exact``, or ``ivf`` with what an inverted file misses (`IndexedEmbeddings`).
    """

    strategies: tuple[str, ...] = ("alpha", "top")
    alpha: float = 0.5
    examples: tuple[int, ...] = (5,)
    negative_examples: int = 0
    rounds: int = 10
    page_size: int = 10
    noise: float = 0.0
    seeds: int = 10
    named_negatives: bool = False
    stopper: str = "never"
    index: str = "exact"

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        check_alpha(self.alpha)
        check_noise(self.noise)
        checked_stopper(self.stopper)
        for what, least, most in (("rounds", 1, 10_000), ("page_size", 1, MAX_PAGE_SIZE), ("seeds", 1, 10_000)):
            if not least <= getattr(self, what) <= most:
                raise HuntError(f"{what} is {getattr(self, what)}; it must lie between {least} and {most}")
        if not self.strategies or not self.examples:
            raise HuntError("name at least one strategy and one number of examples")
        if self.index not in ("exact", "ivf"):
            raise HuntError(f"no index is known as {self.index!r}; choose exact or ivf")
        if min(self.examples) < 0 or self.negative_examples < 0:
            raise HuntError("the number of examples cannot be below 0")
        for strategy in self.strategies:
            parse_strategy(strategy, alpha=self.alpha)


@dataclass(frozen=True, kw_only=True)
class Game:
    """One hunt: its seed, the positives found after 0, 1, 2 ... labels, and its measures (inf: never reached)."""

    seed: int
    found: list[int]
    measures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and 10 % and 90 % quantile over the seeds that have the measure; ``seeds`` counts those with a finite one.

    A seed that never reached its aim counts as later than all others; a quantile among such seeds is inf.
    """

    median: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one strategy did from one number of examples.

    Attributes
    ----------
    curve : dict
        ``labels``, and ``median``, ``low`` (10 %), ``high`` (90 %) of the positives found after so many.
    """

    strategy: str
    parts: dict[str, Any]
    examples: int
    curve: dict[str, list[float]]
    measures: dict[str, Spread]
    games: list[Game]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """All hunts played on one set; see `discovery.hunts.simulation.measures` for what the measures are."""

    name: str
    source: str
    objects: int
    targets: int
    prevalence: float
    kinds: int
    lookalikes: int
    dimension: int
    jobs: int
    config: SimulationConfig
    results: list[Result]


def simulate(hunt_set: HuntSet, config: SimulationConfig, *, jobs: int | None = None) -> Simulation:
    """Play every strategy with every number of examples and every seed.

    Parameters
    ----------
    jobs : int, optional
        Processes; as many as cores by default. Seconds a round are wall time while so many play at once.

    Raises
    ------
    HuntError
        Fewer targets than examples plus one, fewer others than negative examples, or less than one job.
    """
    jobs = usable_cores() if jobs is None else jobs
    if jobs < 1:
        raise HuntError(f"jobs is {jobs}; give at least 1")
    check_size(hunt_set, config)
    tasks = [
        (strategy, examples, seed)
        for strategy in config.strategies
        for examples in config.examples
        for seed in range(config.seeds)
    ]
    jobs = min(jobs, len(tasks))
    with spread_out(partial(_play, config), hunt_set, jobs) as played:
        games = list(tqdm(played(tasks), total=len(tasks), desc=hunt_set.name, unit="hunt", disable=None))
    results = []
    for start in range(0, len(tasks), config.seeds):
        strategy, examples, _ = tasks[start]
        results.append(_result(hunt_set, config, strategy, examples, games[start : start + config.seeds]))
    return Simulation(
        name=hunt_set.name,
        source=hunt_set.source,
        objects=len(hunt_set.truth),
        targets=hunt_set.targets,
        prevalence=hunt_set.prevalence,
        kinds=0 if hunt_set.kinds is None else len(set(hunt_set.kinds[hunt_set.truth].tolist()) - {""}),
        lookalikes=0 if hunt_set.lookalikes is None else int(hunt_set.lookalikes.sum()),
        dimension=hunt_set.vectors.shape[1],
        jobs=jobs,
        config=config,
        results=results,
    )


def check_size(hunt_set: HuntSet, config: SimulationConfig) -> None:
    """Raise HuntError unless the set has the examples, something to find beside them, and the kinds that are needed."""
    if config.named_negatives and hunt_set.kinds is None:
        raise HuntError(f"{hunt_set.name}: negatives can only be named where the set has kinds; name their column")
    others = len(hunt_set.truth) - hunt_set.targets
    if hunt_set.targets <= max(config.examples) or others < config.negative_examples:
        raise HuntError(
            f"{hunt_set.name}: {hunt_set.targets} targets and {others} others are too few for {max(config.examples)} positive"
            f" and {config.negative_examples} negative examples and something to find"
        )


def measure(hunt_set: HuntSet, played: PlayedHunt) -> dict[str, float]:
    """Return every measure of one hunt; targets and objects to find exclude the examples."""
    truth, found = hunt_set.truth, played.found
    offered = np.ones(len(truth), bool)
    offered[played.examples] = False
    targets, objects = int(truth[offered].sum()), int(offered.sum())
    left = offered.copy()
    left[played.shown] = False
    scores, true = played.ranking[left], truth[left]
    values = {"positives_found": float(found.sum()), "wrong_clicks": float((played.answers != truth[played.shown]).sum())}
    values |= {f"share_of_ideal_{n}": measures.share_of_ideal(found, targets, n) for n in CHECKPOINTS}
    values |= {"loss": measures.area_loss(found, targets, objects)}
    values |= {f"labels_for_{share}": measures.labels_needed(found, targets, share / 100) for share in SHARES}
    values |= {f"precision_{n}": measures.precision_at(scores, true, n) for n in (20, 100)}
    values |= {
        "precision_n_true": measures.precision_at(scores, true, int(true.sum())),
        "aupr": measures.average_precision(scores, true),
        "auroc": measures.area_under_roc(scores, true),
        "ndcg_10": measures.ndcg_at(scores, true, 10),
        "seconds_a_round": float(np.median(played.seconds)),
    }
    if hunt_set.kinds is not None:
        values["kinds_found"] = measures.kinds_found(hunt_set.kinds[offered & truth], hunt_set.kinds[played.shown[found]])
    if hunt_set.lookalikes is not None:
        among = true | hunt_set.lookalikes[left]
        values["lookalike_precision_n_true"] = measures.precision_at(scores[among], true[among], int(true.sum()))
        values["lookalike_aupr"] = measures.average_precision(scores[among], true[among])
    return values


def _result(
    hunt_set: HuntSet, config: SimulationConfig, strategy: str, examples: int, games: list[Game]
) -> Result:
    parts = parse_strategy(strategy, alpha=config.alpha)
    median, low, high = measures.band(np.array([game.found for game in games]))
    return Result(
        strategy=parts.name,
        parts=parts.describe(hunt_set.vectors.shape[1]),
        examples=examples,
        curve={
            "labels": list(range(len(median))),
            "median": median.tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        },
        measures={key: _spread([game.measures[key] for game in games]) for key in games[0].measures},
        games=games,
    )


def _spread(values: list[float]) -> Spread:
    known = np.sort([value for value in values if not math.isnan(value)])
    if not len(known):
        return Spread(median=math.nan, low=math.nan, high=math.nan, seeds=0)
    low, median, high = (_quantile(known, share) for share in (0.1, 0.5, 0.9))
    return Spread(median=median, low=low, high=high, seeds=int(np.isfinite(known).sum()))


def _quantile(ordered: np.ndarray, share: float) -> float:
    """Interpolate linearly as numpy does; inf where a neighbour with any weight is inf."""
    place = share * (len(ordered) - 1)
    low, weight = int(place), place - int(place)
    if weight < 1e-9:
        return float(ordered[low])
    return float(ordered[low] * (1 - weight) + ordered[low + 1] * weight)


@lru_cache(maxsize=1)
def _embeddings(hunt_set: HuntSet, index: str) -> ArrayEmbeddings:
    return IndexedEmbeddings(hunt_set.vectors) if index == "ivf" else ArrayEmbeddings(hunt_set.vectors)


def _play(config: SimulationConfig, hunt_set: HuntSet, task: tuple[str, int, int]) -> Game:
    strategy, examples, seed = task
    played = play_hunt(
        _embeddings(hunt_set, config.index),
        hunt_set.truth,
        strategy=strategy,
        examples=examples,
        negative_examples=config.negative_examples,
        rounds=config.rounds,
        page_size=config.page_size,
        alpha=config.alpha,
        noise=config.noise,
        seed=seed,
        negative_classes=hunt_set.kinds if config.named_negatives else None,
        stopper=config.stopper,
    )
    found = np.concatenate([[0], np.cumsum(played.found, dtype=np.int64)])
    values = measure(hunt_set, played)
    if config.stopper != "never":
        targets = hunt_set.targets - examples
        values["stop_labels"] = math.inf if played.stopped is None else float(played.stopped)
        values["stop_recall"] = math.nan if played.stopped is None else float(found[played.stopped] / targets)
    return Game(seed=seed, found=found.tolist(), measures=values)
