"""A hunt: labels and rounds on one release, kept in one file. What the command line, notebook and pages call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import EncoderMismatch, HuntError
from discovery.hunts.labels import Example, LabelRequest, decided, labelled_rows, training_set
from discovery.hunts.measures import found_curve
from discovery.hunts.ranking import Ranking, rank, round_seed
from discovery.hunts.records import Counts, HuntInfo, LabelEvent, LabelState, Round, Undone, Verdict
from discovery.hunts.rescorer import RescorerConfig
from discovery.hunts.rounds import check_alpha, propose
from discovery.hunts.store import HuntStore, checked_person, now

if TYPE_CHECKING:
    import pyarrow as pa

    from discovery.prompts import Prompt
    from discovery.release import Release

MAX_PAGE_SIZE = 1000


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
    check_alpha(alpha)
    _check_page_size(page_size)
    if not 0 <= seed < 2**63:
        raise HuntError(f"the seed is {seed}; it must lie between 0 and 2^63 - 1")
    if not positives:
        raise HuntError("a hunt starts from at least one positive example")
    if where is not None:
        release.catalogue.where(where)
    given = [*(("positive", prompt) for prompt in positives), *(("negative", prompt) for prompt in negatives)]
    examples, objects = example_lines(release, given)
    stamped = {"who": checked_person(who), "when": now()}
    settings = {
        "name": path.stem,
        "alpha": alpha,
        "page_size": page_size,
        "seed": seed,
        "where": where,
        "flagged": flagged,
    }
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


def peek_hunt(path: Path | str) -> HuntInfo:
    """Say what a hunt file holds, without its release.

    Raises
    ------
    HuntError
        The file is no hunt, or damaged.
    """
    return _describe(HuntStore.open(Path(path)))


class Hunt:
    """One hunt on one release; safe to share between threads, and between processes by its file."""

    def __init__(self, store: HuntStore, release: Release) -> None:
        self.release = release
        self._store = store
        self._bound = store.releases()[-1]
        self._check_release()

    @property
    def path(self) -> Path:
        """The hunt's file."""
        return self._store.path

    @property
    def alpha(self) -> float:
        """The alpha rule's threshold now."""
        return float(self._store.settings()["alpha"])

    @property
    def page_size(self) -> int:
        """Objects a round."""
        return int(self._store.settings()["page_size"])

    def info(self) -> HuntInfo:
        """Return the hunt's settings and counts."""
        return _describe(self._store)

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
        number = len(taken.rounds) + 1
        played = self._play(
            number,
            taken.states,
            taken.rounds,
            taken.last_event,
            alpha=float(taken.settings["alpha"]),
            page_size=_check_page_size(page_size or int(taken.settings["page_size"])),
            seed=round_seed(int(taken.settings["seed"]), number),
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
        ranker = recorded.parts["ranker"]
        settings = {key: value for key, value in ranker.items() if key != "name"}
        return self._play(
            round_number,
            self._store.states(recorded.last_event),
            rounds[: round_number - 1],
            recorded.last_event,
            alpha=recorded.alpha,
            page_size=recorded.parts["chooser"]["page_size"],
            seed=recorded.seed,
            config=RescorerConfig(**settings) if ranker["name"] == "mlp" else RescorerConfig(),
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
        if len(rows) and not ((0 <= rows) & (rows < self.release.count)).all():
            raise HuntError(f"rows of {self.release.name} go from 0 to {self.release.count - 1}; {rows.tolist()} does not")
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
        return [Example(**{name: line[name] for name in Example.__annotations__}) for line in self._store.examples()]

    def counts(self) -> Counts:
        """Return how many objects have each verdict, examples not included."""
        return _counts(self._states())

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
        seed = round_seed(int(taken.settings["seed"]), len(taken.rounds) + 1)
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
            self, Path(path), top=top, min_score=min_score, columns=columns, stamps=stamps, unfiltered=unfiltered
        )

    @cached_property
    def allowed(self) -> np.ndarray:
        """Primary rows that meet the hunt's filter, (N,) bool: what it may show at all."""
        settings = self._store.settings()
        allowed = self.release.primary.copy()
        if settings["where"] is not None:
            allowed &= self.release.catalogue.where(settings["where"])
        if not settings["flagged"]:
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
                "candidates": {"name": "unlabelled", "where": settings["where"], "flagged": settings["flagged"]},
                "ranker": ranking.model,
                "chooser": {"name": "alpha-rule", "page_size": page_size},
            },
            seed=seed,
            alpha=alpha,
            rows=proposal.rows,
            object_ids=tuple(line["object_id"] for line in object_lines(self.release, proposal.rows)),
            scores=proposal.scores,
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

    def _check_release(self) -> None:
        """Compare encoder, size and the names of all objects in the file with the release's."""
        bound, release = self._bound, self.release
        advice = "open its own release or carry it over with 'discovery hunt move'"
        if bound["encoder_checksum"] != release.encoder_checksum:
            raise EncoderMismatch(f"{self.path.name} was played with another encoder than {release.name}'s; {advice}")
        if bound["count"] != release.count or bound["dimension"] != release.dimension:
            raise HuntError(
                f"{self.path.name} belongs to {bound['name']} with {bound['count']} objects;"
                f" {release.name} has {release.count}; {advice}"
            )
        known = [line for line in self._store.objects() if line["row"] is not None]
        rows = [line["row"] for line in known]
        if any(not 0 <= row < release.count for row in rows):
            raise HuntError(f"{self.path.name} names rows that {release.name} does not have; {advice}")
        names = release.catalogue.rows(rows, ["object_id"])["object_id"].to_pylist()
        for line, name in zip(known, names, strict=True):
            if line["object_id"] != name:
                raise HuntError(
                    f"row {line['row']} of {release.name} is {name}, but {self.path.name} knows it as"
                    f" {line['object_id']}; {advice}"
                )
        if any(one.vector.shape != (release.dimension,) for one in self.usable_examples):
            raise HuntError(f"{self.path.name} holds an example whose vector is damaged")


