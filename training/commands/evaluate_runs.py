"""``discovery train evaluate multitask``, ``patches`` and ``detection``: tables of finished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from discovery.encoders.image_heads import load_multitask
from discovery.errors import ConfigError
from training.data.stamps import load_stamps
from training.evaluation.runs import detection_table, multitask_tables
from training.evaluation.runs import patches as measure_patches
from training.evaluation.tables import aligned, publish

Json = Annotated[bool, Parameter(name="--json", negative="")]


def multitask(*runs: Path, out: Path | None = None, json_output: Json = False) -> None:
    """Print the three tables of multitask runs, with the degraded input's row and the gains, beside the paper's.

    Parameters
    ----------
    runs
        Folders that discovery train multitask wrote, of the same encoder and survey; several of one strategy (other
        seeds) become one line with their spread.
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """
    result = multitask_tables(_named(runs))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
    if json_output:
        print(json.dumps(result))
        return
    print(f"multitask, {result['survey']}, encoder {result['encoder']}, runs: {result['runs']}")
    for name, lines in result["tables"].items():
        print("\n".join(["", name, *aligned(lines)]))


def detection(*runs: Path, out: Path | None = None, json_output: Json = False) -> None:
    """Print the average precision of lens detection runs, at IoU 0.5 and 0.5 to 0.95, for boxes and masks.

    Parameters
    ----------
    runs
        Folders that discovery train finetune detection wrote, tested on the same fields; other seeds become a spread.
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """
    publish(detection_table(_named(runs)), out, as_json=json_output)


def patches(
    survey: str,
    *,
    model: str = "default",
    stamps: int = 100,
    seeds: int = 3,
    cache: Path = Path("runs/stamps"),
    device: str | None = None,
    threads: int | None = None,
    out: Path | None = None,
    json_output: Json = False,
) -> None:
    """Print how well masked parts are reconstructed, by patch size, on held-out stamps.

    Parameters
    ----------
    survey
        Path of a survey.
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
    if threads:
        torch.set_num_threads(threads)
    result = measure_patches(
        load_multitask(model, device), load_stamps(survey.partition("@")[0], cache), seeds=seeds, count=stamps
    )
    publish(
        {**result, "options": {"survey": survey, "model": model, "stamps": stamps, "seeds": seeds}},
        out,
        as_json=json_output,
    )


def _named(runs: tuple[Path, ...]) -> tuple[Path, ...]:
    if not runs:
        raise ConfigError("Name at least one folder of a run.")
    return runs
