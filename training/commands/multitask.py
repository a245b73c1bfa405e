"""``discovery train multitask``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from discovery.encoders.encoder import load_encoder
from discovery.encoders.image_heads import WIDTH, save_multitask
from discovery.errors import ConfigError
from training.data.degrade import Degradation
from training.data.stamps import load_stamps
from training.finetuning.multitask.measures import CLASS_COLUMNS, PICTURE_COLUMNS
from training.finetuning.multitask.multitask import Figures, MultitaskConfig, Strategy, measured, patch_table
from training.finetuning.multitask.multitask import multitask as run_multitask
from training.finetuning.multitask.tasks import TASKS, Sizes, task_data
from training.loop.loop import LoopConfig
from training.loop.processes import processes

Json = Annotated[bool, Parameter(name="--json", negative="")]
Pair = tuple[int, int]
RESULT = "multitask.json"
PATCH_STAMPS = 100


def multitask(
    survey: str,
    *,
    out: Path,
    encoder: str = "default",
    strategy: Strategy = "active",
    start_from: Path | None = None,
    steps: int = 6000,
    batch: int = 32,
    learning_rate: float = 1e-3,
    encoder_rate: float = 0.3,
    recolour: float = 0.0,
    width: int = WIDTH,
    scale: float = 1.0,
    classification: Pair = (2000, 1000),
    restoration: Pair = (1000, 100),
    reconstruction: Pair = (1000, 100),
    validation: Pair = (500, 100),
    group: tuple[str, ...] = (),
    evaluate_every: int = 250,
    export: Path | None = None,
    cache: Path = Path("runs/stamps"),
    seed: int = 0,
    device: str | None = None,
    threads: int | None = None,
    json_output: Json = False,
) -> None:
    """Finetune an LVM on classification, restoration and reconstruction; run it again to go on where it stopped.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of class labels.
    out
        Folder of the run: config.json, metrics.jsonl, tensorboard, checkpoint.safetensors, multitask.json (the tables).
    encoder
        An LVM, as in discovery index --encoder.
    strategy
        frozen: heads only. uniform: the encoder too, equal shares of the steps. active: weaker tasks get more steps.
    start_from
        Run or checkpoint of another multitask training whose weights are the start.
    steps, batch, learning_rate
        Schedule: warm-up over a twentieth of the steps, then a cosine to zero. Each step belongs to one task.
    encoder_rate
        The encoder's learning rate as a part of the heads'.
    recolour
        Largest relative change of a band's brightness in the picture tasks' training stamps, for use on other surveys.
    width
        Channels inside the picture heads.
    scale
        Factor on the PSF's width (2-8 pixels) and on the patches (4, 8, 16), which are in pixels of the network's stamp.
    classification, restoration, reconstruction
        Training and test stamps of each task.
    validation
        Stamps on which the active rule stands: for classification, and for each picture task.
    group
        NAME=CLASS+CLASS, several times: the classes to learn. The paper's four are made of Galaxy Zoo 2's five clean ones
        when not given.
    evaluate_every
        Steps between evaluations.
    export
        Write the model into this folder, for discovery restore and discovery reconstruct.
    cache
        Folder of the prepared stamps.
    device
        CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """
    if threads:
        torch.set_num_threads(threads)
    loop = LoopConfig(
        steps=steps, learning_rate=learning_rate, warmup=steps // 20, evaluate_every=evaluate_every, log_every=10, seed=seed
    )
    how = Degradation(scale=scale)
    config = MultitaskConfig(
        strategy=strategy, loop=loop, batch=batch, encoder_rate=encoder_rate, recolour=recolour, width=width, degradation=how
    )  # fmt: skip
    sizes = Sizes(classification=classification, restoration=restoration, reconstruction=reconstruction, validation=validation)
    data = task_data(load_stamps(survey, cache), sizes, seed, _groups(group))
    loaded = load_encoder(encoder)
    with processes(device) as place:
        model = run_multitask(config, data, loaded, out, start_from=start_from, show=lambda figures: _show(strategy, figures), place=place)
    rows = data.test["reconstruction"][:PATCH_STAMPS]
    tables: dict[str, Any] = {
        "strategy": strategy,
        "encoder": loaded.card.name,
        "survey": data.stamps.name,
        "classes": list(data.classes),
        "stamps": {task: [len(data.train[task]), len(data.test[task])] for task in TASKS},
        "steps": steps,
        "test": measured(model, data, "test", how),
        "patches": patch_table(model, data.stamps.pixels[rows], seed, how),
    }
    (out / RESULT).write_text(json.dumps(tables, indent=1) + "\n")
    if export is not None:
        about = {key: tables[key] for key in ("strategy", "survey", "stamps", "steps")}
        settings = {"batch": batch, "recolour": recolour, "seed": seed, "start_from": str(start_from) if start_from else None}
        card = {"name": f"{loaded.card.name}-{strategy}", "encoder": loaded.checksum, "training": about | settings}
        save_multitask(export, model, card | {"measured": {"test": tables["test"], "patches": tables["patches"]}})
    print(json.dumps(tables) if json_output else table(strategy, tables["test"], tables["patches"]))


def table(strategy: str, figures: Figures, patches: Figures) -> str:
    """Return the paper's columns as text: the model's row, the degraded input's, and the gain."""
    lines = ["classification   " + " ".join(f"{name:>9s}" for name in CLASS_COLUMNS)]
    lines.append(f"{strategy:16s} " + " ".join(f"{figures['classification'][name]:9.3f}" for name in CLASS_COLUMNS))
    for title, row in [(task, figures[task]) for task in TASKS[1:]] + [(f"patches of {side}", row) for side, row in patches.items()]:
        own, entered = ([row[f"{start}{name}"] for name in PICTURE_COLUMNS] for start in ("", "input_"))
        gain = [one - other for one, other in zip(own, entered, strict=True)]
        lines += ["", f"{title:16s} " + " ".join(f"{name:>9s}" for name in PICTURE_COLUMNS)]
        for name, values in (("input", entered), (strategy, own), ("gain", gain)):
            lines.append(f"{name:16s} {values[0]:9.5f} {values[1]:9.2f} {values[2]:9.3f}")
    return "\n".join(lines)


def _show(strategy: str, figures: Figures) -> None:
    print(f"\nvalidation part\n{table(strategy, figures, {})}\n", file=sys.stderr, flush=True)


def _groups(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    groups = {}
    for text in texts:
        name, _, members = text.partition("=")
        if not name or not members or name in groups:
            raise ConfigError(f"--group {text}: write NAME=CLASS+CLASS, each name once, such as elliptical=round_smooth+inbetween_smooth.")
        groups[name] = tuple(members.split("+"))
    return groups or None
