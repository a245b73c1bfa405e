"""Find more galaxies like a few examples, in any survey.

>>> from discovery import open_release
>>> release = open_release("releases/demo")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.release import open_release as open_release

__version__ = "0.1.0"
__all__ = ["open_release"]


def __getattr__(name: str) -> Any:
    """Import `open_release` on first use, so that importing the package stays quick."""
    if name == "open_release":
        from discovery.release import open_release

        return open_release
    raise AttributeError(f"module 'discovery' has no attribute {name!r}")
