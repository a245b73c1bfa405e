"""Files that visitors send to search with: a stamp, or a table of ids or positions."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, MultipartBody
from litestar.response import Redirect

from discovery.errors import QueryError, StampError
from discovery.readers import read_stamp_bytes
from discovery.release.release import Release
from discovery.search.prompts import Prompt, prompt_from_stamp, read_prompt_table
from discovery.stamps.render import stamp_png, upright
from discovery.stamps.stamp import Stamp
from web.stamps.cards import search_address
from web.stamps.pictures import GRID_SIZE
from web.workspace.workspace import Workspace

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".vot", ".votable", ".xml")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A stamp or a table that a visitor sent, as prompts."""

    name: str
    release: str
    prompts: tuple[Prompt, ...]
    picture: bytes | None


class Uploads:
    """The latest uploads, by an id that cannot be guessed; safe to share between threads."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._held: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, upload: Upload) -> str:
        """Keep an upload and return its id."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._held[name] = upload
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return name

    def get(self, name: str, release: str) -> Upload:
        """Return an upload made for a release.

        Raises
        ------
        QueryError
            If it is not (or no longer) held.
        """
        upload = self._held.get(name)
        if upload is None or upload.release != release:
            raise QueryError("The uploaded file is no longer held by the server: upload it again.")
        return upload


@dataclass(frozen=True, kw_only=True)
class UploadForm:
    """A stamp or a table of prompts."""

    file: UploadFile
    csrf: str = ""


@post("/releases/{name:str}/uploads", sync_to_thread=True, include_in_schema=False)
def take_upload(
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    name: FromPath[str],
    data: MultipartBody[UploadForm],
) -> Redirect:
    """Turn an uploaded stamp or table into prompts and search with them."""
    release = workspace.release(name)
    content, file_name = data.file.file.read(), Path(data.file.filename.replace("\\", "/")).name
    prompts, stamp = _prompts_in(workspace, release, content, file_name)
    picture = None if stamp is None else stamp_png(upright(stamp), size_pixels=GRID_SIZE, scale_bar=True)
    upload = Upload(name=file_name[:80], release=name, prompts=tuple(prompts), picture=picture)
    return Redirect(search_address(name, urlencode({"upload": uploads.add(upload)})), status_code=303)


@get("/releases/{name:str}/uploads/{upload:str}/picture", sync_to_thread=False, include_in_schema=False)
def upload_picture(uploads: NamedDependency[Uploads], name: FromPath[str], upload: FromPath[str]) -> Response[bytes]:
    """Return the picture of an uploaded stamp."""
    picture = uploads.get(upload, name).picture
    if picture is None:
        raise QueryError("A table of prompts has no picture.")
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _prompts_in(
    workspace: Workspace, release: Release, content: bytes, file_name: str
) -> tuple[list[Prompt], Stamp | None]:
    """Return the prompts of an uploaded file and, if it is a stamp, the stamp."""
    suffix = Path(file_name).suffix.lower()
    if not content:
        raise QueryError("The uploaded file is empty: choose another one.")
    if suffix in TABLE_SUFFIXES:
        return _table_prompts(release, content, suffix), None
    try:
        stamp = read_stamp_bytes(content, file_name)
    except StampError:
        if suffix not in (".fits", ".fit"):
            raise
        return _table_prompts(release, content, ".fits"), None
    with workspace.encoding:
        return [prompt_from_stamp(release, stamp, label=file_name[:80])], stamp


def _table_prompts(release: Release, content: bytes, suffix: str) -> list[Prompt]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"uploaded-table{suffix}"
        path.write_bytes(content)
        return read_prompt_table(release, path)
