"""What the pages of hunts show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Request

from discovery.errors import DiscoveryError
from discovery.hunts import Hunt
from discovery.hunts.records import Round
from web.curves import draw_curve
from web.pages import Candidate, Card, Curve, HuntPage, HuntRow, LabelFragment, RoundView, Tally, frame_of
from web.problems import without_paths
from web.search import stamp_cards
from web.shelf import OpenHunt, Shelf
from web.stamps import GRID_SIZE, SMALL_SIZE
from web.wording import day_and_time

EXAMPLES_SHOWN = 24


def hunt_view(request: Request[Any, Any, Any], opened: OpenHunt, round_: Round | None = None) -> HuntPage:
    """Return the page of a hunt: its latest round, or one that is not recorded since nothing is left."""
    hunt = opened.hunt
    info, latest = hunt.info(), round_ or hunt.round()
    verdicts = _verdicts(hunt)
    return HuntPage(
        frame=frame_of(request, title=opened.name, section="hunts", release=opened.release),
        name=opened.name,
        release=opened.release,
        alpha=info.alpha,
        page_size=info.page_size,
        round=None if latest is None else _round_view(opened, latest, verdicts),
        tally=_tally(hunt, latest, verdicts),
        curve=_curve(hunt),
        examples=_examples(opened, verdicts),
    )


def label_view(opened: OpenHunt, row: int, verdict: str, *, undone: bool = False) -> LabelFragment:
    """Return what changes on the page after a label or an undo."""
    hunt = opened.hunt
    return LabelFragment(
        row=row,
        verdict="" if verdict == "cleared" else verdict,
        undone=undone,
        tally=_tally(hunt, hunt.round(), _verdicts(hunt)),
        curve=_curve(hunt),
    )


def hunt_line(shelf: Shelf, name: str) -> HuntRow:
    """Return the line of a hunt in the list; one that cannot be opened says why."""
    try:
        info = shelf.hunt_info(name)
    except DiscoveryError as error:
        return HuntRow.broken(name, without_paths(str(error)))
    release = shelf.release_name_of(info)
    if release is None:
        return HuntRow.broken(name, f"Belongs to release '{info.release_name}', which is not served here.")
    return HuntRow(
        name=name,
        release=release,
        href=hunt_address(name),
        positive=info.counts.positive,
        negative=info.counts.negative,
        unsure=info.counts.unsure,
        rounds=info.rounds,
        started=f"{day_and_time(info.created)} by {info.who}",
    )


def hunt_address(hunt: str) -> str:
    """Return the address of a hunt's page."""
    return f"/hunts/{quote(hunt, safe='')}"


def _round_view(opened: OpenHunt, latest: Round, verdicts: dict[int, str]) -> RoundView:
    seen = [(int(row), float(score)) for row, score in zip(latest.rows, latest.scores, strict=True) if row >= 0]
    cards = _cards(opened, [row for row, _ in seen])
    return RoundView(
        number=latest.number,
        why=latest.why,
        strategy=latest.strategy,
        candidates=tuple(
            Candidate(card=card, rank=rank, score=f"{score:.3f}", verdict=verdicts.get(card.row, ""))
            for rank, (card, (_, score)) in enumerate(zip(cards, seen, strict=True), 1)
        ),
    )


def _verdicts(hunt: Hunt) -> dict[int, str]:
    return {row: state.verdict for row, state in hunt.labels().items()}


def _tally(hunt: Hunt, latest: Round | None, verdicts: dict[int, str]) -> Tally:
    counts = hunt.counts()
    shown = [] if latest is None else [int(row) for row in latest.rows]
    return Tally(
        positive=counts.positive,
        negative=counts.negative,
        unsure=counts.unsure,
        skipped=counts.skipped,
        left=sum(row not in verdicts for row in shown),
    )


def _curve(hunt: Hunt) -> Curve:
    given, found = hunt.curve()
    return draw_curve(given.tolist(), found.tolist())


def _examples(opened: OpenHunt, verdicts: dict[int, str]) -> tuple[Card, ...]:
    """Return the latest positives and then the examples that started the hunt."""
    started = [one.row for one in opened.hunt.examples() if one.verdict == "positive" and one.row is not None]
    found = [row for row, verdict in verdicts.items() if verdict == "positive"][::-1]
    kept = [row for row in dict.fromkeys([*found, *started]) if verdicts.get(row, "positive") == "positive"]
    return _cards(opened, kept[:EXAMPLES_SHOWN], size=SMALL_SIZE)


def _cards(opened: OpenHunt, rows: Sequence[int], *, size: int = GRID_SIZE) -> tuple[Card, ...]:
    release = opened.hunt.release
    table = release.catalogue.rows(list(rows), ["row", "object_id"])
    return stamp_cards(opened.release, release, table, size=size)
