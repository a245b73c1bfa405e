"""``discovery hunt replay``: play every round again and compare."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from discovery.errors import HuntError
from discovery.hunts.commands.answers import answer
from discovery.hunts.commands.options import Json, opened_hunt

if TYPE_CHECKING:
    from discovery.hunts.replay import ReplayedRound


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Options of ``discovery hunt replay``.

    Attributes
    ----------
    release
        Release folder, if it is no longer where the hunt knows it.
    json
        Print one JSON document.
    """

    release: Path | None = None
    json: Json = False


def replay(hunt: Path, /, *, options: ReplayOptions = ReplayOptions()) -> None:
    """Play every round again from the log and confirm that the same candidates, scores and models come out.

    Ends with status 1 when a round differs. Where the index of the release was rebuilt since a round, or another engine found its
    candidates, a note is printed: they may differ for that alone. Rounds that were played on another release, before the hunt was carried
    over, are named and left out.

    Parameters
    ----------
    hunt
        Hunt file; it stays as it is.
    """
    from discovery.hunts.replay import replay_hunt

    report = replay_hunt(opened_hunt(hunt, options.release))
    elsewhere = report.number("another release")
    played = len(report.rounds) - elsewhere
    summary = f"{report.number('same')} of {played} rounds come out as recorded"
    if elsewhere:
        summary += f"; {elsewhere} more were played on another release"
    document = {**dataclasses.asdict(report), "confirmed": report.confirmed}
    answer(options.json, document, "\n".join([*(_line(one) for one in report.rounds), summary]))
    if not report.confirmed:
        raise HuntError(f"{played - report.number('same')} of {played} rounds of {hunt.name} do not come out as recorded")


def _line(played: ReplayedRound) -> str:
    line = f"round {played.number:>3}  {played.outcome:<16} {played.candidates} candidates, scores {played.digest[:12]}"
    model = played.model.get("name", "unknown")
    weights = str(played.model.get("weights", ""))[:12]
    line += f", model {model} {weights}".rstrip()
    line += "".join(f"; {note}" for note in played.notes)
    if played.outcome != "same":
        line += f": {'; '.join(played.differences)}"
        if played.changed and played.outcome != "another release":
            versions = [f"{name} {then}, now {now}" for name, (then, now) in played.changed.items()]
            line += f" (made with {'; '.join(versions)})"
    return line
