"""Programs for people: sharpen and denoise a FITS image, and mend its masked parts.

`restore_image` and `reconstruct_image` take a file and write a file. Below them: `stretch` (fluxes to what the
network sees, and exactly back), `tiles` (images of any size through a network of one size), `flux` (apertures keep
their flux), `mosaic` (FITS in and out) and `masks` (what is to be mended).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.restoration.images import Outcome as Outcome
    from discovery.restoration.images import reconstruct_image as reconstruct_image
    from discovery.restoration.images import restore_image as restore_image
    from discovery.restoration.network import ImageNetwork as ImageNetwork
    from discovery.restoration.network import load_network as load_network

_HOMES = {
    "ImageNetwork": "network",
    "Outcome": "images",
    "load_network": "network",
    "reconstruct_image": "images",
    "restore_image": "images",
}
__all__ = ["ImageNetwork", "Outcome", "load_network", "reconstruct_image", "restore_image"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that importing the package needs no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
