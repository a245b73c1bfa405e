"""``discovery train finetune classes``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from cyclopts import Parameter

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from discovery.tables.writer import write_table
from training.data.stamps import Stamps, load_stamps
from training.evaluation.few_shot import check_classes, shots
from training.evaluation.labels import labelled_stamps
from training.evaluation.tables import aligned
from training.finetuning.classes.classification import (
    Head,
    Loss,
    WholeClassifier,
    fit_linear,
    fit_mlp,
    measures,
    stamp_batches,
    steps_an_epoch,
)
from training.finetuning.classes.classifier import CARD, Classifier, read_classifier_card, save_classifier
from training.loop.checkpoint import load_checkpoint, load_into
from training.loop.loop import LoopConfig, train
from training.loop.processes import Place
from training.spaces import EncoderSpace, Vectors, labelled_parts

HIDDEN = 512
RESULT = "test.json"
Mode = Literal["linear", "mlp", "full"]


def classes(
    survey: str,
    *,
    out: Path,
    encoder: str = "default",
    per_class: int | Literal["all"] = "all",
    mode: Mode = "linear",
    labels: Path | None = None,
    predict: str | None = None,
    predictions: Path | None = None,
    epochs: int = 20,
    batch: int = 64,
    learning_rate: float = 1e-4,
    seed: int = 0,
    cache: Path = Path("runs/stamps"),
    device: str | None = None,
    threads: int | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Train a classifier on an encoder, with a few stamps a class or all; measure it; apply it to a survey.

    Run the same command again to go on with a stopped full training, or with --predict to apply what is there.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes; 'PATH@COLUMN>=0.5' makes the classes no and yes of a number.
    out
        Folder of the classifier: classifier.json, head.safetensors, encoder/ (for discovery index --encoder), test.json.
    encoder
        As in discovery index --encoder.
    per_class
        Training stamps of each class, or all.
    mode
        linear or mlp: a head of one or two layers on frozen vectors. full: the whole network learns too.
    labels
        Table (csv, tsv, Parquet, FITS, VOTable) with object_id and the column, when the survey's own has no labels.
    predict
        Path of a survey to classify.
    predictions
        Where to: a file .csv, .parquet, .fits or .vot; predictions.csv in the folder when not given.
    epochs, batch, learning_rate
        Of full: passes over the training stamps, stamps a step, peak rate.
    cache
        Folder of the prepared stamps.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    json_output
        Print one JSON document instead of text; steps go to standard error.
    """
    if threads:
        torch.set_num_threads(threads)
    stamps = labelled_stamps(survey, cache, labels=labels)
    target = load_stamps(predict, cache) if predict else None
    rows, test = _parts(stamps, per_class, seed)
    start = load_encoder(encoder, device=device)
    task: dict[str, Any] = {
        "survey": survey,
        "encoder": start.checksum,
        "per_class": per_class,
        "mode": mode,
        "seed": seed,
    }
    if labels is not None:
        task["labels"] = str(labels)
    if mode == "full":
        task |= {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
    _check_folder(out, task)
    classifier = _fitted(start, stamps, rows, mode, out, task)
    assert stamps.labels is not None
    called = classifier.probabilities(stamps.pixels, test).argmax(1)
    counts = np.bincount(stamps.labels[rows], minlength=len(stamps.classes)).tolist()
    result = {**task, "trained_on": dict(zip(stamps.classes, counts, strict=True)), "held_out": len(test)}
    result |= measures(called, stamps.labels[test], stamps.classes)
    save_classifier(
        out,
        classifier,
        HIDDEN if mode == "mlp" else 0,
        task,
        {"accuracy": result["accuracy"], "f1": result["f1"]},
    )
    if target is not None:
        result["predictions"] = str(
            write_table(classifier.table(target), predictions or out / "predictions.csv")
        )
    (out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if json_output else _text(result, out))


def _parts(stamps: Stamps, per_class: int | Literal["all"], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return training rows and held-out rows."""
    train_rows, test = labelled_parts(stamps)
    least = 2 if per_class == "all" else per_class
    if least < 2:
        raise ConfigError(f"per-class is {per_class}; give at least 2 stamps of each class, or all.")
    check_classes(stamps, train_rows, least)
    if not len(test):
        raise ConfigError(f"No labelled stamp of {stamps.name} is held out to measure on; label more.")
    return (train_rows if per_class == "all" else shots(stamps, train_rows, per_class, seed)), test


def _check_folder(out: Path, task: dict[str, Any]) -> None:
    if (out / CARD).exists():
        before = read_classifier_card(out).training
        if before != msgspec.json.decode(msgspec.json.encode(task)):
            odd = next((name for name in task if before.get(name) != task[name]), "another task")
            raise ConfigError(
                f"{out} holds a classifier trained otherwise ({odd}: {before.get(odd)}, not {task.get(odd)}); give another --out."
            )
    out.mkdir(parents=True, exist_ok=True)


def _fitted(
    encoder: Encoder, stamps: Stamps, rows: np.ndarray, mode: Mode, out: Path, task: dict[str, Any]
) -> Classifier:
    assert stamps.labels is not None
    labels, count, seed = stamps.labels[rows], len(stamps.classes), task["seed"]
    vectors = Vectors(EncoderSpace("encoder", encoder), stamps).at(rows)
    head: Head = (
        fit_mlp(vectors, labels, count, seed, HIDDEN)
        if mode == "mlp"
        else fit_linear(vectors, labels, count, seed)
    )
    if mode != "full":
        return Classifier(encoder, head, stamps.classes)
    whole = WholeClassifier(encoder, head)
    steps = task["epochs"] * steps_an_epoch(len(rows), task["batch"])
    config = LoopConfig(
        steps=steps,
        learning_rate=task["learning_rate"],
        warmup=min(50, steps // 5),
        seed=seed,
        log_every=max(1, steps // 200),
    )
    module = Loss(whole)

    def batches(step: int) -> Any:
        size = encoder.card.input_size
        return stamp_batches(
            stamps.pixels, rows, labels, batch=task["batch"], size=size, seed=seed, first_step=step
        )

    path = train(module, batches, config, out, record=task, place=Place(device=encoder.device))
    load_into(module, load_checkpoint(path).best, str(path))
    tuned = whole.eval().encoder(
        f"{encoder.card.name}-{out.name}", {"started_from": encoder.card.name, "finetuned": task}
    )
    return Classifier(tuned, whole.head, stamps.classes)


def _text(result: dict[str, Any], out: Path) -> str:
    figures = "  ".join(f"{name} {result[name]:.3f}" for name in ("accuracy", "precision", "recall", "f1"))
    head = f"{out}: trained on {sum(result['trained_on'].values())} stamps, {result['held_out']} held out\n{figures}"
    told = f"\n\npredictions in {result['predictions']}" if "predictions" in result else ""
    return "\n".join([head, "", *aligned(result["by_class"])]) + told
