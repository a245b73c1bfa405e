"""The file ``manifest.json``: read, checked and written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from discovery.errors import ReleaseError
from discovery.release.manifest import MANIFEST_FILE, MANIFEST_VERSION, Manifest
from discovery.release.old_manifests import OLD_VERSIONS, read_old
from discovery.storage.atomic import put


class _Version(msgspec.Struct):
    version: int


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a release folder, checked; one of an older version comes out as version 3.

    Raises
    ------
    ReleaseError
        If there is none, it is damaged, or of a version that this program does not know.
    """
    path = folder / MANIFEST_FILE
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ReleaseError(
            f"{folder} is no release: it has no readable {MANIFEST_FILE}. Make one with 'discovery index'."
        ) from problem
    try:
        return _decoded(data, folder.name)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise ReleaseError(
            f"The manifest of release {folder.name} is damaged ({problem}). Build it again with 'discovery index'."
        ) from problem


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a release folder durably, as indented JSON of version 3."""
    put(folder / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def _decoded(data: bytes, name: str) -> Manifest:
    version = msgspec.json.decode(data, type=_Version).version
    if version in OLD_VERSIONS:
        return read_old(data)
    if version != MANIFEST_VERSION:
        raise ReleaseError(
            f"Release {name} has manifest version {version}, this program reads version {MANIFEST_VERSION} and before: "
            "update discovery, or build the release again with 'discovery index'."
        )
    manifest = msgspec.json.decode(data, type=Manifest)
    for space in manifest.spaces:
        if len(space.segments) != len(manifest.segments):
            raise ReleaseError(
                f"The manifest of release {name} is damaged (space {space.name} has {len(space.segments)} segments, "
                f"the release {len(manifest.segments)}). Build it again with 'discovery index'."
            )
    return manifest
