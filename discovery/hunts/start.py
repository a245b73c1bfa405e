"""Start a hunt in a new file, or open one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discovery.errors import HuntError
from discovery.hunts.hunt import Hunt
from discovery.hunts.log.release_check import check_release, example_rows, release_row
from discovery.hunts.log.store import HuntStore, now
from discovery.hunts.log.validation import DEFAULT_PAGE_SIZE, LATEST, checked_person, checked_settings
from discovery.hunts.settings import ALPHA, checked_choices, chosen_strategy
from discovery.hunts.stoppers import NEVER
from discovery.search.filters import filtered_rows
from discovery.search.prompts import resolve_prompts
from discovery.search.query import Query, query_of

if TYPE_CHECKING:
    from discovery.hunts.candidates.nearby import Engine
    from discovery.release.release import Release
    from discovery.search.prompts import Prompt


def new_hunt(
    path: Path | str,
    release: Release,
    *,
    query: Query | None = None,
    positives: Sequence[Prompt] | None = None,
    negatives: Sequence[Prompt] | None = None,
    strategy: str | None = None,
    alpha: float | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
    seed: int = 0,
    where: str | None = None,
    cone: str | Sequence[float] | None = None,
    include_flagged: bool = False,
    flagged: bool | None = None,
    consensus: str = LATEST,
    stopper: str = NEVER,
    who: str,
) -> Hunt:
    """Return a hunt started in a new file.

    Parameters
    ----------
    path : Path or str
        The hunt's file; it must not exist.
    release : Release
        What to hunt in.
    query : Query, optional
        What the hunt is started from, in place of where, cone and include_flagged: its filters hold in every round, and
        the file keeps the whole of it.
    positives, negatives : sequence of Prompt, optional
        Examples; by default those that the query names. At least one positive. With both, the rescorer ranks from the first
        round on.
    strategy : str, optional
        How rounds rank and choose (see `discovery.hunts.strategies`); ``auto`` by default, or ``alpha``, the published
        rule, when an alpha is given.
    alpha : float, optional
        Threshold of the alpha rule, 0..1; 0.5 by default. Other strategies do without it.
    page_size : int
        Objects a round.
    seed : int
        Of everything drawn at random.
    where : str, optional
        SQL condition on the catalogue that candidates must meet.
    cone : str or sequence of float, optional
        Part of the sky that candidates lie in: ``RA,DEC,RADIUS``, or degrees, degrees and arcsec.
    include_flagged : bool
        Whether stars and flagged objects may be shown.
    flagged : bool, optional
        The former name of ``include_flagged``.
    consensus : str
        What holds when several people label: ``latest``, ``majority`` or ``arbiter:NAME``.
    stopper : str
        What advises to stop, in `Round.advice`: ``never``, ``dry:N`` or ``hypergeometric:R``.
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
    path, given = Path(path), query
    typed = {"where": where, "cone": cone, "include_flagged": include_flagged or None, "flagged": flagged}
    query = query_of(query, {name: value for name, value in typed.items() if value is not None})
    settings = {
        "name": path.stem,
        "alpha": ALPHA if alpha is None else alpha,
        "page_size": page_size,
        "seed": seed,
        "where": query.where,
        "flagged": query.include_flagged,
        **({} if query.cone is None else {"cone": str(query.cone)}),
        **({} if given is None else {"query": given.to_values()}),
        **checked_choices(strategy=chosen_strategy(strategy, alpha), consensus=consensus, stopper=stopper),
    }
    checked_settings(settings)
    positives = resolve_prompts(release, query.like) if positives is None else positives
    negatives = resolve_prompts(release, query.unlike) if negatives is None else negatives
    if not positives:
        raise HuntError("a hunt starts from at least one positive example")
    filtered_rows(release, query)
    kinds = [*(("positive", prompt) for prompt in positives), *(("negative", prompt) for prompt in negatives)]
    examples, objects = example_rows(release, kinds)
    stamped = {"who": checked_person(who), "when": now()}
    HuntStore.create(
        path,
        {
            "settings": HuntStore.setting_rows(settings, stamped),
            "releases": [{**release_row(release, path), **stamped}],
            "objects": objects,
            "examples": [{**example, **stamped} for example in examples],
        },
        lambda store: check_release(store, release),
    )
    return open_hunt(path, release)


def open_hunt(path: Path | str, release: Release, engine: Engine | None = None) -> Hunt:
    """Return a hunt by its file, checked as if a stranger had made it, on its release.

    Parameters
    ----------
    engine : Engine, optional
        What scores every object of a large release exactly, such as a cluster's scan; a GPU of this machine needs none.

    Raises
    ------
    HuntError
        The file is no hunt or damaged, or the release is not the one it was played on.
    EncoderMismatch
        The release was made with another encoder.
    """
    return Hunt(HuntStore.open(Path(path)), release, engine)
