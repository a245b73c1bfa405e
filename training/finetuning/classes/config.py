"""What decides the training of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

ClassifierMode = Literal["linear", "mlp", "full"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClassesConfig:
    """What decides a classifier, but for the survey.

    Attributes
    ----------
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
    epochs
        Of full: passes over the training stamps.
    batch
        Of full: stamps a step.
    learning_rate
        Of full: peak rate.
    seed
        Seed of everything drawn at random.
    cache
        Folder of the prepared stamps.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    """

    out: Path
    encoder: str = "default"
    per_class: int | Literal["all"] = "all"
    mode: ClassifierMode = "linear"
    labels: Path | None = None
    predict: str | None = None
    predictions: Path | None = None
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 1e-4
    seed: int = 0
    cache: Path = Path("runs/stamps")
    device: str | None = None
    threads: int | None = None
