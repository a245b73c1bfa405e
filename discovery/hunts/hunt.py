"""A hunt: labels and rounds on one release, kept in one file. What the command line, notebook and pages call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from discovery.errors import HuntError
from discovery.hunts.binding import check_release, example_lines, object_lines, release_line
from discovery.hunts.checks import checked_person, checked_settings
from discovery.hunts.labels import Example, LabelRequest, decided, labelled_rows, training_set
from discovery.hunts.measures import found_curve
from discovery.hunts.ranking import Ranking, rank, round_seed
from discovery.hunts.records import Counts, HuntInfo, LabelEvent, LabelState, Round, Undone, Verdict
from discovery.hunts.rescorer import RescorerConfig
from discovery.hunts.rounds import check_alpha, propose
from discovery.hunts.shelf import count_verdicts, describe
from discovery.hunts.store import HuntStore, now

if TYPE_CHECKING:
    import pyarrow as pa

    from discovery.prompts import Prompt
    from discovery.release import Release


def new_hunt(
    path: Path | str,
    release: Release,
    *,
    positives: Sequence[Prompt],
    negatives: Sequence[Prompt] = (),
    alpha: float = 0.5,
    page_size: int = 20,
    seed: int = 0,
    where: str | None = None,
    flagged: bool = True,
    who: str,
) -> Hunt:
    """Start a hunt in a new file.

    Parameters
    ----------
    path : Path or str
        The hunt's file; it must not exist.
    release : Release
        What to hunt in.
    positives, negatives : sequence of Prompt
        Examples; at least one positive. With both, the rescorer ranks from the first round on.
    alpha : float
        Threshold of the alpha rule, 0..1.
    page_size : int
        Objects a round.
    seed : int
        Of everything drawn at random.
    where : str, optional
        SQL condition on the catalogue that candidates must meet.
    flagged : bool
        Whether stars and flagged objects may be shown.
    who : str
        Who starts it.

    Raises
    ------
    HuntError
        No positive example, an object that is an example of both kinds, or a setting out of range.
    EncoderMismatch
        An example of another dimension than the release's.
    QueryError
        The condition cannot be understood.
    """
    path = Path(path)
    settings = {
        "name": path.stem,
        "alpha": alpha,
        "page_size": page_size,
        "seed": seed,
        "where": where,
        "flagged": flagged,
    }
    checked_settings(settings)
    if not positives:
        raise HuntError("a hunt starts from at least one positive example")
    if where is not None:
        release.catalogue.where(where)
    given = [*(("positive", prompt) for prompt in positives), *(("negative", prompt) for prompt in negatives)]
    examples, objects = example_lines(release, given)
    stamped = {"who": checked_person(who), "when": now()}
    HuntStore.create(
        path,
        {
            "settings": HuntStore.setting_lines(settings, stamped),
            "releases": [{**release_line(release, path), **stamped}],
            "objects": objects,
            "examples": [{**line, **stamped} for line in examples],
        },
    )
    return open_hunt(path, release)


def open_hunt(path: Path | str, release: Release) -> Hunt:
    """Open a hunt file, checked as if a stranger had made it, on its release.

    Raises
    ------
    HuntError
        The file is no hunt or damaged, or the release is not the one it was played on.
    EncoderMismatch
        The release was made with another encoder.
    """
    return Hunt(HuntStore.open(Path(path)), release)


class Hunt:
    """One hunt on one release; safe to share between threads, and between processes by its file."""

    def __init__(self, store: HuntStore, release: Release) -> None:
        self.release = release
        self._store = store
        self._bound = store.releases()[-1]
        check_release(store, release)

    @property
    def path(self) -> Path:
        """The hunt's file."""
        return self._store.path

    @property
    def alpha(self) -> float:
        """The alpha rule's threshold now."""
        return self._store.settings().alpha

    @property
    def page_size(self) -> int:
        """Objects a round."""
        return self._store.settings().page_size

    def info(self) -> HuntInfo:
        """Return the hunt's settings and counts."""
        return describe(self._store)

    # -- rounds

    def next_round(self, who: str, page_size: int | None = None) -> Round:
        """Rank all objects by the labels so far and record the next page.

        When another process records a round meanwhile, that round is returned. When nothing is left to
        show, the round has no rows (`Round.exhausted`) and is not recorded.

        Raises
        ------
        HuntError
            No positive or negative example or label is left to rank by.
        """
        who = checked_person(who)
        taken = self._store.snapshot()
        if page_size is not None:
            checked_settings({**msgspec.structs.asdict(taken.settings), "page_size": page_size})
        number = len(taken.rounds) + 1
        played = self._play(
            number,
            taken.states,
            taken.rounds,
            taken.last_event,
            alpha=taken.settings.alpha,
            page_size=taken.settings.page_size if page_size is None else page_size,
            seed=round_seed(taken.settings.seed, number),
            config=RescorerConfig(),
            who=who,
            when=now(),
        )
        if played.exhausted or self._store.add_round(played, object_lines(self.release, played.rows)):
            return played
        return self._store.rounds()[number - 1]

    def round(self) -> Round | None:
        """Return the latest round; None before the first."""
        rounds = self.rounds()
        return rounds[-1] if rounds else None

    def rounds(self) -> list[Round]:
        """Return all rounds as recorded."""
        return self._store.rounds()

    def replay(self, round_number: int) -> Round:
        """Compute a round again from the log as it stood; it equals the recorded one on the same kind of machine.

        Raises
        ------
        HuntError
            There is no such round, or it was played on another release before a move.
        """
        rounds = self.rounds()
        if not 1 <= round_number <= len(rounds):
            raise HuntError(f"there is no round {round_number}; the hunt has {len(rounds)}")
        recorded = rounds[round_number - 1]
        if recorded.release_id != self._bound["id"]:
            raise HuntError(f"round {round_number} was played on another release, before the hunt was moved")
        try:
            ranker, page_size = recorded.parts["ranker"], int(recorded.parts["chooser"]["page_size"])
            settings = {key: value for key, value in ranker.items() if key != "name"}
            config = RescorerConfig(**settings) if ranker["name"] == "mlp" else RescorerConfig()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise HuntError(f"the parts of round {round_number} are not known to this version") from None
        return self._play(
            round_number,
            self._store.states(recorded.last_event),
            rounds[: round_number - 1],
            recorded.last_event,
            alpha=recorded.alpha,
            page_size=page_size,
            seed=recorded.seed,
            config=config,
            who=recorded.who,
            when=recorded.when,
        )

    def set_alpha(self, alpha: float, who: str) -> None:
        """Change alpha from the next round on."""
        check_alpha(alpha)
        self._store.change_setting("alpha", alpha, who)

    # -- labels

    def label(
        self,
        row: int,
        verdict: Verdict,
        *,
        who: str,
        negative_class: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Log a verdict on the object of a row; it is durable when this returns.

        A duplicate's verdict goes to its primary row. ``cleared`` takes an earlier verdict back.

        Returns
        -------
        int
            Number of the event.

        Raises
        ------
        HuntError
            No such row or verdict, or a negative class on another verdict.
        """
        request = LabelRequest(row=row, verdict=verdict, negative_class=negative_class, reason=reason)
        return self.label_many([request], who=who)[0]

    def label_many(self, requests: Iterable[LabelRequest], *, who: str) -> list[int]:
        """Log several verdicts in one transaction: all of them or none; their event numbers."""
        requests = list(requests)
        rows = np.array([request.row for request in requests], dtype=np.int64)
        if len(rows) and not ((rows >= 0) & (rows < self.release.count)).all():
            raise HuntError(
                f"rows of {self.release.name} go from 0 to {self.release.count - 1}; {rows.tolist()} does not"
            )
        objects = object_lines(self.release, self.release.catalogue.primary_rows[rows])
        lines = [
            {
                **line,
                "verdict": request.verdict,
                "negative_class": request.negative_class,
                "reason": request.reason,
            }
            for line, request in zip(objects, requests, strict=True)
        ]
        return self._store.add_labels(lines, who)

    def undo(self, who: str) -> Undone | None:
        """Revert this person's latest label that is not undone yet; None when there is none.

        Other people's labels stay; anyone may change or clear any of them with `label`.
        """
        return self._store.undo(who)

    def labels(self) -> dict[int, LabelState]:
        """Return the present verdicts by row; examples, and objects that a move did not find, are not among them."""
        return {state.row: state for state in self._states() if state.row is not None}

    def lost_labels(self) -> list[LabelState]:
        """Return the verdicts on objects that a move did not find in this release."""
        return [state for state in self._states() if state.row is None]

    def log(self) -> list[LabelEvent]:
        """Return the label log, oldest first."""
        return self._store.log()

    def examples(self) -> list[Example]:
        """Return the examples that started the hunt."""
        return [
            Example(**{name: line[name] for name in Example.__annotations__})
            for line in self._store.examples()
        ]

    def counts(self) -> Counts:
        """Return how many objects have each verdict, examples not included."""
        return count_verdicts(self._states())

    def known_objects(self) -> list[dict[str, Any]]:
        """Return object_id, row, ra_deg, dec_deg and former_id of every object that the file names."""
        return self._store.objects()

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels given and positives found after each, both (n + 1,) int64 and from 0.

        Objects stand in the order of their first label and count with their present verdict.
        """
        first: dict[str, int] = {}
        for event in self.log():
            first.setdefault(event.object_id, event.event)
        states = sorted(self._states(), key=lambda state: first[state.object_id])
        return found_curve(np.array([state.verdict == "positive" for state in states], dtype=bool))

    # -- ranking of the whole release

    def ranking(self) -> Ranking:
        """Rank every object of the release by the labels so far, as the next round would."""
        taken = self._store.snapshot()
        seed = round_seed(taken.settings.seed, len(taken.rounds) + 1)
        return rank(self.release, self._training(taken.states), seed=seed)

    def export(
        self,
        path: Path | str,
        *,
        top: int | None = None,
        min_score: float | None = None,
        columns: Sequence[str] | None = None,
        stamps: Path | str | None = None,
        unfiltered: bool = False,
    ) -> pa.Table:
        """Write the labelled objects and, on request, the ranked rest; see `discovery.hunts.export.export_hunt`."""
        from discovery.hunts.export import export_hunt

        return export_hunt(
            self,
            Path(path),
            top=top,
            min_score=min_score,
            columns=columns,
            stamps=stamps,
            unfiltered=unfiltered,
        )

    @cached_property
    def allowed(self) -> np.ndarray:
        """Primary rows that meet the hunt's filter, (N,) bool: what it may show at all."""
        settings = self._store.settings()
        allowed = self.release.primary.copy()
        if settings.where is not None:
            allowed &= self.release.catalogue.where(settings.where)
        if not settings.flagged:
            allowed &= self.release.clean
        return allowed

    def _play(
        self,
        number: int,
        states: list[LabelState],
        before: list[Round],
        last_event: int,
        *,
        alpha: float,
        page_size: int,
        seed: int,
        config: RescorerConfig,
        who: str,
        when: str,
    ) -> Round:
        candidates = self.allowed.copy()
        candidates[labelled_rows(self.usable_examples, states)] = False
        positives, negatives = decided(states, before[-1].object_ids if before else ())
        ranking = rank(self.release, self._training(states), seed=seed, config=config)
        proposal = propose(
            ranking, candidates, positives=positives, negatives=negatives, alpha=alpha, page_size=page_size
        )
        settings = self._store.settings()
        return Round(
            number=number,
            strategy=proposal.strategy,
            parts={
                "candidates": {"name": "unlabelled", "where": settings.where, "flagged": settings.flagged},
                "ranker": ranking.model,
                "chooser": {"name": "alpha-rule", "page_size": page_size},
            },
            seed=seed,
            alpha=alpha,
            rows=proposal.rows,
            object_ids=tuple(line["object_id"] for line in object_lines(self.release, proposal.rows)),
            scores=proposal.scores,
            reasons=("",) * len(proposal.rows),
            digest=ranking.digest,
            positives=positives,
            negatives=negatives,
            why=proposal.why,
            last_event=last_event,
            release_id=self._bound["id"],
            who=who,
            when=when,
        )

    def _states(self) -> list[LabelState]:
        return [state for state in self._store.states() if state.verdict != "cleared"]

    def _training(self, states: list[LabelState]) -> Any:
        return training_set(self.release, self.usable_examples, states)

    @cached_property
    def usable_examples(self) -> list[Example]:
        """The examples that this release's encoder made."""
        return [one for one in self.examples() if one.encoder_checksum == self.release.encoder_checksum]
