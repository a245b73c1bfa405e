"""One run: a classifier trained on a survey, measured on its held-out stamps, and applied to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from discovery.tables.writer import write_table
from training.data.labels import labelled_parts, labelled_stamps
from training.data.shots import check_classes, shots
from training.data.stamps import Stamps, load_stamps
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
from training.finetuning.classes.config import ClassesConfig, ClassifierMode
from training.loop.checkpoint import load_checkpoint, load_into
from training.loop.config import LoopConfig
from training.loop.loop import train
from training.loop.processes import Place, use_threads
from training.spaces import EncoderSpace, Vectors

HIDDEN = 512
RESULT = "test.json"


def finetune_classes(survey: str, config: ClassesConfig) -> dict[str, Any]:
    """Return what a classifier reached on held-out stamps; it is trained, or taken from ``config.out`` when it is there.

    Parameters
    ----------
    survey
        ``PATH@COLUMN``: a survey and its column of classes.

    Raises
    ------
    ConfigError
        If the survey has too few labels, or the folder holds a classifier that was trained otherwise.
    """
    use_threads(config.threads)
    stamps = labelled_stamps(survey, config.cache, labels=config.labels)
    target = load_stamps(config.predict, config.cache) if config.predict else None
    rows, test = _parts(stamps, config.per_class, config.seed)
    start = load_encoder(config.encoder, device=config.device)
    task: dict[str, Any] = {
        "survey": survey,
        "encoder": start.checksum,
        "per_class": config.per_class,
        "mode": config.mode,
        "seed": config.seed,
    }
    if config.labels is not None:
        task["labels"] = str(config.labels)
    if config.mode == "full":
        task |= {"epochs": config.epochs, "batch": config.batch, "learning_rate": config.learning_rate}
    _check_folder(config.out, task)
    classifier = _fitted(start, stamps, rows, config.mode, config.out, task)
    assert stamps.labels is not None
    called = classifier.probabilities(stamps.pixels, test).argmax(1)
    counts = np.bincount(stamps.labels[rows], minlength=len(stamps.classes)).tolist()
    result = {**task, "trained_on": dict(zip(stamps.classes, counts, strict=True)), "held_out": len(test)}
    result |= measures(called, stamps.labels[test], stamps.classes)
    save_classifier(
        config.out,
        classifier,
        HIDDEN if config.mode == "mlp" else 0,
        task,
        {"accuracy": result["accuracy"], "f1": result["f1"]},
    )
    if target is not None:
        result["predictions"] = str(
            write_table(classifier.table(target), config.predictions or config.out / "predictions.csv")
        )
    (config.out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    return result


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
    encoder: Encoder, stamps: Stamps, rows: np.ndarray, mode: ClassifierMode, out: Path, task: dict[str, Any]
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
