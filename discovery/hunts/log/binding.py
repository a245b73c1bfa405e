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
    if bound["encoder_checksum"] != release.encoder_checksum:
        raise EncoderMismatch(
            f"{store.path.name} was played with another encoder than {release.name}'s; {advice}"
        )
    if bound["count"] != release.count or bound["dimension"] != release.dimension:
        raise HuntError(
            f"{store.path.name} belongs to {bound['name']} with {bound['count']} objects;"
            f" {release.name} has {release.count}; {advice}"
        )
    store.settings()
    known = [line for line in store.objects() if line["row"] is not None]
    rows = [line["row"] for line in known]
    if any(not 0 <= row < release.count for row in rows):
        raise HuntError(f"{store.path.name} names rows that {release.name} does not have; {advice}")
    names = release.catalogue.rows(rows, ["object_id"])["object_id"].to_pylist()
    for line, name in zip(known, names, strict=True):
        if line["object_id"] != name:
            raise HuntError(
                f"row {line['row']} of {release.name} is {name}, but {store.path.name} knows it as"
                f" {line['object_id']}; {advice}"
            )
    usable = [line for line in store.examples() if line["encoder_checksum"] == release.encoder_checksum]
    if store.contradicts_itself() or any(line["vector"].shape != (release.dimension,) for line in usable):
        raise HuntError(f"{store.path.name} contradicts itself; restore a copy of it")


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


class Places:
    """`object_lines` of one release, with the latest answer kept: a round asks for its page when it is played and when recorded."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._latest: tuple[bytes, list[dict[str, Any]]] | None = None

    def lines(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return name and position of rows (n,) int64."""
        asked, latest = rows.tobytes(), self._latest
        if latest is None or latest[0] != asked:
            latest = self._latest = asked, object_lines(self._release, rows)
        return latest[1]


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
            raise EncoderMismatch(
                f"example {prompt.label} was seen by another encoder than {release.name}'s; make it again"
            )
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
