"""Tables of finished runs: multitask finetuning beside the paper's, lens detection, reconstruction by patch size."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discovery.encoders.image_heads import MultitaskModel
from discovery.errors import ConfigError
from training.data.stamps import Stamps
from training.evaluation.tables import spread
from training.finetuning.class_figures import CLASS_COLUMNS
from training.finetuning.multitask.measures import PICTURE_COLUMNS, patch_table

PAPER: dict[str, dict[str, tuple[float, ...]]] = {
    "classification": {
        "frozen": (0.784, 0.767, 0.794, 0.771),
        "uniform": (0.842, 0.844, 0.850, 0.846),
        "active": (0.854, 0.823, 0.834, 0.844),
    },
    "restoration": {
        "input": (0.00094, 31.11, 0.48),
        "frozen": (0.00084, 31.31, 0.51),
        "uniform": (0.00083, 31.35, 0.54),
        "active": (0.00049, 33.34, 0.56),
    },
    "reconstruction": {
        "input": (0.0248, 15.64, 0.36),
        "frozen": (0.0089, 22.36, 0.49),
        "uniform": (0.0040, 26.07, 0.61),
        "active": (0.0038, 26.84, 0.64),
    },
}
"""Fu et al. 2024, section III: accuracy, precision, recall, F1; MSE, PSNR in dB, SSIM."""
PAPER_PATCHES = {"4": (26.54, 0.58), "8": (24.81, 0.55), "16": (23.61, 0.48)}
STRATEGIES = ("frozen", "uniform", "active")
MULTITASK_KEYS = ("strategy", "encoder", "survey", "classes", "stamps", "test")
DETECTION_KEYS = ("plan", "sources", "rows")


def multitask_tables(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the three tables of some multitask runs: the input, each strategy and its gain, beside the paper's.

    Runs of one strategy (other seeds) are one line, with their spread.

    Raises
    ------
    ConfigError
        If a folder holds no finished multitask run, or the runs are not of one encoder and survey.
    """
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    documents = [_read(run, "multitask.json", "discovery train multitask", MULTITASK_KEYS) for run in runs]
    _check_alike(documents, runs, ("encoder", "survey", "classes", "stamps"))
    for one in documents:
        found[one["strategy"]].append(one["test"])
    tables: dict[str, list[dict[str, Any]]] = {"classification": []}
    for strategy in (name for name in STRATEGIES if name in found):
        figures = {
            name: spread([test["classification"][name] for test in found[strategy]]) for name in CLASS_COLUMNS
        }
        tables["classification"].append(
            {"": strategy, **figures, **_paper("classification", strategy, CLASS_COLUMNS)}
        )
    for task in ("restoration", "reconstruction"):
        tables[task] = _picture_lines(
            task, {name: [test[task] for test in tests] for name, tests in found.items()}
        )
    about = {name: documents[0][name] for name in ("encoder", "survey", "classes", "stamps")}
    return {
        "table": "multitask",
        **about,
        "runs": {name: len(tests) for name, tests in found.items()},
        "tables": tables,
    }


