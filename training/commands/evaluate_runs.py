"""``discovery train evaluate multitask``, ``patches`` and ``detection``: tables of finished runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from discovery.errors import ConfigError
from training.commands.options import Json
from training.evaluation.tables import aligned, publish


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MultitaskTablesOptions:
    """Options of ``discovery train evaluate multitask``.

    Attributes
    ----------
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """

    out: Path | None = None
    json_output: Json = False


def multitask(*runs: Path, options: MultitaskTablesOptions = MultitaskTablesOptions()) -> None:
    """Print the three tables of multitask runs, with the degraded input's row and the gains, beside the paper's.

    Parameters
    ----------
    runs
        Folders that discovery train multitask wrote, of the same encoder and survey; several of one strategy (other
        seeds) become one line with their spread.
    """
    from training.evaluation.runs import multitask_tables

    result = multitask_tables(_named(runs))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    if options.json_output:
        print(json.dumps(result))
        return
    print(f"multitask, {result['survey']}, encoder {result['encoder']}, runs: {result['runs']}")
    for name, lines in result["tables"].items():
        print("\n".join(["", name, *aligned(lines)]))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DetectionTableOptions:
    """Options of ``discovery train evaluate detection``.

    Attributes
    ----------
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """

    out: Path | None = None
    json_output: Json = False


def detection(*runs: Path, options: DetectionTableOptions = DetectionTableOptions()) -> None:
    """Print the average precision of lens detection runs, at IoU 0.5 and 0.5 to 0.95, for boxes and masks.

    Parameters
    ----------
    runs
        Folders that discovery train finetune detection wrote, tested on the same fields; other seeds become a spread.
    """
    from training.evaluation.runs import detection_table

    publish(detection_table(_named(runs)), options.out, as_json=options.json_output)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PatchesOptions:
    """Options of ``discovery train evaluate patches``.

    Attributes
    ----------
    model
        A folder that discovery train multitask --export wrote; the one that ships when not given.
    stamps
        At most this many held-out stamps.
    seeds
        Draws of the masks.
    cache
        Folder of the prepared stamps.
    device
        CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """

    model: str = "default"
    stamps: int = 100
    seeds: int = 3
    cache: Path = Path("runs/stamps")
    device: str | None = None
    threads: int | None = None
    out: Path | None = None
    json_output: Json = False


def patches(survey: str, *, options: PatchesOptions = PatchesOptions()) -> None:
    """Print how well masked parts are reconstructed, by patch size, on held-out stamps.

    Parameters
    ----------
    survey
        Path of a survey.
    """
    from training.data.stamps import check_sources

    check_sources([survey], options.cache)
    from discovery.encoders.image_heads import load_multitask
    from training.data.stamps import load_stamps
    from training.evaluation.runs import patches as measure_patches
    from training.loop.processes import use_threads

    use_threads(options.threads)
    result = measure_patches(
        load_multitask(options.model, options.device), load_stamps(survey.partition("@")[0], options.cache), seeds=options.seeds, count=options.stamps
    )
    publish(
        {**result, "options": {"survey": survey, "model": options.model, "stamps": options.stamps, "seeds": options.seeds}},
        options.out,
        as_json=options.json_output,
    )


def _named(runs: tuple[Path, ...]) -> tuple[Path, ...]:
    if not runs:
        raise ConfigError("Name at least one folder of a run.")
    return runs
