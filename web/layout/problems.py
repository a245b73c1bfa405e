"""Errors become pages, fragments or JSON that say what to do and contain no paths, secrets or traces."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Template

from discovery.errors import (
    DiscoveryError,
    EncoderMismatch,
    HuntError,
    QueryError,
    ReleaseError,
    StampError,
    SurveyError,
)
from web.layout.frame import PageFrame, frame_of

log = logging.getLogger(__name__)

STATUS_OF_ERROR: dict[type[DiscoveryError], int] = {
    QueryError: 422,
    StampError: 422,
    SurveyError: 422,
    EncoderMismatch: 409,
    HuntError: 409,
    ReleaseError: 409,
}
TITLES = {
    400: "That request cannot be understood",
    401: "Please sign in",
    403: "Not allowed",
    404: "Nothing here",
    405: "Nothing here",
    409: "That does not fit",
    413: "Too large",
    415: "Wrong kind of file",
    422: "That cannot be answered",
}
UNEXPECTED = "Something went wrong on the server; its log has the details. Going back and trying again is safe."
_QUOTED_PATH = re.compile(r"(?<=['\"`])(?:~|[A-Za-z]:)?[/\\][^'\"`\n]*[/\\][^'\"`\n]*(?=['\"`])")
_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])(?:~|[A-Za-z]:)?(?:[/\\][^/\\\s'\"`:;,()\[\]]+){2,}")


@dataclass(frozen=True, kw_only=True)
class ErrorPage:
    """An error: what is wrong and what to do."""

    frame: PageFrame
    status: int
    text: str


def without_paths(message: str) -> str:
    """Return a message in which each absolute path is shortened to its last part."""
    for pattern in (_QUOTED_PATH, _ABSOLUTE_PATH):
        message = pattern.sub(lambda found: re.split(r"[/\\]", found.group().rstrip("/\\"))[-1], message)
    return message


def status_of(error: Exception) -> int:
    """Return the status that answers an error."""
    return next((code for kind, code in STATUS_OF_ERROR.items() if isinstance(error, kind)), 500)


def answer_discovery_error(request: Request[Any, Any, Any], error: DiscoveryError) -> Response[Any]:
    """Answer an expected error of the library with its own message."""
    status = status_of(error)
    if status == 500:
        log.error("%s %r: %s", request.method, request.scope["path"], error)
    return problem(request, status, without_paths(str(error)))


def answer_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer what Litestar itself refuses: no such page, a value of the wrong type, a body too large."""
    status = error.status_code
    if status >= 500:
        return answer_unexpected(request, error)
    extra = error.extra if isinstance(error.extra, list) else []
    reasons = "; ".join(f"{item.get('key', 'value')}: {item.get('message', '')}" for item in extra)
    text = {
        404: "This page does not exist, or does no longer: start from the list of releases.",
        405: "This page does not exist, or does no longer: start from the list of releases.",
        413: "The file is larger than this server takes: cut it into parts, or have its limit raised (upload_megabytes).",
    }.get(status, reasons or error.detail)
    return problem(request, 422 if reasons and status == 400 else status, without_paths(text))


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer an unexpected error: the trace goes to the log, never to the page."""
    log.error("%s %r failed", request.method, request.scope["path"], exc_info=error)
    return problem(request, 500, UNEXPECTED)


def problem(request: Request[Any, Any, Any], status: int, text: str) -> Response[Any]:
    """Return the answer in the form that the visitor can show: JSON, a notice for htmx, or a page."""
    title = TITLES.get(status, "Something went wrong" if status >= 500 else "That does not work")
    if request.scope["path"].startswith("/api/"):
        return Response({"error": text, "status": status}, status_code=status, media_type=MediaType.JSON)
    page = ErrorPage(frame=frame_of(request, title=title), status=status, text=text)
    if request.headers.get("hx-request"):
        headers = {"HX-Retarget": "#notices", "HX-Reswap": "beforeend", "HX-Reselect": ".notice"}
        return Template("layout/notice.html", context={"page": page}, status_code=status, headers=headers)
    return Template("layout/error.html", context={"page": page}, status_code=status)
