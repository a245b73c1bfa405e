"""``discovery index build``: make the search structure of a finished release again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec

from discovery.errors import ConfigError
from discovery.release.manifest import INDEX_FILE, Manifest
from discovery.release.manifest_file import read_manifest, write_manifest
from discovery.release.shards import EmbeddingShards
from discovery.storage.atomic import remove
from discovery.storage.locks import only_run
from index.plan import RECALL
from index.structure.structure import index_shards

FILE_NAME = re.compile(r"index(?:-(\d+))?\.faiss")


def rebuild(release: Path | str, *, memory_gib: float = 4.0, recall: float = RECALL, kind: str | None = None) -> Manifest:
    """Return the manifest that names a new structure, built beside the old one; it replaces the manifest at the end.

    The file gets a name of its own: a reader with the old manifest finds the old file, until the rebuild after this one removes it.

    Returns
    -------
    Manifest
        The new one.

    Raises
    ------
    ConfigError
        If an option is wrong, the memory is too little, or another run works in the release.
    ReleaseError
        If it is no release, or damaged.
    """
    folder = Path(release).absolute()
    if memory_gib <= 0:
        raise ConfigError(f"--memory is {memory_gib}; give a positive number of GiB.")
    read_manifest(folder)
    with only_run(folder, leaves_lock=False):
        return _rebuilt(folder, int(memory_gib * 2**30), recall, kind)


def _rebuilt(folder: Path, memory_bytes: int, recall: float, kind: str | None) -> Manifest:
    manifest = read_manifest(folder)
    space = manifest.image
    shards = EmbeddingShards(folder, space.shards, space.dimension)
    shards.check_unit()
    start = time.perf_counter()
    record, measured = index_shards(shards, _next_file(folder), memory_bytes=memory_bytes, recall=recall, kind=kind)
    measured_now: dict[str, Any] = {**manifest.measured, **measured, "index_seconds": round(time.perf_counter() - start, 1)}
    new = msgspec.structs.replace(manifest.with_image(msgspec.structs.replace(space, index=record)), measured=measured_now)
    write_manifest(folder, new)
    _remove_others(folder, {record.file, space.index.file})
    return new


def _next_file(folder: Path) -> Path:
    numbers = [int(found[1] or 1) for file in folder.glob("index*.faiss") if (found := FILE_NAME.fullmatch(file.name))]
    return folder / (f"index-{max(numbers) + 1}.faiss" if numbers else INDEX_FILE)


def _remove_others(folder: Path, kept: set[str]) -> None:
    for file in folder.glob("index*.faiss*"):
        if file.name not in kept and FILE_NAME.fullmatch(file.name.removesuffix(".part")):
            remove(file)
