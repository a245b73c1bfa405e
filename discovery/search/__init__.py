"""Search: queries, prompts, hits, known objects and outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.search.similarity import Hits as Hits
    from discovery.search.similarity import search as search

__all__ = ["Hits", "search"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that importing the package stays quick."""
    if name in __all__:
        from discovery.search.similarity import Hits, search

        return {"Hits": Hits, "search": search}[name]
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
