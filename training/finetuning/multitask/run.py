"""A multitask run from a survey's path to its tables and, on request, the model that ``discovery restore`` uses."""

from __future__ import annotations

import json
import sys
from typing import Any

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.encoders.image_heads import MultitaskModel, save_multitask
from training.data.degrade import Degradation
from training.data.stamps import load_stamps
from training.finetuning.multitask.config import MultitaskRunConfig
from training.finetuning.multitask.measures import Figures, measured, patch_table
from training.finetuning.multitask.multitask import MultitaskConfig, multitask
from training.finetuning.multitask.report import table
from training.finetuning.multitask.tasks import TASKS, Sizes, TaskData, task_data
from training.loop.config import LoopConfig
from training.loop.processes import processes, use_threads

RESULT = "multitask.json"
PATCH_STAMPS = 100


def finetune_multitask(survey: str, config: MultitaskRunConfig) -> dict[str, Any]:
    """Return the tables of a model on its test stamps; it is trained, or goes on where it stopped.

    Parameters
    ----------
    survey
        ``PATH@COLUMN``: a survey and its column of class labels.
    """
    use_threads(config.threads)
    sizes = Sizes(
        classification=config.classification,
        restoration=config.restoration,
        reconstruction=config.reconstruction,
        validation=config.validation,
    )
    data = task_data(load_stamps(survey, config.cache), sizes, config.seed, config.groups())
    encoder = load_encoder(config.encoder)

    def show(figures: Figures) -> None:
        print(f"\nvalidation part\n{table(config.strategy, figures, {})}\n", file=sys.stderr, flush=True)

    with processes(config.device) as place:
        model = multitask(_training(config), data, encoder, config.out, start_from=config.start_from, show=show, place=place)
    tables = _tables(config, data, encoder, model)
    (config.out / RESULT).write_text(json.dumps(tables, indent=1) + "\n")
    if config.export is not None:
        save_multitask(config.export, model, _card(config, encoder, tables))
    return tables


def _training(config: MultitaskRunConfig) -> MultitaskConfig:
    return MultitaskConfig(
        strategy=config.strategy,
        loop=LoopConfig(
            steps=config.steps,
            learning_rate=config.learning_rate,
            warmup=config.steps // 20,
            evaluate_every=config.evaluate_every,
            log_every=10,
            seed=config.seed,
        ),
        batch=config.batch,
        encoder_rate=config.encoder_rate,
        recolour=config.recolour,
        width=config.width,
        degradation=Degradation(scale=config.scale),
    )


def _tables(config: MultitaskRunConfig, data: TaskData, encoder: Encoder, model: MultitaskModel) -> dict[str, Any]:
    how = Degradation(scale=config.scale)
    rows = data.test["reconstruction"][:PATCH_STAMPS]
    return {
        "strategy": config.strategy,
        "encoder": encoder.card.name,
        "survey": data.stamps.name,
        "classes": list(data.classes),
        "stamps": {task: [len(data.train[task]), len(data.test[task])] for task in TASKS},
        "steps": config.steps,
        "test": measured(model, data, "test", how),
        "patches": patch_table(model, data.stamps.pixels[rows], config.seed, how),
    }


def _card(config: MultitaskRunConfig, encoder: Encoder, tables: dict[str, Any]) -> dict[str, Any]:
    training = {key: tables[key] for key in ("strategy", "survey", "stamps", "steps")}
    training |= {"batch": config.batch, "recolour": config.recolour, "seed": config.seed}
    training["start_from"] = str(config.start_from) if config.start_from else None
    measured_on = {"test": tables["test"], "patches": tables["patches"]}
    return {"name": f"{encoder.card.name}-{config.strategy}", "encoder": encoder.checksum, "training": training, "measured": measured_on}
