"""Find more galaxies like a few examples, in any survey.

>>> from discovery import open_release
>>> release = open_release("releases/demo")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from discovery.old_imports import accept_old_imports

if TYPE_CHECKING:
    from discovery import errors as errors
    from discovery.hunts import new_hunt as new_hunt
    from discovery.hunts import open_hunt as open_hunt
    from discovery.release import open_release as open_release
    from discovery.search.query import Query as Query

__version__ = "0.1.0"
__all__ = ["Query", "errors", "new_hunt", "open_hunt", "open_release"]

_HOMES = {
    "Query": "discovery.search.query",
    "new_hunt": "discovery.hunts",
    "open_hunt": "discovery.hunts",
    "open_release": "discovery.release",
}

accept_old_imports()


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that importing the package stays quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'discovery' has no attribute {name!r}")
