"""A head for catalogue parameters, from a survey's path to its report, and applied to another survey."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from discovery.tables.writer import write_table
from training.finetuning.parameters.config import ParametersConfig
from training.finetuning.parameters.data import Objects, read_objects
from training.finetuning.parameters.fit import HeadPlan, apply, encoder_of
from training.finetuning.parameters.head import load_head
from training.finetuning.parameters.run import HEAD, ParameterRun
from training.finetuning.parameters.targets import exclude, join_table, read_targets
from training.loop.processes import Place, processes, use_threads


def finetune_parameters(survey: Path | None, config: ParametersConfig) -> dict[str, Any]:
    """Return the report of a head learned from a survey; with ``config.predict``, also what it was applied to.

    Raises
    ------
    ConfigError
        If options do not fit together, or a target is known for too few objects.
    """
    config.check(survey)
    use_threads(config.threads)
    result: dict[str, Any] = {}
    with processes(config.device) as place:
        if place.world > 1:
            raise ConfigError("A head for parameters trains in one process; start it without torchrun.")
        if survey is not None:
            result = _learned(survey, config, place)
        if config.predict is not None and config.predictions is not None:
            result["predicted"] = _predicted(config.predict, config.predictions, config)
    return result


def _learned(survey: Path, config: ParametersConfig, place: Place) -> dict[str, Any]:
    encoder = load_encoder(config.encoder, device=str(place.device))
    objects, excluded = _objects(survey, encoder, config)
    run = ParameterRun(
        name=survey.name,
        objects=objects,
        targets=read_targets(objects.catalogue, config.target, config.not_known()),
        encoder=encoder,
        plan=HeadPlan(
            steps=config.steps, batch=config.batch, learning_rate=config.learning_rate, hidden=config.hidden, seed=config.seed
        ),
        out=config.out,
        inputs=config.inputs,
        encoder_steps=config.encoder_steps if config.finetune_encoder else None,
        ablations=config.ablations,
        baseline=config.baseline,
        excluded=excluded,
        place=place,
    )
    return run.finish()


def _objects(survey: Path, encoder: Encoder, config: ParametersConfig) -> tuple[Objects, int]:
    """Return the objects of a survey, with the table's columns, and how many were left out."""
    objects = read_objects(
        survey, encoder, pixel_scale_arcsec=config.pixel_scale, keep_inputs=config.finetune_encoder, limit=config.limit
    )
    if config.table_file is not None:
        objects = dataclasses.replace(objects, catalogue=join_table(objects.catalogue, config.table_file, config.key)[0])
    out = exclude(objects.catalogue, config.conditions())
    return (objects.take(~out) if out.any() else objects), int(out.sum())


def _predicted(survey: Path, file: Path, config: ParametersConfig) -> dict[str, Any]:
    """Return what was written to a table of predictions."""
    folder = config.out / HEAD
    objects = read_objects(survey, encoder_of(folder, config.encoder), pixel_scale_arcsec=config.pixel_scale, limit=config.limit)
    write_table(apply(folder, objects), file)
    targets = list(load_head(folder)[1].targets)
    return {"file": str(file), "objects": len(objects.object_ids), "damaged": objects.damaged, "targets": targets}
