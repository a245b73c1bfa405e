"""The labels that ``discovery hunt label`` was given, turned into requests on rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discovery.errors import HuntError

if TYPE_CHECKING:
    from discovery.hunts import Hunt, LabelRequest


def read_pairs(words: Sequence[str]) -> list[dict[str, Any]]:
    """Return OBJECT_ID VERDICT pairs as lines."""
    if len(words) % 2:
        raise HuntError("labels come in pairs OBJECT_ID VERDICT; one half is missing")
    return [
        {"object_id": name, "verdict": verdict} for name, verdict in zip(words[::2], words[1::2], strict=True)
    ]


def read_labels(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a table with object_id, verdict and optionally negative_class and reason."""
    from discovery.tables.reader import read_table

    lines = read_table(path).to_pylist()
    if not lines or not {"object_id", "verdict"} <= set(lines[0]):
        raise HuntError(f"{path} must have columns object_id and verdict, and at least one line")
    names = ("object_id", "verdict", "negative_class", "reason")
    return [{name: str(line.get(name) or "").strip() or None for name in names} for line in lines]


def label_request(
    hunt: Hunt,
    *,
    object_id: str | None,
    verdict: str | None,
    negative_class: str | None = None,
    reason: str | None = None,
) -> LabelRequest:
    """Return the request for a label on the object of an id."""
    from discovery.hunts import VERDICTS, LabelRequest

    if object_id is None or verdict not in VERDICTS:
        raise HuntError(f"{object_id}: unknown verdict {verdict!r}; choose from {', '.join(VERDICTS)}")
    row = hunt.release.catalogue.find_id(object_id)
    return LabelRequest(row=row, verdict=verdict, negative_class=negative_class, reason=reason)  # type: ignore[arg-type]


def rest_requests(
    hunt: Hunt, requests: list[LabelRequest], verdict: str, negative_class: str | None, reason: str | None
) -> list[LabelRequest]:
    """Return requests for a label on what the latest round showed and nobody has labelled."""
    latest = hunt.round()
    if latest is None:
        raise HuntError(
            "there is no round yet whose rest could be labelled; play one with 'discovery hunt next'"
        )
    done = set(hunt.labels()) | {request.row for request in requests}
    left = [
        name
        for row, name in zip(latest.rows.tolist(), latest.object_ids, strict=True)
        if 0 <= row not in done
    ]
    named = {"negative_class": negative_class if verdict == "negative" else None, "reason": reason}
    return [label_request(hunt, object_id=name, verdict=verdict, **named) for name in left]
