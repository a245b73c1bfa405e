"""Hunt files as they lie in a folder: what each says of itself, without its release."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from discovery.errors import HuntError
from discovery.hunts.log.records import Counts, HuntInfo, LabelState
from discovery.hunts.log.store import HuntStore
from discovery.hunts.log.validation import looks_like_hunt

LOGGER = logging.getLogger(__name__)


def peek_hunt(path: Path | str) -> HuntInfo:
    """Say what a hunt file holds, without its release.

    Raises
    ------
    HuntError
        The file is no hunt, or damaged.
    """
    return describe(HuntStore.open(Path(path)))


def list_hunts(folder: Path | str) -> list[HuntInfo]:
    """Return the hunts in a folder by name; files that are no hunts, or damaged ones, are left out with a warning.

    Raises
    ------
    HuntError
        The folder cannot be read.
    """
    found = []
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file() and looks_like_hunt(path))
    except OSError as error:
        raise HuntError(f"{folder} cannot be read: {error.strerror}") from None
    for path in files:
        try:
            found.append(peek_hunt(path))
        except HuntError as problem:
            LOGGER.warning("left out: %s", problem)
    return found


def remembered_release(info: HuntInfo) -> Path:
    """Return the release folder that a hunt file remembers: beside the hunt as it was, or where it was.

    Raises
    ------
    HuntError
        It is at neither place.
    """
    for path in (info.path.resolve().parent / info.relative_path, Path(info.release_path)):
        if (path / "manifest.json").is_file():
            return path
    raise HuntError(
        f"the release {info.release_name} of {info.path.name} is not where it was; name it with --release"
    )


def describe(store: HuntStore) -> HuntInfo:
    """Return what a hunt file holds."""
    taken, bound, log = store.snapshot(), store.releases()[-1], store.log()
    who, created = store.first_line()
    kinds = [line["verdict"] for line in store.examples()]
    return HuntInfo(
        path=store.path,
        created=created,
        who=who,
        release_name=bound["name"],
        release_path=bound["path"],
        relative_path=bound["relative_path"],
        encoder_checksum=bound["encoder_checksum"],
        dimension=bound["dimension"],
        count=bound["count"],
        examples_positive=kinds.count("positive"),
        examples_negative=kinds.count("negative"),
        counts=count_verdicts(taken.states),
        negative_classes=count_classes(taken.states),
        notes=len(store.notes()),
        rounds=len(taken.rounds),
        last_label=log[-1].when if log else None,
        **msgspec.structs.asdict(taken.settings),
    )


def count_classes(states: Sequence[LabelState]) -> dict[str, int]:
    """Return how many negatives have each class, the most frequent first."""
    named = Counter(state.negative_class for state in states if state.negative_class is not None)
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def count_verdicts(states: Sequence[LabelState]) -> Counts:
    """Return how many objects have each verdict."""
    verdicts = [state.verdict for state in states]
    return Counts(
        positive=verdicts.count("positive"),
        negative=verdicts.count("negative"),
        unsure=verdicts.count("unsure"),
        skipped=verdicts.count("skipped"),
    )