def release_line(release: Release, hunt: Path) -> dict[str, Any]:
    """Return what a hunt file remembers of its release."""
    return {
        "name": release.name,
        "path": str(Path(release.path).resolve()),
        "relative_path": os.path.relpath(Path(release.path).resolve(), hunt.resolve().parent),
        "encoder_checksum": release.encoder_checksum,
        "dimension": release.dimension,
        "count": release.count,
    }


def object_lines(release: Release, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
    """Return name and position of some rows, in the given order, as the hunt file keeps them."""
    table = release.catalogue.rows(np.asarray(rows, dtype=np.int64), ["row", "object_id", "ra", "dec"])
    return [
        {"object_id": line["object_id"], "row": line["row"], "ra_deg": line["ra"], "dec_deg": line["dec"]}
        for line in table.to_pylist()
    ]


def example_lines(
    release: Release, given: Sequence[tuple[str, Prompt]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of (verdict, prompt) pairs as examples, and of the objects that they are.

    Raises
    ------
    EncoderMismatch
        A prompt made by another encoder than the release's.
    HuntError
        An object that is an example of both kinds.
    """
    kinds: dict[int, str] = {}
    examples: list[dict[str, Any]] = []
    for verdict, prompt in given:
        if prompt.encoder_checksum != release.encoder_checksum or prompt.vector.shape != (release.dimension,):
            raise EncoderMismatch(f"example {prompt.label} was seen by another encoder than {release.name}'s; make it again")
        name = None
        if prompt.row is not None:
            (line,) = object_lines(release, [release.catalogue.primary_rows[prompt.row]])
            name = line["object_id"]
            if kinds.setdefault(line["row"], verdict) != verdict:
                raise HuntError(f"{name} is given both as a positive and as a negative example")
        examples.append(
            {
                "label": prompt.label,
                "object_id": name,
                "verdict": verdict,
                "vector": np.asarray(prompt.vector, dtype="<f4").tobytes(),
                "encoder_checksum": prompt.encoder_checksum,
            }
        )
    return examples, object_lines(release, sorted(kinds))


def _check_page_size(page_size: int) -> int:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise HuntError(f"the page size is {page_size}; it must lie between 1 and {MAX_PAGE_SIZE}")
    return page_size


def _counts(states: list[LabelState]) -> Counts:
    verdicts = [state.verdict for state in states]
    return Counts(
        positive=verdicts.count("positive"),
        negative=verdicts.count("negative"),
        unsure=verdicts.count("unsure"),
        skipped=verdicts.count("skipped"),
    )


def _describe(store: HuntStore) -> HuntInfo:
    taken, bound, log = store.snapshot(), store.releases()[-1], store.log()
    who, created = store.first_line()
    kinds = [line["verdict"] for line in store.examples()]
    return HuntInfo(
        path=store.path,
        created=created,
        who=who,
        release_name=bound["name"],
        release_path=bound["path"],
        relative_path=bound["relative_path"],
        encoder_checksum=bound["encoder_checksum"],
        dimension=bound["dimension"],
        count=bound["count"],
        examples_positive=kinds.count("positive"),
        examples_negative=kinds.count("negative"),
        counts=_counts(taken.states),
        rounds=len(taken.rounds),
        last_label=log[-1].when if log else None,
        **{key: taken.settings[key] for key in ("name", "alpha", "page_size", "seed", "where", "flagged")},
    )
