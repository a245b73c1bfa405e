"""Search: queries, prompts, hits, known objects and outliers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.search.prompts import Prompt as Prompt
    from discovery.search.prompts import resolve_prompt as resolve_prompt
    from discovery.search.prompts import resolve_prompts as resolve_prompts
    from discovery.search.query import Query as Query
    from discovery.search.similarity import Hits as Hits
    from discovery.search.similarity import search as search

__all__ = ["Hits", "Prompt", "Query", "resolve_prompt", "resolve_prompts", "search"]

_HOMES = {
    "Hits": "similarity",
    "Prompt": "prompts",
    "Query": "query",
    "resolve_prompt": "prompts",
    "resolve_prompts": "prompts",
    "search": "similarity",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that importing the package stays quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"discovery.search.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
