"""An action takes its lock and makes its checks itself, so that no skin can leave them out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discovery.errors import HuntError
from discovery.hunts import Hunt, new_hunt
from discovery.hunts.audits.audit import draw_audit
from discovery.hunts.export import export_hunt

WRITES = {
    "label": lambda hunt: hunt.label(50, "positive", who="bob"),
    "undo": lambda hunt: hunt.undo("ann"),
    "note": lambda hunt: hunt.note(50, "an arc", "bob"),
    "change": lambda hunt: hunt.change("bob", alpha=0.2),
}
RANKS = {
    "next_round": lambda hunt: hunt.next_round("bob"),
    "draw_audit": lambda hunt: draw_audit(hunt, 5, who="bob"),
    "export": lambda hunt: export_hunt(hunt, None),
}


@pytest.fixture
def hunt(tmp_path: Path, release: Any, prompts: Callable) -> Hunt:
    """A hunt with one label."""
    made = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0, 1, 2), negatives=prompts(90), who="ann")
    made.label(60, "negative", who="ann")
    return made


def waits(lock: threading.Lock, action: Callable[[], Any]) -> bool:
    """Return whether an action begins only once a lock is free, and ends then."""
    thread = threading.Thread(target=action)
    with lock:
        thread.start()
        thread.join(0.3)
        waited = thread.is_alive()
    thread.join(60)
    return waited and not thread.is_alive()


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_to_the_log_takes_turns(hunt: Hunt, name: str) -> None:
    before = hunt.state()
    assert waits(hunt._log_lock, lambda: WRITES[name](hunt))
    assert hunt.state() is not before


@pytest.mark.parametrize("name", RANKS)
def test_rounds_audits_and_exports_take_turns(hunt: Hunt, name: str) -> None:
    assert waits(hunt.ranking_lock, lambda: RANKS[name](hunt))


def test_a_round_is_played_once_for_all_who_saw_the_same(hunt: Hunt) -> None:
    played: list[int] = []
    threads = [
        threading.Thread(target=lambda: played.append(hunt.next_round("ann", after=0).number)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert played == [1, 1, 1, 1] and len(hunt.rounds()) == 1
    assert hunt.next_round("bob", after=1).number == 2 and hunt.next_round("ann", after=1).number == 2


def test_a_blank_class_or_reason_is_none(hunt: Hunt) -> None:
    hunt.label(50, "positive", who="ann", negative_class=" ", reason="")
    label = hunt.labels()[50]
    assert label.negative_class is None and label.reason is None


def test_nothing_to_undo_is_an_error(hunt: Hunt) -> None:
    with pytest.raises(HuntError, match="bob has given no label"):
        hunt.undo("bob")
