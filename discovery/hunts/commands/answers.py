"""What ``discovery hunt`` prints: one JSON document, or text for people."""

from __future__ import annotations

import dataclasses
import json as json_format
import math
import sys
from typing import TYPE_CHECKING, Any

from discovery.errors import DiscoveryError

if TYPE_CHECKING:
    from discovery.hunts import Counts, HuntInfo, Round
    from discovery.search.known_objects import KnownRows


def answer(json: bool, document: dict[str, Any], text: str) -> None:
    """Print the one JSON document, or the text for people."""
    try:
        sys.stdout.write((json_format.dumps(document, allow_nan=False) if json else text) + "\n")
    except ValueError:
        raise DiscoveryError("the answer holds a number that JSON does not know") from None


def info_document(info: HuntInfo) -> dict[str, Any]:
    """Return a hunt's settings and counts as JSON knows them."""
    return {**dataclasses.asdict(info), "path": str(info.path)}


def round_document(played: Round, known: KnownRows | None = None) -> dict[str, Any]:
    """Return a round with its candidates as JSON knows them; with ``known``, what each is known as."""
    return {
        "round": played.number,
        "strategy": played.strategy,
        "why": played.why,
        "advice": played.advice,
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
            {
                "object_id": name,
                "row": None if row < 0 else row,
                "score": None if math.isnan(score) else score,
                "reason": reason,
                **({} if known is None else {"known": known.flag(row)}),
            }
            for name, row, score, reason in zip(
                played.object_ids, played.rows.tolist(), played.scores.tolist(), played.reasons, strict=True
            )
        ],
    }


def round_text(played: Round, known: KnownRows | None = None) -> str:
    """Return a round for people: each object with its score, why it is shown, and what it is known as."""
    if played.exhausted:
        return f"nothing is left to show: {played.why}"
    lines = [f"round {played.number}: {played.why}"]
    for line in round_document(played, known)["candidates"]:
        score = " " * 8 if line["score"] is None else f"{line['score']:8.4f}"
        lines.append(f"{line['object_id']:<32} {score} {line['reason']:<9} {line.get('known', '')}".rstrip())
    return "\n".join([*lines, f"time to stop: {played.advice}"] if played.advice else lines)


def counted(counts: Counts) -> str:
    """Return counts in words."""
    return ", ".join(f"{number} {verdict}" for verdict, number in dataclasses.asdict(counts).items())