def detection_table(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the table of average precision of some detection runs.

    Raises
    ------
    ConfigError
        If a folder holds no finished detection run, or the runs' test fields differ.
    """
    documents = [
        _read(run, "detection.json", "discovery train finetune detection", DETECTION_KEYS) for run in runs
    ]
    plans = [{name: value for name, value in one["plan"].items() if name != "seed"} for one in documents]
    _check_alike(
        [
            {"plan": plan, "sources": one["sources"]["held_out"]}
            for plan, one in zip(plans, documents, strict=True)
        ],
        runs,
        ("plan", "sources"),
    )
    gathered: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for one in documents:
        for row in one["rows"]:
            gathered[row["backbone"], row["start"], row["fields"]].append(row)
    lines = [
        {"backbone": backbone, "start": start, "fields": fields, "parameters": rows[0]["parameters"],
         **{name: spread([row[name] for row in rows]) for name in ("box_ap50", "box_ap", "mask_ap50", "mask_ap")}}
        for (backbone, start, fields), rows in sorted(gathered.items())
    ]  # fmt: skip
    notes = [
        "the paper (Fu et al. 2024), on 1000 images of its own: AP 0.967 with the LVM, 0.931 with ResNet50"
    ]
    return {
        "table": "detection",
        "survey": "held-out sources",
        "plan": plans[0],
        "notes": notes,
        "lines": lines,
    }


def patches(model: MultitaskModel, stamps: Stamps, *, seeds: int = 3, count: int = 100) -> dict[str, Any]:
    """Return the table of reconstruction by patch size on held-out stamps, the masks drawn anew for each seed."""
    rows = np.flatnonzero(~stamps.trains)
    if not len(rows) or count < 1 or seeds < 1:
        raise ConfigError(
            f"{stamps.name} has {len(rows)} held-out stamps, {count} wanted, {seeds} seeds; at least one of each is needed."
        )
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:count])
    tables = [patch_table(model, stamps.pixels[rows], seed) for seed in range(seeds)]
    lines = []
    for side in tables[0]:
        figures = {
            name: spread([table[side][name] for table in tables])
            for name in ("input_psnr", "psnr", "input_ssim", "ssim", "mse")
        }
        psnr, ssim = PAPER_PATCHES.get(side, (None, None))
        lines.append({"patch": side, **figures, "paper_psnr": psnr, "paper_ssim": ssim})
    return {
        "table": "reconstruction by patch size", "survey": stamps.name, "seeds": seeds, "counts": {"held out": len(rows)},
        "spread": f"median of {seeds} draws of masks (lowest - highest)" if seeds > 1 else "one draw of masks",
        "notes": [f"patches in pixels of the network's {model.image_size}-pixel stamp, 0-70 % masked; PSNR in dB"], "lines": lines,
    }  # fmt: skip


def _picture_lines(task: str, found: Mapping[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    known = [name for name in STRATEGIES if name in found]
    entered = {
        name: spread([test[f"input_{name}"] for tests in found.values() for test in tests])
        for name in PICTURE_COLUMNS
    }
    lines.append({"": "input", **entered, **_paper(task, "input", PICTURE_COLUMNS)})
    for strategy in known:
        own = {name: spread([test[name] for test in found[strategy]]) for name in PICTURE_COLUMNS}
        lines.append({"": strategy, **own, **_paper(task, strategy, PICTURE_COLUMNS)})
    for strategy in known:
        gains = {
            name: spread([test[name] - test[f"input_{name}"] for test in found[strategy]])
            for name in PICTURE_COLUMNS
        }
        published = zip(PAPER[task][strategy], PAPER[task]["input"], strict=True)
        paper = {
            f"paper_{name}": round(one - other, 5)
            for name, (one, other) in zip(PICTURE_COLUMNS, published, strict=True)
        }
        lines.append({"": f"gain, {strategy}", **gains, **paper})
    return lines


def _paper(task: str, row: str, columns: Sequence[str]) -> dict[str, float]:
    return {f"paper_{name}": value for name, value in zip(columns, PAPER[task][row], strict=True)}


def _check_alike(documents: Sequence[Mapping[str, Any]], runs: Sequence[Path], names: Sequence[str]) -> None:
    for one, run in zip(documents, runs, strict=True):
        odd = [name for name in names if one[name] != documents[0][name]]
        if odd:
            raise ConfigError(
                f"{run} and {runs[0]} differ in their {odd[0]}; a table compares runs of one kind."
            )


def _read(run: Path, name: str, verb: str, needs: Sequence[str]) -> dict[str, Any]:
    path = run if run.is_file() else run / name
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict) and all(key in found for key in needs):
            return found
        raise ConfigError(f"{path} holds no result of {verb}; give the folder of a run.")
    except OSError:
        raise ConfigError(f"{run} is no finished run: {name} is missing; make one with {verb}.") from None
    except json.JSONDecodeError:
        raise ConfigError(f"{path} is no JSON document; make it anew with {verb}.") from None
