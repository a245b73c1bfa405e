"""Upload a prompt, or a saved query, to search with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, MultipartBody
from litestar.response import Redirect

from discovery.errors import QueryError
from discovery.search.query import Query
from web.search.form import SearchForm, form_from_address
from web.search.uploads import Uploads, read_upload
from web.stamps.cards import search_address
from web.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class UploadForm:
    """A stamp, a table of prompts or a saved query, and the query string of the search form as it is filled in."""

    file: UploadFile
    search: str = ""
    csrf: str = ""


@post("/releases/{name:str}/uploads", sync_to_thread=True, include_in_schema=False)
def take_upload(
    workspace: NamedDependency[Workspace],
    uploads: NamedDependency[Uploads],
    name: FromPath[str],
    data: MultipartBody[UploadForm],
) -> Redirect:
    """Search with an uploaded stamp or table beside what the form holds already, or by a saved query."""
    release, content, file_name = workspace.release(name), data.file.file.read(), data.file.filename
    if file_name.lower().endswith(".json"):
        form = SearchForm.of(Query.from_json(content))
    else:
        upload = read_upload(release, content, file_name, name=name, encoding=workspace.encoding)
        form = form_from_address(data.search)
        form = replace(form, uploads=(*form.uploads, uploads.add(upload)))
    return Redirect(search_address(name, form.query_string()), status_code=303)


@get("/releases/{name:str}/uploads/{upload:str}/picture", sync_to_thread=False, include_in_schema=False)
def upload_picture(uploads: NamedDependency[Uploads], name: FromPath[str], upload: FromPath[str]) -> Response[bytes]:
    """Return the picture of an uploaded stamp."""
    picture = uploads.get(upload, name).picture
    if picture is None:
        raise QueryError("A table of prompts has no picture.")
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})
