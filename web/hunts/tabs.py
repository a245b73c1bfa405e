"""The pages of one hunt and the links between them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from web.layout.parts import Choice
from web.workspace.open_hunt import OpenHunt

TABS = {"label": ("Label", ""), "history": ("History", "/history"), "audit": ("Audit", "/audit")}


@dataclass(frozen=True, kw_only=True)
class HuntTabs:
    """The pages of one hunt, at the head of each of them."""

    name: str
    address: str
    tabs: tuple[Choice, ...]


def hunt_address(hunt: str) -> str:
    """Return the address of a hunt's page."""
    return f"/hunts/{quote(hunt, safe='')}"


def hunt_tabs(opened: OpenHunt, tab: str) -> HuntTabs:
    """Return the head of one of a hunt's pages; ``tab`` is its key, empty for none."""
    address = hunt_address(opened.name)
    labels = {key: (label, address + suffix) for key, (label, suffix) in TABS.items()}
    differing = len(opened.hunt.state().disagreements)
    labels["disagreements"] = (f"Disagreements ({differing})", address + "/disagreements")
    tabs = (Choice(label=label, href=href, chosen=key == tab) for key, (label, href) in labels.items())
    return HuntTabs(name=opened.name, address=address, tabs=tuple(tabs))
