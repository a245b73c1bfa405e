"""Pictures of stamps: rendered on demand from the survey files, kept in a bounded cache."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from anyio import to_thread
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from discovery.errors import DiscoveryError, QueryError
from discovery.release.release import Release
from discovery.stamps.render import Box, stamp_png, upright
from discovery.stamps.stamp import Stamp
from web.stamps.pictures import GRID_SIZE, SIZES, Band, PictureCache, StampPicture, Stretch, View
from web.workspace.workspace import Workspace

RENDERING = 1
"""Goes up whenever the same stamp is to look different: pictures that were kept no longer count."""
ONE_YEAR = "private, max-age=31536000, immutable"
NO_STAMP = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" fill="#121722"/>'
    b'<text x="48" y="51" fill="#a3aec2" font-family="sans-serif" font-size="11" text-anchor="middle">no stamp</text></svg>'
)


@get("/releases/{name:str}/stamps/{row:int}/{view:str}", tags=["stamps"])
async def stamp_picture(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    pictures: NamedDependency[PictureCache],
    name: FromPath[str],
    row: FromPath[int],
    view: FromPath[View],
    size: FromQuery[int] = GRID_SIZE,
    band: FromQuery[Band] = "rgb",
    stretch: FromQuery[Stretch] = "default",
    bar: FromQuery[bool] = False,
    v: FromQuery[str] = "",
) -> Response[bytes]:
    """Return a stamp as PNG: the crop that the encoder sees, or its whole context.

    Pictures are rendered in few threads of their own: a page full of them must not keep a label waiting.
    """
    release = workspace.opened(name)
    if release is None:
        release = await to_thread.run_sync(workspace.release, name)
    check_row(release, row)
    if size not in SIZES:
        raise QueryError(f"no stamp of {size} pixels is made: request one of {', '.join(map(str, SIZES))}")
    picture = StampPicture(
        release=name, version=release_version(release), row=row, view=view, size=size, band=band, stretch=stretch, bar=bar
    )
    headers = {"ETag": picture.etag, "Cache-Control": ONE_YEAR if v == picture.version else "private, no-cache"}
    if request.headers.get("if-none-match") == picture.etag:
        return Response(b"", status_code=304, headers=headers)
    try:
        data = pictures.in_memory(picture)
        if data is None:
            render = partial(render_picture, release, picture)
            data = await to_thread.run_sync(pictures.get, picture, render, limiter=pictures.threads)
    except DiscoveryError:
        return Response(NO_STAMP, status_code=404, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    return Response(data, media_type="image/png", headers=headers)


def render_picture(release: Release, picture: StampPicture) -> bytes:
    """Render one picture from the survey files: PNG.

    Raises
    ------
    DiscoveryError
        If the stamp cannot be read.
    """
    stamp = release.stamp(picture.row)
    box = displayed_box(stamp, crop_box_of(release, picture.row)) if picture.view == "crop" else None
    return stamp_png(
        upright(stamp),
        box=box,
        size_pixels=picture.size,
        band=None if picture.band == "rgb" else picture.band,
        stretch=picture.stretch,
        scale_bar=picture.bar,
    )


def grid_stamp(name: str, release: Release, row: int, *, size: int = GRID_SIZE) -> StampPicture:
    """Return the picture of a stamp for a grid: the crop with its scale bar."""
    return StampPicture(release=name, version=release_version(release), row=row, view="crop", size=size, bar=True)


def grid_picture(name: str, release: Release, row: int, *, size: int = GRID_SIZE) -> str:
    """Return the address of `grid_stamp`."""
    return grid_stamp(name, release, row, size=size).address


def release_version(release: Release) -> str:
    """Return what changes whenever a release's pictures may change."""
    manifest = release.manifest
    surveys = " ".join(survey.fingerprint for survey in manifest.surveys)
    parts = f"{RENDERING} {surveys} {manifest.plan} {release.encoder_checksum}"
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def check_row(release: Release, row: int) -> None:
    """Raise NotFoundException unless the release has that row."""
    if not 0 <= row < release.count:
        raise NotFoundException()


def crop_box_of(release: Release, row: int) -> Box | None:
    """Return the crop (row0, row1, column0, column1) in pixels of the stamp's array, as the catalogue has it."""
    return release.stamp_records.get(row).crop_box


def displayed_box(stamp: Stamp, box: Box | None) -> Box | None:
    """Return a crop box of the array in rows of the picture that is shown."""
    if box is None or stamp.kind != "nmgy":
        return box
    side = stamp.pixels.shape[1]
    return side - box[1], side - box[0], box[2], box[3]
