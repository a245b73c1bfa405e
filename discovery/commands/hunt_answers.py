"""What ``discovery hunt`` prints: one JSON document, or text for people."""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from typing import TYPE_CHECKING, Any

from discovery.errors import DiscoveryError

if TYPE_CHECKING:
    from discovery.hunts import Counts, HuntInfo, Round


def answer(json: bool, document: dict[str, Any], text: str) -> None:
    """Print the one JSON document, or the text for people."""
    try:
        sys.stdout.write((json_format.dumps(document, allow_nan=False) if json else text) + "\n")
    except ValueError:
        raise DiscoveryError("the answer holds a number that JSON does not know") from None


def info_document(info: HuntInfo) -> dict[str, Any]:
    """Return a hunt's settings and counts as JSON knows them."""
    return {**dataclasses.asdict(info), "path": str(info.path)}


def round_document(played: Round) -> dict[str, Any]:
    """Return a round with its candidates as JSON knows them."""
    return {
        "round": played.number,
        "strategy": played.strategy,
        "why": played.why,
        "alpha": played.alpha,
        "positives": played.positives,
        "negatives": played.negatives,
        "seed": played.seed,
        "parts": played.parts,
        "digest": played.digest,
        "who": played.who,
        "when": played.when,
        "exhausted": played.exhausted,
        "candidates": [
            {"object_id": name, "row": None if row < 0 else row, "score": score}
            for name, row, score in zip(
                played.object_ids, played.rows.tolist(), played.scores.tolist(), strict=True
            )
        ],
    }


def counted(counts: Counts) -> str:
    """Return counts in words."""
    return ", ".join(f"{number} {verdict}" for verdict, number in dataclasses.asdict(counts).items())
