"""What decides the training of a head for catalogue parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from discovery.errors import ConfigError
from discovery.tables.writer import check_table_path

Inputs = Literal["both", "embedding", "side"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ParametersConfig:
    """What decides a head for catalogue parameters, but for the survey.

    Attributes
    ----------
    out
        Folder of the run: head, parameters.json, parameters.png, held_out.csv.
    target
        Column of numbers to estimate; repeat it for more. Also mag_g, mag_r, mag_z (from fluxes) and ellipticity (from shape_e1, shape_e2).
    table_file
        Table (csv, tsv, Parquet, FITS, VOTable) with more columns, one line an object.
    key
        Its column of ids, where it is not found by its name.
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
        Arcsec a pixel, where the files have none.
    limit
        Only the first stamps of a survey.
    steps
        Updates of a head on frozen embeddings.
    encoder_steps
        Updates with --finetune-encoder.
    batch
        Objects a step.
    learning_rate
        Peak rate of the head.
    hidden
        Width of the head's two layers.
    seed
        Seed of everything drawn at random.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    """

    out: Path
    target: tuple[str, ...] = ()
    table_file: Annotated[Path | None, Parameter(name="--table")] = None
    key: str | None = None
    missing: tuple[str, ...] = ()
    leave_out: Annotated[tuple[str, ...], Parameter(name="--exclude")] = ()
    encoder: str = "default"
    inputs: Inputs | None = None
    finetune_encoder: Annotated[bool, Parameter(negative="")] = False
    ablations: bool = True
    baseline: tuple[str, ...] = ()
    predict: Path | None = None
    predictions: Path | None = None
    pixel_scale: float | None = None
    limit: int | None = None
    steps: int = 1500
    encoder_steps: int = 600
    batch: int = 256
    learning_rate: float = 1e-3
    hidden: int = 256
    seed: int = 0
    device: Literal["cpu", "cuda"] | None = None
    threads: int | None = None

    def check(self, survey: Path | None) -> None:
        """Raise ConfigError unless there is something to do, and options that belong together are there together."""
        if survey is None and self.predict is None:
            raise ConfigError("Name a survey to learn from, or one to apply the head to with --predict.")
        if (self.predict is None) != (self.predictions is None):
            raise ConfigError("--predict SURVEY and --predictions FILE go together.")
        if self.predictions is not None:
            check_table_path(self.predictions)

    def conditions(self) -> dict[str, list[str]]:
        """Return the values of each column whose objects are left out."""
        found: dict[str, list[str]] = {}
        for column, value in (_pair(text, "--exclude") for text in self.leave_out):
            found.setdefault(column, []).append(value)
        return found

    def not_known(self) -> dict[str, float]:
        """Return the number that means "not known" for each target."""
        values = {}
        for text in self.missing:
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
