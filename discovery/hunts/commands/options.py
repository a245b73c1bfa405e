"""Options that several verbs of ``discovery hunt`` share, and what they mean."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from discovery.errors import HuntError

if TYPE_CHECKING:
    from discovery.hunts import Hunt

Json = Annotated[bool, Parameter(negative="")]
"""``json: Json = False``: print one JSON document."""
Several = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]
Files = Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")]


def opened_hunt(path: Path, release: Path | None) -> Hunt:
    """Return a hunt opened on the release given, or on the one that it remembers."""
    from discovery.hunts import open_hunt, peek_hunt, remembered_release
    from discovery.release.release import open_release

    return open_hunt(path, open_release(release or remembered_release(peek_hunt(path))))


def person_name(who: str | None) -> str:
    """Return the name given, or that of the login."""
    if who is not None:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise HuntError("your login has no name here; name who labels with --who NAME") from None
