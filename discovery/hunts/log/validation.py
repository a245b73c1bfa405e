"""What is checked at a hunt's door, without letting SQLite near it: file headers, names, labels, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from discovery.errors import HuntError, QueryError
from discovery.hunts.log.records import VERDICTS
from discovery.search.query import Query
from discovery.sky.places import parse_cone

APPLICATION_ID = 0x47444854  # "GDHT"
MAX_FILE_BYTES = 2**30
MAX_NAME = 100
MAX_REASON = 1000
MAX_NOTE = 4000
DEFAULT_PAGE_SIZE = 20
"""Objects a round where no number is given."""
MAX_PAGE_SIZE = 1000
MAX_SEED = 2**62
LATEST, MAJORITY, ARBITER = "latest", "majority", "arbiter:"
"""The rules of consensus; the last one is followed by a name."""
RANGES = {"page_size": (1, MAX_PAGE_SIZE), "seed": (0, MAX_SEED)}


class HuntSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The settings of a hunt, as its file holds them; what files of version 1 lack has a default."""

    name: str
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)]
    page_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]
    where: str | None
    flagged: bool
    cone: str | None = None
    """Part of the sky that candidates lie in, as `discovery.sky.places.parse_cone` reads it."""
    query: dict[str, Any] | None = None
    """What the hunt was started from, as `discovery.search.query.Query.to_values` gives it; a record, which no round follows."""
    strategy: Annotated[str, msgspec.Meta(min_length=1, max_length=2 * MAX_NAME)] = "alpha"
    consensus: Annotated[str, msgspec.Meta(max_length=2 * MAX_NAME)] = "latest"
    stopper: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = "never"

    def filters(self) -> Query:
        """Return what candidates must meet, as a query without examples."""
        return Query(
            where=self.where,
            cone=None if self.cone is None else parse_cone(self.cone),
            include_flagged=self.flagged,
        )


def arbiter_of(rule: str) -> str | None:
    """Return the name of a consensus rule's arbiter; None for a rule without one.

    Raises
    ------
    HuntError
        There is no such rule.
    """
    if rule in (LATEST, MAJORITY):
        return None
    name = rule.removeprefix(ARBITER)
    if name == rule or not name or name != name.strip():
        raise HuntError(f"unknown consensus {rule!r}; choose latest, majority or arbiter:NAME")
    return name


def checked_settings(values: dict[str, Any]) -> HuntSettings:
    """Return settings; HuntError when one is missing, unknown, of the wrong kind or out of range."""
    for name, (least, most) in RANGES.items():
        value = values.get(name)
        if isinstance(value, int) and not least <= value <= most:
            raise HuntError(f"the {name.replace('_', ' ')} is {value}; it must lie between {least} and {most}")
    try:
        settings = msgspec.convert(values, HuntSettings)
    except msgspec.ValidationError as problem:
        raise HuntError(f"a setting of the hunt is not valid: {problem}") from None
    arbiter_of(settings.consensus)
    try:
        settings.filters()
        Query.from_values(settings.query or {})
    except QueryError as problem:
        raise HuntError(f"a setting of the hunt is not valid: {problem}") from None
    return settings


def changed_settings(settings: HuntSettings, **changes: Any) -> HuntSettings:
    """Return settings with some of them changed, all but those that are None; HuntError as `checked_settings`."""
    given = {key: value for key, value in changes.items() if value is not None}
    return checked_settings({**msgspec.structs.asdict(settings), **given})


def check_header(path: Path, newest: int) -> int:
    """Return the schema version from the file's header, without letting SQLite near it."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = file.seek(0, 2)
    except OSError as error:
        raise HuntError(f"{path.name} cannot be read: {error.strerror}") from None
    if not _is_hunt_header(header):
        raise HuntError(f"{path.name} is no hunt file")
    if size > MAX_FILE_BYTES:
        raise HuntError(
            f"{path.name} has {size / 2**20:.0f} MiB; hunt files have at most {MAX_FILE_BYTES / 2**20:.0f}"
        )
    if header[18] != 1 or header[19] != 1:
        raise HuntError(
            f"{path.name} keeps its changes in a side file (WAL), as hunts never do; it is not opened"
        )
    version = int.from_bytes(header[60:64], "big")
    if version > newest:
        raise HuntError(f"{path.name} has version {version}, newer than this program's {newest}; upgrade it")
    if version == 0:
        raise HuntError(f"{path.name} is no complete hunt file; its making was interrupted")
    return version


def looks_like_hunt(path: Path) -> bool:
    """Whether a file's first bytes are a hunt's."""
    try:
        with path.open("rb") as file:
            return _is_hunt_header(file.read(100))
    except OSError:
        return False


def checked_person(who: str) -> str:
    """Return ``who`` without surrounding blanks; HuntError when nothing is left or it is no plain short text."""
    who = who.strip()
    if not who or len(who) > MAX_NAME or not who.isprintable():
        raise HuntError(f"who labels must be a name of 1 to {MAX_NAME} printable characters")
    return who


def checked_label(label: dict[str, Any]) -> dict[str, Any]:
    """Return a label's fields; HuntError when the verdict is unknown or a text is too long or out of place."""
    if label["verdict"] not in VERDICTS:
        raise HuntError(f"unknown verdict {label['verdict']!r}; choose from {', '.join(VERDICTS)}")
    if label["negative_class"] is not None and label["verdict"] != "negative":
        raise HuntError("only a negative label can carry a negative class")
    for key, limit in (("negative_class", MAX_NAME), ("reason", MAX_REASON)):
        if label[key] is not None and (not label[key].strip() or len(label[key]) > limit):
            raise HuntError(f"{key.replace('_', ' ')} must have 1 to {limit} characters")
    named = label["negative_class"]
    return label if named is None else {**label, "negative_class": " ".join(named.split())}


def checked_note(text: str) -> str:
    """Return a note without surrounding blanks; HuntError when nothing is left or it is too long."""
    text = text.strip()
    if not text or len(text) > MAX_NOTE:
        raise HuntError(f"a note must have 1 to {MAX_NOTE} characters")
    return text


def _is_hunt_header(header: bytes) -> bool:
    magic, application = header[:16], header[68:72]
    return (
        len(header) == 100
        and magic == b"SQLite format 3\0"
        and application == APPLICATION_ID.to_bytes(4, "big")
    )
