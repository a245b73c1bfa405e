"""What surrounds every page: title, visitor, links of the top bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request

from web.access.sessions import Session


@dataclass(frozen=True, kw_only=True)
class PageFrame:
    """What surrounds every page."""

    title: str
    who: str
    csrf: str
    guarded: bool
    """Whether the server has a token, so that signing out makes sense."""
    section: str = ""
    release: str | None = None
    """Release that the links of the top bar point to."""


def frame_of(request: Request[Any, Any, Any], *, title: str, section: str = "", release: str | None = None) -> PageFrame:
    """Return the frame of a page for this visitor."""
    session: Session = request.scope["state"]["session"]
    return PageFrame(
        title=title,
        who=session.who if session.signed_in else "",
        csrf=request.scope["state"]["csrf"],
        guarded=request.app.state.sessions.token is not None,
        section=section,
        release=release,
    )
