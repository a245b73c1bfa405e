"""What decides a multitask run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from discovery.errors import ConfigError

Strategy = Literal["frozen", "uniform", "active"]
Pair = tuple[int, int]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MultitaskRunConfig:
    """What decides a multitask run, but for the survey.

    Attributes
    ----------
    out
        Folder of the run: config.json, metrics.jsonl, tensorboard, checkpoint.safetensors, multitask.json (the tables).
    encoder
        An LVM, as in discovery index --encoder.
    strategy
        frozen: heads only. uniform: the encoder too, equal shares of the steps. active: weaker tasks get more steps.
    start_from
        Run or checkpoint of another multitask training whose weights are the start.
    steps
        Updates: a warm-up over a twentieth of them, then a cosine to zero. Each belongs to one task.
    batch
        Stamps a step.
    learning_rate
        Peak rate of the heads.
    encoder_rate
        The encoder's learning rate as a part of the heads'.
    recolour
        Largest relative change of a band's brightness in the picture tasks' training stamps, for use on other surveys.
    width
        Channels inside the picture heads.
    scale
        Factor on the PSF's width (2-8 pixels) and on the patches (4, 8, 16), which are in pixels of the network's stamp.
    classification
        Training and test stamps of the classification.
    restoration
        Training and test stamps of the restoration.
    reconstruction
        Training and test stamps of the reconstruction.
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
    seed
        Seed of everything drawn at random.
    device
        CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    """

    out: Path
    encoder: str = "default"
    strategy: Strategy = "active"
    start_from: Path | None = None
    steps: int = 6000
    batch: int = 32
    learning_rate: float = 1e-3
    encoder_rate: float = 0.3
    recolour: float = 0.0
    width: int = 32
    scale: float = 1.0
    classification: Pair = (2000, 1000)
    restoration: Pair = (1000, 100)
    reconstruction: Pair = (1000, 100)
    validation: Pair = (500, 100)
    group: tuple[str, ...] = ()
    evaluate_every: int = 250
    export: Path | None = None
    cache: Path = Path("runs/stamps")
    seed: int = 0
    device: str | None = None
    threads: int | None = None

    def groups(self) -> dict[str, tuple[str, ...]] | None:
        """Return the classes to learn, each with the survey's own that it is made of; None for the usual ones."""
        groups: dict[str, tuple[str, ...]] = {}
        for text in self.group:
            name, _, members = text.partition("=")
            if not name or not members or name in groups:
                raise ConfigError(f"--group {text}: write NAME=CLASS+CLASS, each name once, such as elliptical=round_smooth+inbetween_smooth.")
            groups[name] = tuple(members.split("+"))
        return groups or None
