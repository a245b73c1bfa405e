"""Options of the tables of ``discovery train evaluate``, and what they may name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.errors import ConfigError

VARIANTS = {
    "linear": "LVM frozen + linear head",
    "mlp": "LVM frozen + two-layer head",
    "full": "LVM finetuned whole",
    "scratch": "LVM from scratch",
}
NETWORKS = {"alexnet": "AlexNet", "vgg16": "VGG16", "resnet50": "ResNet50"}
SMALLEST_SIDE = 64
"""AlexNet and VGG16 pool to nothing below this side in pixels."""

Sizes = Annotated[tuple[int, ...], Parameter(consume_multiple=True)]
Names = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of every table.

    Attributes
    ----------
    encoder
        As in discovery index --encoder.
    cache
        Folder of the prepared stamps.
    seeds
        Draws; the table has their median with the lowest and the highest.
    held_out
        At most this many held-out stamps are judged; all when not given.
    baselines
        Also measure the same network untrained, an untrained ResNet18 and PCA-64 of the pixels.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """

    encoder: str = "default"
    cache: Path = Path("runs/stamps")
    seeds: int = 3
    held_out: int | None = None
    baselines: bool = True
    device: str | None = None
    threads: int | None = None
    out: Path | None = None
    json_output: Annotated[bool, Parameter(name="--json", negative="")] = False

    def __post_init__(self) -> None:
        if self.seeds < 1 or (self.held_out is not None and self.held_out < 1):
            raise ConfigError(f"seeds is {self.seeds} and held-out {self.held_out}; both must be at least 1.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class KnnOptions(EvaluationOptions):
    """Options of the k nearest neighbours.

    Attributes
    ----------
    k
        Neighbours that vote, by cosine.
    limit
        Stamps that a draw takes from the training part, at most four fifths of it.
    """

    k: int = 20
    limit: int = 4000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ProbeOptions(EvaluationOptions):
    """Options of the linear probe.

    Attributes
    ----------
    limit
        Stamps that a draw takes from the training part, at most four fifths of it.
    """

    limit: int = 4000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WholeTraining:
    """How a whole network is trained: seeds and sizes may be fewer than for frozen vectors, which cost little.

    Attributes
    ----------
    sizes
        Sizes for everything that trains a whole network; those of the frozen variants when not given.
    seeds
        Draws for the whole LVM.
    network_seeds
        Draws for the comparison networks.
    epochs
        Passes of a whole network over its training stamps.
    least_steps
        Fewest steps of a whole network, where the passes are fewer.
    batch
        Stamps a step of a whole network.
    image_size
        Side in pixels of what the comparison networks see; at least 64.
    learning_rate
        Peak rate of networks from scratch.
    finetune_rate
        Peak rate of networks that start from trained weights.
    """

    sizes: Annotated[tuple[int, ...] | None, Parameter(name="--whole-sizes", consume_multiple=True, negative="")] = None
    seeds: Annotated[int, Parameter(name="--whole-seeds")] = 3
    network_seeds: int = 1
    epochs: int = 30
    least_steps: int = 300
    batch: int = 32
    image_size: int = 128
    learning_rate: float = 3e-4
    finetune_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.image_size < SMALLEST_SIDE:
            raise ConfigError(
                f"image_size {self.image_size}: AlexNet and VGG16 need {SMALLEST_SIDE} pixels or more."
            )
        if min(self.seeds, self.network_seeds, self.epochs, self.batch - 1, self.least_steps + 1) < 1:
            raise ConfigError(
                "seeds and epochs must be at least 1, batch at least 2, least_steps at least 0."
            )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FewShotOptions(EvaluationOptions):
    """Options of few-shot classification.

    Attributes
    ----------
    sizes
        Stamps a class.
    variants
        What is made of the encoder: linear and mlp (a head on frozen vectors), full (the whole network finetuned),
        scratch (the same network without pretraining).
    networks
        alexnet, vgg16, resnet50, from scratch.
    weights
        NAME=FILE: a file of torchvision's weights for one of the networks, which is then also measured pretrained.
    whole
        How a whole network is trained.
    plot
        PNG file of the curves.
    """

    sizes: Sizes = (10, 20, 50, 100, 500)
    variants: Names = tuple(VARIANTS)
    networks: Names = tuple(NETWORKS)
    weights: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    whole: WholeTraining = WholeTraining()
    plot: Path | None = None

    def weight_files(self) -> dict[str, Path]:
        """Return the file of trained weights of each network that has one."""
        named = [item.partition("=") for item in self.weights]
        for name, equals, file in named:
            if not (name and equals and file):
                raise ConfigError(f"--weights {name}: write NAME=FILE, such as resnet50=resnet50.pth.")
        return {name: Path(file) for name, _, file in named}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FromExamplesOptions(EvaluationOptions):
    """Options of the similarity to examples.

    Attributes
    ----------
    missing
        A value of the columns that means "not assessed"; such stamps are left out.
    """

    seeds: int = 20
    missing: float | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DetailOptions(EvaluationOptions):
    """Options of the table of detail.

    Attributes
    ----------
    data
        Folder with the surveys efigi, gz2, gz_votes, decals_rings, euclid and lens_candidates; those that are there are measured.
    beside
        Encoders to compare with; PCA-64 of the pixels joins them with --baselines.
    survey
        Only these surveys.
    """

    seeds: int = 20
    data: Path = Path("../shared/data")
    beside: Names = ("default",)
    survey: Names = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class InvarianceOptions(EvaluationOptions):
    """Options of the invariance under turns.

    Attributes
    ----------
    stamps
        Held-out stamps a draw.
    """

    stamps: int = 300


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AllTablesOptions(EvaluationOptions):
    """Options of all tables together.

    Attributes
    ----------
    kinds
        As in from-examples, 20 draws.
    missing
        As in from-examples.
    limit
        As in knn.
    sizes
        As in few-shot.
    """

    kinds: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    missing: float | None = None
    limit: int = 4000
    sizes: Sizes = (10, 20, 50, 100, 500)
