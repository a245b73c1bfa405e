"""A release: one survey seen by one encoder, embedded, indexed and listed in a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.release.release import Release as Release
    from discovery.release.release import open_release as open_release

__all__ = ["Release", "open_release"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that importing the package stays quick."""
    if name in __all__:
        from discovery.release.release import Release, open_release

        return {"Release": Release, "open_release": open_release}[name]
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
