"""How a hunt file and a release belong together: by encoder, by size, and by the name of every object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.errors import EncoderMismatch, HuntError
from discovery.hunts.log.store import HuntStore

if TYPE_CHECKING:
    from discovery.release.release import Release
    from discovery.search.prompts import Prompt


def check_release(store: HuntStore, release: Release) -> None:
    """Compare encoder, size and the names of all objects in a hunt file with a release's.

    Raises
    ------
    EncoderMismatch
        The release was made with another encoder.
    HuntError
        It is not the release that the hunt was last played on, or the file contradicts itself.
    """
    bound = store.releases()[-1]
    advice = "open its own release or carry it over with 'discovery hunt move'"
    if bound.encoder_checksum != release.encoder_checksum:
        raise EncoderMismatch(
            f"{store.path.name} was played with another encoder than {release.name}'s; {advice}"
        )
    if bound.count != release.count or bound.dimension != release.dimension:
        raise HuntError(
            f"{store.path.name} belongs to {bound.name} with {bound.count} objects;"
            f" {release.name} has {release.count}; {advice}"
        )
    store.settings()
    known = [place for place in store.objects() if place["row"] is not None]
    rows = [place["row"] for place in known]
    if any(not 0 <= row < release.count for row in rows):
        raise HuntError(f"{store.path.name} names rows that {release.name} does not have; {advice}")
    names = release.catalogue.rows(rows, ["object_id"])["object_id"].to_pylist()
    for place, name in zip(known, names, strict=True):
        if place["object_id"] != name:
            raise HuntError(
                f"row {place['row']} of {release.name} is {name}, but {store.path.name} knows it as"
                f" {place['object_id']}; {advice}"
            )
    usable = [example for example in store.examples() if example.encoder_checksum == release.encoder_checksum]
    if store.contradicts_itself() or any(example.vector.shape != (release.dimension,) for example in usable):
        raise HuntError(f"{store.path.name} contradicts itself; restore a copy of it")


def release_row(release: Release, hunt: Path) -> dict[str, Any]:
    """Return what a hunt file remembers of its release."""
    return {
        "name": release.name,
        "path": str(Path(release.path).resolve()),
        "relative_path": os.path.relpath(Path(release.path).resolve(), hunt.resolve().parent),
        "encoder_checksum": release.encoder_checksum,
        "dimension": release.dimension,
        "count": release.count,
    }


def object_rows(release: Release, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
    """Return name and position of some rows, in the given order, as the hunt file keeps them."""
    table = release.catalogue.rows(np.asarray(rows, dtype=np.int64), ["row", "object_id", "ra", "dec"])
    return [
        {"object_id": place["object_id"], "row": place["row"], "ra_deg": place["ra"], "dec_deg": place["dec"]}
        for place in table.to_pylist()
    ]


class Places:
    """`object_rows` of one release, with the latest result kept: a page is looked up when it is played and when it is recorded."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._latest: tuple[bytes, list[dict[str, Any]]] | None = None

    def of(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return name and position of rows (n,) int64."""
        key, latest = rows.tobytes(), self._latest
        if latest is None or latest[0] != key:
            latest = self._latest = key, object_rows(self._release, rows)
        return latest[1]


def example_rows(
    release: Release, given: Sequence[tuple[str, Prompt]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return table rows of (verdict, prompt) pairs as examples, and of the objects that they are.

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
            raise EncoderMismatch(
                f"example {prompt.label} was seen by another encoder than {release.name}'s; make it again"
            )
        name = None
        if prompt.row is not None:
            (place,) = object_rows(release, [release.catalogue.primary_rows[prompt.row]])
            name = place["object_id"]
            if kinds.setdefault(place["row"], verdict) != verdict:
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
    return examples, object_rows(release, sorted(kinds))
