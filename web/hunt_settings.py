"""The rules of a hunt: how pages are chosen, and whose verdict counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from web.hunt_tabs import hunt_address
from web.next_pages import NextPages
from web.sessions import visitor_name
from web.shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class AlphaForm:
    """A new alpha."""

    alpha: float
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class StrategyForm:
    """Another strategy."""

    strategy: str
    csrf: str = ""


@dataclass(frozen=True, kw_only=True)
class ConsensusForm:
    """Another consensus rule."""

    consensus: str
    csrf: str = ""


@post("/hunts/{hunt:str}/alpha", sync_to_thread=True, include_in_schema=False)
def set_alpha(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[AlphaForm],
) -> Response[None] | Redirect:
    """Change alpha from the next round on."""
    opened = shelf.hunt(hunt)
    opened.hunt.set_alpha(data.alpha, visitor_name(request))
    next_pages.changed(opened)
    if request.headers.get("hx-request"):
        return Response(None, status_code=204)
    return Redirect(hunt_address(hunt), status_code=303)


@post("/hunts/{hunt:str}/strategy", sync_to_thread=True, include_in_schema=False)
def set_strategy(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[StrategyForm],
) -> Redirect:
    """Change the strategy from the next round on."""
    opened = shelf.hunt(hunt)
    opened.hunt.set_strategy(data.strategy, visitor_name(request))
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt), status_code=303)


@post("/hunts/{hunt:str}/consensus", sync_to_thread=True, include_in_schema=False)
def set_consensus(
    request: Request[Any, Any, Any],
    shelf: NamedDependency[Shelf],
    next_pages: NamedDependency[NextPages],
    hunt: FromPath[str],
    data: URLEncodedBody[ConsensusForm],
) -> Redirect:
    """Change whose verdict counts; what counts now changes at once."""
    opened = shelf.hunt(hunt)
    opened.hunt.set_consensus(data.consensus, visitor_name(request))
    next_pages.changed(opened)
    return Redirect(hunt_address(hunt), status_code=303)
