"""``discovery train twins``."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cyclopts import Parameter

from discovery.errors import ConfigError
from training.commands.options import Json


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TwinsOptions:
    """Options of ``discovery train twins``.

    Attributes
    ----------
    out
        Text file for the object_ids that must not be learned, since a twin is held out (discovery train pretrain --leave-out).
    pairs
        CSV file for all pairs.
    least
        Correlation of the fine structure from which two stamps are twins.
    cache
        Folder of the prepared stamps.
    json_output
        Print one JSON document instead of text.
    """

    out: Path | None = None
    pairs: Path | None = None
    least: float = 0.83
    cache: Path = Path("runs/stamps")
    json_output: Json = False


def twins(*surveys: str, options: TwinsOptions = TwinsOptions()) -> None:
    """Find the same galaxy in several surveys by its pixels, and print how many stand on both sides of the split.

    Parameters
    ----------
    surveys
        Two surveys or more.
    """
    if len(surveys) < 2:
        raise ConfigError("Name at least two surveys; twins stand in different ones.")
    from training.data.stamps import check_sources, load_stamps
    from training.data.twins import find_twins, left_out

    check_sources(surveys, options.cache)
    parts = [load_stamps(survey, options.cache) for survey in surveys]
    found = find_twins(parts, options.least)
    not_learned = sorted(left_out(found, parts))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("".join(f"{name}\n" for name in not_learned))
    if options.pairs is not None:
        with options.pairs.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["one", "other", "survey", "other_survey", "correlation"])
            rows.writerows([t.one, t.other, *t.surveys, round(t.correlation, 4)] for t in found)
    if options.json_output:
        print(json.dumps({"twins": [asdict(twin) for twin in found], "left_out": not_learned}))
    else:
        print(f"{len(found)} twins; {len(not_learned)} stamps must not be learned")
