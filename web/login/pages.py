"""The page that asks for the token and a name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, URLEncodedBody
from litestar.response import Redirect, Template

from web.access.middleware import session_cookie
from web.access.sessions import Sessions, clean_name
from web.layout.frame import PageFrame, frame_of

SECONDS_AFTER_A_WRONG_TOKEN = 1.0


@dataclass(frozen=True, kw_only=True)
class LoginPage:
    """Asks for the token and a name."""

    frame: PageFrame
    next: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class LoginForm:
    """The token and who it is that labels."""

    token: str = ""
    who: str = ""
    next: str = "/"
    csrf: str = ""


@get("/login", sync_to_thread=False, include_in_schema=False)
def login_page(
    request: Request[Any, Any, Any], sessions: NamedDependency[Sessions], next: FromQuery[str] = "/"
) -> Template | Redirect:
    """Show the form; without a token there is nothing to sign in to."""
    if sessions.token is None:
        return Redirect("/", status_code=303)
    page = LoginPage(frame=frame_of(request, title="Sign in"), next=local_address(next))
    return Template("login/login.html", context={"page": page})


@post("/login", status_code=200, include_in_schema=False)
async def sign_in(
    request: Request[Any, Any, Any], sessions: NamedDependency[Sessions], data: URLEncodedBody[LoginForm]
) -> Template | Redirect:
    """Check the token; a right one gets a new session, a wrong one an answer that takes its time."""
    known, who = sessions.knows_token(data.token.strip()), clean_name(data.who)
    if known and who:
        cookie = session_cookie(sessions, sessions.open(who=who, signed_in=True))
        return Redirect(local_address(data.next), status_code=303, cookies=[cookie])
    if not known:
        await asyncio.sleep(SECONDS_AFTER_A_WRONG_TOKEN)
    page = LoginPage(
        frame=frame_of(request, title="Sign in"),
        next=local_address(data.next),
        problem="Please give your name as well." if known else "That is not the token of this server.",
    )
    return Template("login/login.html", context={"page": page}, status_code=401)


@post("/logout", sync_to_thread=False, include_in_schema=False)
def sign_out(sessions: NamedDependency[Sessions]) -> Redirect:
    """End the session."""
    return Redirect("/login", status_code=303, cookies=[session_cookie(sessions, sessions.open())])


def local_address(address: str) -> str:
    """Return an address of this server, "/" for anything that could lead elsewhere."""
    clean = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if clean and "\\" not in address else "/"
