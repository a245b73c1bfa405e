"""Who visits: a signed cookie, and the CSRF token that belongs to it.

The cookie holds an id, a name and whether its owner has shown the token, signed with a key that lives as
long as the process. The CSRF token is derived from the id, so that a page of another site, which can
neither read the cookie nor the pages, cannot know it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request

LIFETIME_SECONDS = 7 * 24 * 3600
MAX_NAME_LENGTH = 64


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One visitor, as the signed cookie names them."""

    id: str
    who: str
    signed_in: bool
    expires: float
    """Seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Makes, signs and checks sessions.

    Attributes
    ----------
    key : bytes
        Signs cookies; fresh in each process, so that a restart asks for the token again.
    token : bytes or None
        What a visitor must know; None lets everybody in.
    cookie_name : str
        Holds the port: cookies are shared by all ports of a host.
    default_who : str
        Name of a visitor who has given none.
    """

    key: bytes
    token: bytes | None
    cookie_name: str
    default_who: str

    @classmethod
    def create(cls, *, token: str | None, port: int, who: str) -> Sessions:
        """Return sessions with a fresh key for an app on ``port``."""
        return cls(
            key=secrets.token_bytes(32),
            token=token.encode() if token is not None else None,
            cookie_name=f"discovery_{port}",
            default_who=who,
        )

    def open(self, *, who: str | None = None, signed_in: bool = False) -> Session:
        """Return a new session; without a token everybody counts as signed in."""
        return Session(
            id=secrets.token_urlsafe(18),
            who=clean_name(who) or self.default_who,
            signed_in=signed_in or self.token is None,
            expires=time.time() + LIFETIME_SECONDS,
        )

    def seal(self, session: Session) -> str:
        """Return the value of the cookie."""
        payload = base64.urlsafe_b64encode(msgspec.json.encode(session)).decode()
        return f"{payload}.{self._sign('cookie', payload)}"

    def unseal(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie, None when it is not ours, altered or too old."""
        payload, _, signature = (cookie or "").partition(".")
        if not same(signature, self._sign("cookie", payload)):
            return None
        session = msgspec.json.decode(base64.urlsafe_b64decode(payload), type=Session)
        return session if session.expires > time.time() else None

    def csrf(self, session: Session) -> str:
        """Return the token that this session's forms carry."""
        return self._sign("csrf", session.id)

    def knows_token(self, given: str) -> bool:
        """Return whether ``given`` is the token, in constant time."""
        return self.token is not None and same(given, self.token.decode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def visitor_name(request: Request[Any, Any, Any]) -> str:
    """Return the visitor's name, which labels are signed with."""
    session: Session = request.scope["state"]["session"]
    return session.who


def same(one: str, other: str) -> bool:
    """Return whether two secrets are equal, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def clean_name(name: str | None) -> str:
    """Return a visitor's name without control characters and surplus spaces, at most 64 characters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name or "")
    return " ".join(printable.split())[:MAX_NAME_LENGTH].rstrip()
