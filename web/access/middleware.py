"""What every request passes before the app sees it: host name, session, token, and the headers of every answer.

It is hand-written where Litestar (2.25) has middleware of its own, because that runs inside the routes:

* ``AllowedHostsConfig`` answers an unknown address (404) under any host name, and compares the whole header: it refuses a
  known name in capitals or with a port, which a tunnel may choose.
* ``CSRFConfig`` compares a form field of a fixed name with a cookie of its own, which a page on another port of the host
  can set; this token follows from the signed session. `check_csrf` runs before each handler instead.
* A session that is made inside the routes is missing on the pages of unknown addresses, which show who is signed in and
  must ask for the token first.
* ``response_headers`` are missing on answers that no handler makes.

Litestar's own are used for static files, cookies, dependencies, limits of the request's body and the handling of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from litestar import Request
from litestar.datastructures import Cookie, MutableScopeHeaders
from litestar.exceptions import PermissionDeniedException
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from web.access.sessions import LIFETIME_SECONDS, Session, Sessions, clean_name, same

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
WHO_HEADER = "X-Discovery-Who"
OPEN_PATHS = ("/login", "/static/")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

ErrorRenderer = Callable[[int, str, str], bytes]
"""(status, what is wrong, what to do) -> a whole page."""


class AccessMiddleware:
    """The outermost ASGI layer of the app.

    Parameters
    ----------
    app : ASGIApp
        The app itself.
    sessions : Sessions
        Signs and checks cookies.
    hosts : iterable of str
        Host names under which a browser may reach the app, without the port.
    render_error : callable
        Returns the page of a refusal.
    """

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, hosts: Iterable[str], render_error: ErrorRenderer
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = frozenset(host.lower() for host in hosts)
        self._render_error = render_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request: Request[Any, Any, Any] = Request(scope)
        fresh = False
        session = self._bearer(request)
        if session is None:
            session = self._sessions.unseal(request.cookies.get(self._sessions.cookie_name))
        if session is None:
            session, fresh = self._sessions.open(), True
        scope["state"]["session"] = session
        scope["state"]["csrf"] = self._sessions.csrf(session)
        send = self._with_headers(send, session if fresh and request.method in SAFE_METHODS else None)
        refusal = self._refuse(request, session)
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, request: Request[Any, Any, Any], session: Session) -> ASGIResponse | None:
        """Return the answer to a visitor who may not enter, else None."""
        if host_name(request.headers.get("host", "")) not in self._hosts:
            text = "The name in the address bar is not one this server knows: use the address it printed at start."
            return self._page(400, "Unknown host name", text)
        path = request.scope["path"]
        if session.signed_in or path == OPEN_PATHS[0] or path.startswith(OPEN_PATHS[1]):
            return None
        wants_page = request.method in SAFE_METHODS and "text/html" in request.headers.get("accept", "")
        if wants_page and not request.headers.get("hx-request") and not path.startswith("/api/"):
            query = request.scope["query_string"].decode("latin-1")
            target = f"/login?next={quote(path + ('?' + query if query else ''), safe='')}"
            return ASGIResponse(status_code=303, headers={"location": target}, media_type="text/html")
        text = "This server asks for its token: sign in again, or send it as 'Authorization: Bearer TOKEN'."
        answer = self._page(401, "Please sign in", text)
        answer.headers["www-authenticate"] = "Bearer"
        answer.headers["hx-redirect"] = "/login"
        return answer

    def _bearer(self, request: Request[Any, Any, Any]) -> Session | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not self._sessions.knows_token(token.strip()):
            return None
        request.scope["state"]["bearer"] = True
        return self._sessions.open(who=clean_name(request.headers.get(WHO_HEADER)), signed_in=True)

    def _page(self, status: int, title: str, text: str) -> ASGIResponse:
        body = self._render_error(status, title, text)
        return ASGIResponse(body=body, status_code=status, media_type="text/html")

    def _with_headers(self, send: Send, newcomer: Session | None) -> Send:
        """Return a ``send`` that adds the security headers, and the cookie of a new session."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableScopeHeaders.from_message(message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if newcomer is not None and headers["cache-control"] == "no-store":
                    headers.add("set-cookie", session_cookie(self._sessions, newcomer).to_header(header=""))
            await send(message)

        return send_with_headers


async def check_csrf(request: Request[Any, Any, Any]) -> None:
    """Refuse a change that does not come from a page of this server; the app calls this before each handler.

    Raises
    ------
    PermissionDeniedException
        When the token of the session is neither in the header nor in the form.
    """
    if request.method in SAFE_METHODS or request.scope["state"].get("bearer"):
        return
    given: Any = request.headers.get(CSRF_HEADER)
    if given is None and request.content_type[0] in ("application/x-www-form-urlencoded", "multipart/form-data"):
        given = (await request.form()).get(CSRF_FIELD)
    if not isinstance(given, str) or not same(given, request.scope["state"]["csrf"]):
        raise PermissionDeniedException("This form is too old or came from elsewhere: reload the page and try again.")


def session_cookie(sessions: Sessions, session: Session) -> Cookie:
    """Return the cookie that carries a session: unreadable for scripts, never sent from other sites."""
    return Cookie(
        key=sessions.cookie_name,
        value=sessions.seal(session),
        path="/",
        httponly=True,
        samesite="strict",
        max_age=LIFETIME_SECONDS,
    )


def host_name(header: str) -> str:
    """Return the lower-case name in a ``Host`` header, without its port ("" when malformed)."""
    name, separator, port = header.strip().lower().rpartition(":")
    if not separator or header.strip().endswith("]"):
        return header.strip().lower()
    return name if port.isdigit() else ""
