"""Names of the files of Legacy Survey bricks."""

from __future__ import annotations

import re

_COADD = re.compile(r"(?:^|/)legacysurvey-(\d{4}[pm]\d{3})-(image|invvar|maskbits|nexp)(?:-([a-zA-Z]))?\.fits(?:\.fz|\.gz)?$")
_CATALOGUE = re.compile(r"(?:^|/)(?:tractor-(\d{4}[pm]\d{3})|sweep-\d{3}[pm]\d{3}-\d{3}[pm]\d{3}[\w-]*)\.fits(?:\.gz)?$")


def is_brick_file(name: str) -> bool:
    """Tell whether a file is a coadd plane, tractor or sweep file of the Legacy Surveys."""
    return bool(_COADD.search(name) or _CATALOGUE.search(name))
