"""What a round is made of: a source of candidates, a ranking model that scores, and a chooser of what is shown.

Parts are small pure values that a hunt, real or simulated, combines by name; the fourth part, the stopper, stands in
`discovery.hunts.stoppers`. A strategy is written ``auto``, ``alpha:0.5``, ``top`` (see `STRATEGIES`), or as MODEL+CHOOSER from
`MODELS` and `CHOOSERS`, such as ``linear+alpha:0.9`` or ``gp+thompson``. Behind it may stand where candidates come from:
``@all`` ranks every object, ``@pool:2000`` a candidate pool of about 2000 from the release's index (`discovery.hunts.candidates.pool`), ``@exact``
every object by an engine that scans them, ``@near:5000`` shows only the 5000 candidates nearest to a positive. Without
it a hunt takes `all` in a small release and `pool` or `exact` in a large one (`discovery.hunts.candidates.default_source`).

A part is ``subset`` when it can work on a subset of the objects, because an object's score depends on that object and on
the labels alone; a part that is not needs every object at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from discovery.errors import HuntError
from discovery.hunts.alpha_rule import check_alpha
from discovery.hunts.candidates.pool import (
    GUIDE,
    SECOND_STAGE,
    ExactSource,
    PoolSource,
    Subset,
    best_by_guide,
)
from discovery.hunts.candidates.sources import AllSource, MaskSource, NearSource
from discovery.hunts.candidates.turn import Turn
from discovery.hunts.choosers import (
    AlphaChooser,
    Chooser,
    DiverseChooser,
    HighestChooser,
    ImprovementChooser,
    MixedChooser,
    Page,
    RandomChooser,
    ThompsonChooser,
    UncertainChooser,
)
from discovery.hunts.models.blend import BlendModel, GuardedModel
from discovery.hunts.models.ensemble import EnsembleModel
from discovery.hunts.models.fits import settings_of
from discovery.hunts.models.gaussian_process import GaussianProcessModel
from discovery.hunts.models.label_spreading import LabelSpreadingModel
from discovery.hunts.models.metric import AdaptedModel
from discovery.hunts.models.positive_unlabelled import PositiveUnlabelledModel
from discovery.hunts.models.ranking import Embeddings, Ranking, ScoringModel, TrainingSet
from discovery.hunts.models.registry import (
    ChanceModel,
    LinearModel,
    MeanModel,
    MlpModel,
    NearestModel,
    RankingModel,
    SimilarityModel,
)
from discovery.hunts.models.rescorer import RescorerConfig

Source = MaskSource | PoolSource | ExactSource
"""Where candidates come from: all are ranked and some may be shown, or only some are ranked."""


@dataclass(frozen=True, kw_only=True)
class HuntStrategy:
    """The parts of a round under the name that a person typed."""

    name: str
    model: RankingModel
    chooser: Chooser
    source: Source = dataclasses.field(default_factory=AllSource)

    @property
    def subset(self) -> bool:
        """Whether all parts can work on a subset of the objects."""
        return self.source.subset and self.model.subset and self.chooser.subset

    def rank(self, embeddings: Embeddings, training: TrainingSet, seed: int) -> Ranking:
        """Score every object by the model.

        Raises
        ------
        HuntError
            There is neither a positive nor a negative to start from.
        """
        return self.model.rank(embeddings, training, seed)

    @property
    def poolable(self) -> bool:
        """Whether the model can rank a pool by itself, and the chooser wants nothing but what a pool holds."""
        return isinstance(self.model, ScoringModel) and not isinstance(self.chooser, RandomChooser | MixedChooser)

    def play(self, turn: Turn) -> Page:
        """Rank, as far as the chooser needs it, and choose what is shown; the page holds the ranking."""
        if isinstance(self.source, PoolSource | ExactSource):
            local, ranking, record = self._pooled(turn, self.source)
            page = self.chooser.choose(local, lambda: ranking)
            assert ranking.rows is not None
            return dataclasses.replace(
                page, rows=ranking.rows[page.rows], ranking=ranking, source=record
            )
        made: list[Ranking] = []

        @cache
        def rank() -> Ranking:
            made.append(self.rank(turn.embeddings, turn.training, turn.seed))
            return made[0]

        turn = dataclasses.replace(turn, candidates=self.source.candidates(turn))
        page = self.chooser.choose(turn, rank)
        return dataclasses.replace(page, ranking=made[0] if made else None)

    def rank_turn(self, turn: Turn) -> tuple[Ranking, dict[str, Any] | None]:
        """Return the ranking of what `play` would rank, without choosing, and where it came from, as `Page.source`."""
        if isinstance(self.source, PoolSource | ExactSource):
            return self._pooled(turn, self.source)[1:]
        return self.rank(turn.embeddings, turn.training, turn.seed), None

    def _pooled(self, turn: Turn, source: PoolSource | ExactSource) -> tuple[Turn, Ranking, dict[str, Any]]:
        """The turn among gathered candidates alone, their ranking and where they came from."""
        assert isinstance(self.model, ScoringModel)  # parse_strategy saw to it
        signs = (1, -1) if isinstance(self.chooser, AlphaChooser) else (1,)
        learned = guide = self.model.learn(turn.embeddings, turn.training, turn.seed)
        if isinstance(source, PoolSource) and not learned.directions.size:
            guide = GUIDE.learn(turn.embeddings, turn.training, turn.seed)
        gathered = source.gather(turn, guide, signs)
        rows, record = gathered.rows, gathered.record
        vectors = turn.embeddings.take(rows)  # (m, D)
        if guide is not learned:
            most = max(int(SECOND_STAGE / self.model.multiplications(vectors.shape[1])), turn.page_size * len(signs))
            kept = best_by_guide(vectors, guide, most, signs, turn.candidates[rows])
            rows, vectors = rows[kept], vectors[kept]
            record = {**record, "second_stage": int(turn.candidates[rows].sum())}
        subset = Subset(vectors)
        ranking = dataclasses.replace(learned.rank(subset), rows=rows)
        local = dataclasses.replace(turn, embeddings=subset, candidates=turn.candidates[rows])
        return local, ranking, record

    def describe(self, dimension: int) -> dict[str, Any]:
        """Return names, settings and cost of the parts, for the record."""
        return {
            "source": settings_of(self.source),
            "model": settings_of(self.model),
            "chooser": settings_of(self.chooser),
            "subset": self.subset,
            "multiplications_an_object": self.model.multiplications(dimension),
        }


def parse_strategy(
    text: str, *, alpha: float = 0.5, config: RescorerConfig | None = None, source: str = AllSource.name
) -> HuntStrategy:
    """Return the strategy that a text names.

    Parameters
    ----------
    text : str
        A name of `STRATEGIES` or MODEL+CHOOSER; the alpha rule takes its alpha behind a colon.
    alpha : float
        Of an alpha rule without its own.
    config : RescorerConfig, optional
        Of the MLP.
    source : str
        Where candidates come from when the text does not name it.

    Raises
    ------
    HuntError
        No such strategy or part, parts that do not go together, or a number that is none, is not in its range or stands where none belongs.
    """
    rule, at, named = text.strip().partition("@")
    name, _, value = rule.partition(":")
    model, plus, chooser = STRATEGIES.get(name, name).partition("+")
    if not plus or model not in MODELS or chooser not in CHOOSERS:
        raise HuntError(
            f"unknown strategy {text!r}; choose from {', '.join(STRATEGIES)}, or MODEL+CHOOSER with a model of"
            f" {', '.join(MODELS)} and a chooser of {', '.join(CHOOSERS)}"
        )
    if ":" in rule and chooser != "alpha":
        raise HuntError(f"strategy {text!r}: {name} takes no number; leave out ':{value}'")
    scored_by: RankingModel = MlpModel(config=config or RescorerConfig()) if model == "mlp" else MODELS[model]()
    picker: Chooser = CHOOSERS[chooser]()
    if chooser == "alpha":
        picker = AlphaChooser(alpha=_alpha(text, value) if ":" in rule else alpha)
        check_alpha(picker.alpha)
    shown = f"{name}:{picker.alpha:g}" if isinstance(picker, AlphaChooser) else name
    made = HuntStrategy(
        name=shown + at + named, model=scored_by, chooser=picker, source=_source(text, named if at else source)
    )
    if isinstance(made.source, PoolSource | ExactSource) and not made.poolable:
        raise HuntError(f"strategy {text!r}: {model}+{chooser} needs every object, not a candidate pool; use @all")
    return made


MODELS: dict[str, Callable[[], RankingModel]] = {
    part.name: part
    for part in (
        MlpModel,
        SimilarityModel,
        MeanModel,
        NearestModel,
        LinearModel,
        PositiveUnlabelledModel,
        EnsembleModel,
        GaussianProcessModel,
        BlendModel,
        GuardedModel,
        AdaptedModel,
        LabelSpreadingModel,
        ChanceModel,
    )
}
CHOOSERS: dict[str, Callable[[], Chooser]] = {
    part.name: part
    for part in (
        AlphaChooser,
        HighestChooser,
        UncertainChooser,
        MixedChooser,
        DiverseChooser,
        ThompsonChooser,
        ImprovementChooser,
        RandomChooser,
    )
}
STRATEGIES = {
    "auto": "blend+highest",
    "alpha": "mlp+alpha",
    "top": "mlp+highest",
    "similarity": "similarity+highest",
    "linear": "linear+highest",
    "protege": "gp+improvement",
    "random": "chance+random",
}
"""Names for people, and the parts that they stand for."""


def _alpha(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise HuntError(f"strategy {text!r}: {value!r} is no number; write it like alpha:0.5") from None


SOURCES: dict[str, Callable[..., Source]] = {
    source.name: source for source in (NearSource, PoolSource, ExactSource)
}


def _source(text: str, source: str) -> Source:
    name, colon, value = source.partition(":")
    if name == AllSource.name and not colon:
        return AllSource()
    number = value.isdecimal() and len(value) <= 12
    if name not in SOURCES or not (number or (not colon and name != NearSource.name)):
        raise HuntError(
            f"strategy {text!r}: no candidates are known as {source!r}; write @all, @pool, @pool:2000, @exact or @near:5000"
        )
    return SOURCES[name](count=int(value)) if colon else SOURCES[name]()
