"""Train a lens detector on fields that are made as they are needed, and measure it on fields of held-out sources."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from tqdm import tqdm

from discovery.errors import ConfigError
from training.finetuning.detection.config import DetectionPlan
from training.finetuning.detection.fields import Field, FieldPlan, make_field
from training.finetuning.detection.network import Detection, parameters
from training.finetuning.detection.precision import Detections, average_precision, by_survey
from training.finetuning.detection.sources import Sources
from training.loop.checkpoint import load_checkpoint, load_into
from training.loop.config import LoopConfig
from training.loop.loop import Batch, train
from training.loop.processes import Place

AT_ONCE = 4


class Fields:
    """A number of fields, each made when it is first needed and kept with its masks packed.

    Held-out fields do not depend on the run's seed: runs of several seeds are measured on the same ones.
    """

    def __init__(self, plan: DetectionPlan, sources: Sources, count: int, *, held_out: bool) -> None:
        seed = np.random.SeedSequence([0, 1] if held_out else [plan.seed, 0]).generate_state(1)[0]
        self.plan = FieldPlan(size=plan.size, per_field=plan.per_field, seed=int(seed))
        self.count, self._sources = count, sources
        self._kept: dict[int, tuple[Field, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Field:
        if not 0 <= index < self.count:
            raise IndexError(index)
        if index not in self._kept:
            field = make_field(self.plan, self._sources, index)
            self._kept[index] = dataclasses.replace(field, masks=field.masks[:0]), np.packbits(field.masks)
        field, packed = self._kept[index]
        shape = (len(field.lens), self.plan.size, self.plan.size)
        masks = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)
        return dataclasses.replace(field, masks=masks)


def train_detector(
    detector: MaskRCNN,
    fields: Fields,
    plan: DetectionPlan,
    run: Path,
    *,
    record: dict[str, Any],
    trunk_rate: float = 1.0,
    place: Place | None = None,
) -> float:
    """Return seconds a field of training; the trained weights are in ``detector``, and a run that was stopped goes on.

    Returns
    -------
    float
        Median seconds a field, fields not yet made included.
    """
    place = place or Place()
    if place.world > plan.batch:
        raise ConfigError(f"{place.world} processes cannot share a batch of {plan.batch} fields; give --batch {place.world}.")
    warmup = min(100, plan.steps // 10)
    config = LoopConfig(
        steps=plan.steps, learning_rate=plan.learning_rate, warmup=warmup, clip=5.0, precision="float32", seed=plan.seed
    )
    module = Detection(detector, trunk_rate)
    path = train(module, lambda step: field_batches(fields, plan, step, place), config, run, record=record, place=place)
    load_into(module, load_checkpoint(path).best, str(path))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return float(np.median([line["seconds"] for line in lines])) / plan.batch


def undecided_ap(fields: Sequence[Field] | Fields, draws: int = 5) -> float:
    """Return the AP of finding every object exactly and scoring it by chance, which a detector has to exceed.

    It is the same at every IoU, for boxes and masks.
    """
    rng, listed = np.random.default_rng(0), [fields[i] for i in range(len(fields))]
    guesses = [[Detections(boxes=f.boxes, scores=rng.random(len(f.lens)), masks=f.masks) for f in listed] for _ in range(draws)]
    return float(np.mean([average_precision(listed, guess)["box_ap50"] for guess in guesses]))


def measure_detector(detector: MaskRCNN, fields: Sequence[Field] | Fields, names: Sequence[str]) -> dict[str, Any]:
    """Return AP and the shares by survey on fields, with the size and the CPU seconds a field."""
    began = time.process_time()
    found = find_lenses(detector, fields)
    seconds = (time.process_time() - began) / len(fields)
    listed = [fields[i] for i in range(len(fields))]
    return {
        "parameters": parameters(detector),
        "backbone_parameters": parameters(detector.backbone),
        **average_precision(listed, found),
        "by_survey": by_survey(listed, found, names),
        "test_seconds_a_field": round(seconds, 3),
    }


@torch.inference_mode()
def find_lenses(detector: MaskRCNN, fields: Sequence[Field] | Fields) -> list[Detections]:
    """Return the detections in each field, best first."""
    detector.eval()
    device, found = next(detector.parameters()).device, []
    for start in tqdm(range(0, len(fields), AT_ONCE), desc="detecting", unit="batch", leave=False, disable=None):
        chosen = [fields[i] for i in range(start, min(start + AT_ONCE, len(fields)))]
        for out in detector([torch.from_numpy(f.pixels).to(device).float() / 255 for f in chosen]):
            masks = (out["masks"][:, 0] > 0.5).cpu().numpy()
            found.append(Detections(boxes=out["boxes"].cpu().numpy(), scores=out["scores"].cpu().numpy(), masks=masks))
    return found


def field_batches(fields: Fields, plan: DetectionPlan, first_step: int, place: Place | None = None) -> Iterator[Batch]:
    """Give endless batches of fields with the lenses in them, each field at most once an epoch, from any step on.

    Of each batch a process of several takes its own part.
    """
    place, a_epoch, step = place or Place(), len(fields) // plan.batch, first_step
    while True:
        order = np.random.default_rng([plan.seed, step // a_epoch]).permutation(len(fields))
        chosen = order[step % a_epoch * plan.batch :][: plan.batch]
        yield pack([fields[int(i)] for i in chosen[place.rank :: place.world]])
        step += 1


def pack(fields: Sequence[Field]) -> Batch:
    """Return a batch as `Detection` takes it: lenses only, padded to the largest number of them."""
    size, count = fields[0].pixels.shape[-1], [int(f.lens.sum()) for f in fields]
    boxes = torch.zeros(len(fields), max(count), 4)
    masks = torch.zeros(len(fields), max(count), size, size, dtype=torch.uint8)
    for at, (field, n) in enumerate(zip(fields, count, strict=True)):
        boxes[at, :n], masks[at, :n] = _tensor(field.boxes[field.lens]), _tensor(field.masks[field.lens])
    image = torch.stack([_tensor(f.pixels) for f in fields])
    return {"image": image, "boxes": boxes, "masks": masks, "count": torch.tensor(count)}


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
