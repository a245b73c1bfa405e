"""What decides the training of lens detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from discovery.errors import ConfigError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """What decides a comparison of lens detectors, but for the sources.

    Attributes
    ----------
    out
        Folder of the run: a folder for each backbone and number of fields, detection.json and examples.png.
    backbone
        What detectors are built on: the LVM, ResNet50, or one after the other.
    encoder
        Of the LVM: as in discovery index --encoder.
    resnet_weights
        File with torchvision's ResNet50 weights to start from; untrained when not given. Nothing is downloaded.
    fields
        Training fields; repeat it for several numbers (--fields 100 --fields 1000).
    test_fields
        Fields that every detector is measured on.
    size
        Side of a field in pixels.
    per_field
        Lenses in a field; as many non-lenses are placed.
    width
        Channels of the feature pyramid and the heads.
    proposals
        Objects a field that the first stage hands on.
    steps
        Updates, the same for every backbone and number of fields: a linear warm-up, then a cosine to zero.
    batch
        Fields a step.
    learning_rate
        Peak rate.
    pretrained_rate
        Factor on the learning rate of a backbone that starts from trained weights.
    examples
        Source of the fields in examples.png, where others than the test fields should be shown.
    seed
        Seed of everything drawn at random.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    """

    out: Path
    backbone: Literal["lvm", "resnet50", "both"] = "both"
    encoder: str = "default"
    resnet_weights: Path | None = None
    fields: tuple[int, ...] = (1000,)
    test_fields: int = 200
    size: int = 512
    per_field: int = 4
    width: int = 256
    proposals: int = 200
    steps: int = 6000
    batch: int = 4
    learning_rate: float = 5e-4
    pretrained_rate: float = 1.0
    examples: str | None = None
    seed: int = 0
    device: str | None = None
    threads: int | None = None

    def plans(self) -> list[DetectionPlan]:
        """Return the plan of a run for each number of training fields."""
        shared = {name: getattr(self, name) for name in ("test_fields", "size", "per_field", "steps", "batch", "learning_rate", "seed")}
        return [DetectionPlan(fields=count, **shared) for count in self.fields]

    def heads(self) -> DetectorPlan:
        """Return the sizes of what stands behind every backbone."""
        return DetectorPlan(size=self.size, width=self.width, proposals=self.proposals, sampled=min(128, self.proposals))


@dataclass(frozen=True, kw_only=True)
class DetectionPlan:
    """A run: the fields and the schedule (``steps`` batches), which is the same for every backbone."""

    fields: int = 1000
    test_fields: int = 200
    size: int = 512
    per_field: int = 4
    steps: int = 6000
    batch: int = 4
    learning_rate: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("fields", "test_fields", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', ' ')} is {getattr(self, name)}: give at least 1.")
        if self.seed < 0:
            raise ConfigError(f"The seed {self.seed} is negative: give 0 or more.")
        if self.batch > self.fields:
            raise ConfigError(f"A batch of {self.batch} is more than {self.fields} fields; give more fields or a smaller batch.")


@dataclass(frozen=True, kw_only=True)
class DetectorPlan:
    """Sizes of what stands behind the backbone.

    Attributes
    ----------
    size : int
        Side of a field in pixels.
    width : int
        Channels of the feature pyramid and of the mask head; the box head has four times as many.
    proposals : int
        Kept for each field by the first stage.
    sampled : int
        Anchors, and proposals, of a field that the loss looks at.
    """

    size: int
    width: int = 256
    proposals: int = 200
    sampled: int = 128
