"""``discovery train finetune parameters``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from cyclopts import Parameter

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from discovery.tables.writer import check_table_path, write_table
from training.finetuning.parameters.data import Objects, read_objects
from training.finetuning.parameters.fit import HeadPlan, apply, encoder_of
from training.finetuning.parameters.head import Inputs, load_head
from training.finetuning.parameters.report import as_text
from training.finetuning.parameters.run import HEAD, ParameterRun
from training.finetuning.parameters.targets import exclude, join_table, read_targets
from training.loop.processes import processes

Json = Annotated[bool, Parameter(name="--json", negative="")]


def parameters(
    survey: Path | None = None,
    *,
    out: Path,
    target: tuple[str, ...] = (),
    table_file: Annotated[Path | None, Parameter(name="--table")] = None,
    key: str | None = None,
    missing: tuple[str, ...] = (),
    leave_out: Annotated[tuple[str, ...], Parameter(name="--exclude")] = (),
    encoder: str = "default",
    inputs: Inputs | None = None,
    finetune_encoder: Annotated[bool, Parameter(negative="")] = False,
    ablations: bool = True,
    baseline: tuple[str, ...] = (),
    predict: Path | None = None,
    predictions: Path | None = None,
    pixel_scale: float | None = None,
    limit: int | None = None,
    steps: int = 1500,
    encoder_steps: int = 600,
    batch: int = 256,
    learning_rate: float = 1e-3,
    hidden: int = 256,
    seed: int = 0,
    device: Literal["cpu", "cuda"] | None = None,
    threads: int | None = None,
    json_output: Json = False,
) -> None:
    """Learn to estimate columns of a catalogue from stamps, and measure it beside baselines; or apply what was learned.

    The head sees the embedding and, where a pixel scale is known, the log crop side in arcsec and (for fluxes) asinh
    magnitudes in fixed apertures, which crop and stretch throw away. It gives a mean and a sigma for each target.

    Parameters
    ----------
    survey
        Survey or release to learn from. Without it, --predict applies the head in --out.
    out
        Folder of the run: head, parameters.json, parameters.png, held_out.csv.
    target
        Column of numbers to estimate; repeat it for more. Also mag_g, mag_r, mag_z (from fluxes) and ellipticity (from shape_e1, shape_e2).
    table_file
        Table (csv, tsv, Parquet, FITS, VOTable) with more columns, one line an object.
    key
        Its column of ids, where it cannot be told by itself.
    missing
        TARGET=VALUE that means 'not known', beside NULL, NaN, -99, -999 and -9999; such values are left out and counted.
    leave_out
        COLUMN=VALUE of objects to leave out, such as source_type=PSF; repeat it for more.
    encoder
        As in discovery index --encoder.
    inputs
        What the head sees: both, embedding or side; both where there are side features.
    finetune_encoder
        Train the encoder with the head, at a tenth of its rate; it is saved beside the head.
    ablations
        Also train heads on the embedding alone and on the side features alone.
    baseline
        Columns of the catalogue baseline, instead of g-r, r-z and r.
    predict
        Survey or release to apply the head to.
    predictions
        Table to write then (.csv, .fits, .vot, .parquet): object_id, each target and its sigma.
    pixel_scale
        Arcsec a pixel, where the files do not tell.
    limit
        Only the first stamps of a survey.
    steps
        Updates of a head on frozen embeddings.
    encoder_steps
        Updates with --finetune-encoder.
    batch, learning_rate, hidden
        Of the head: lines a step, peak rate, width of its two layers.
    threads
        CPU threads (all cores when not given).
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """
    if survey is None and predict is None:
        raise ConfigError("Name a survey to learn from, or one to apply the head to with --predict.")
    if (predict is None) != (predictions is None):
        raise ConfigError("--predict SURVEY and --predictions FILE go together.")
    if predictions is not None:
        check_table_path(predictions)
    if threads:
        torch.set_num_threads(threads)
    result: dict[str, Any] = {}
    with processes(device) as place:
        if place.world > 1:
            raise ConfigError("A head for parameters trains in one process; start it without torchrun.")
        if survey is not None:
            subject = load_encoder(encoder, device=str(place.device))
            objects, excluded = _objects(survey, subject, table_file, key, leave_out, pixel_scale, limit, keep=finetune_encoder)
            targets = read_targets(objects.catalogue, target, _missing(missing))
            plan = HeadPlan(steps=steps, batch=batch, learning_rate=learning_rate, hidden=hidden, seed=seed)
            run = ParameterRun(
                name=survey.name, objects=objects, targets=targets, encoder=subject, plan=plan, out=out, inputs=inputs,
                encoder_steps=encoder_steps if finetune_encoder else None, ablations=ablations, baseline=baseline,
                excluded=excluded, place=place,
            )  # fmt: skip
            result = run.finish()
        if predict is not None and predictions is not None:
            result |= _predict(out / HEAD, predict, predictions, encoder, pixel_scale, limit)
    if json_output:
        print(json.dumps(result))
        return
    if survey is not None:
        print(as_text(result))
    if predictions is not None:
        print(f"{predictions}: {result['predicted']['objects']} objects ({result['predicted']['damaged']} damaged)")


def _objects(
    survey: Path, encoder: Encoder, table_file: Path | None, key: str | None, leave_out: tuple[str, ...],
    pixel_scale: float | None, limit: int | None, *, keep: bool,
) -> tuple[Objects, int]:  # fmt: skip
    """Read the objects of a survey, join the table, and leave some out."""
    objects = read_objects(survey, encoder, pixel_scale_arcsec=pixel_scale, keep_inputs=keep, limit=limit)
    if table_file is not None:
        objects = dataclasses.replace(objects, catalogue=join_table(objects.catalogue, table_file, key)[0])
    conditions: dict[str, list[str]] = {}
    for column, value in (_pair(text, "--exclude") for text in leave_out):
        conditions.setdefault(column, []).append(value)
    out = exclude(objects.catalogue, conditions)
    return (objects.take(~out) if out.any() else objects), int(out.sum())


def _predict(
    folder: Path, survey: Path, out: Path, encoder: str, pixel_scale: float | None, limit: int | None
) -> dict[str, Any]:
    objects = read_objects(survey, encoder_of(folder, encoder), pixel_scale_arcsec=pixel_scale, limit=limit)
    write_table(apply(folder, objects), out)
    done = {"file": str(out), "objects": len(objects.object_ids), "damaged": objects.damaged, "targets": list(load_head(folder)[1].targets)}
    return {"predicted": done}


def _missing(texts: tuple[str, ...]) -> dict[str, float]:
    values = {}
    for text in texts:
        name, value = _pair(text, "--missing")
        try:
            values[name] = float(value)
        except ValueError:
            raise ConfigError(f"--missing {text}: {value} is no number.") from None
    return values


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"{option} {text}: write COLUMN=VALUE.")
    return name, value
