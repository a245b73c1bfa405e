"""One comparison: Mask R-CNN on each backbone and number of fields, measured on the same held-out fields."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import torch
from torchvision.models.detection import MaskRCNN

from discovery.encoders.encoder import load_encoder
from training.finetuning.detection.config import DetectionConfig, DetectionPlan, DetectorPlan
from training.finetuning.detection.fields import Field
from training.finetuning.detection.network import lvm_detector, resnet_detector
from training.finetuning.detection.picture import draw_detections
from training.finetuning.detection.precision import Detections
from training.finetuning.detection.run import (
    Fields,
    find_lenses,
    measure_detector,
    train_detector,
    undecided_ap,
)
from training.finetuning.detection.sources import load_sources
from training.loop.processes import Place, processes, use_threads

RESULT, EXAMPLES = "detection.json", "examples.png"
UNTRAINED = "untrained"
SHOWN = 4


class Comparison:
    """The fields that every detector of a run is trained, measured and shown on."""

    def __init__(self, sources: Sequence[str], config: DetectionConfig) -> None:
        self.config, self.named = config, list(sources)
        self.plans, self.heads = config.plans(), config.heads()
        self.training, self.held_out = load_sources(sources)
        self.tests = Fields(self.plans[0], self.held_out, config.test_fields, held_out=True)
        self.shown = self.tests if config.examples is None else self._others(config.examples)

    def _others(self, source: str) -> Fields:
        return Fields(self.plans[0], load_sources([source])[1], SHOWN, held_out=True)

    def examples(self) -> list[Field]:
        """Return the fields of the picture."""
        return [self.shown[i] for i in range(min(SHOWN, len(self.shown)))]

    def train(self, name: str, plan: DetectionPlan, place: Place) -> tuple[dict[str, Any], list[Detections]]:
        """Return the row of one detector and what it finds in the examples; both empty in all processes but the first."""
        torch.manual_seed(self.config.seed)
        detector, start = _detector(name, self.config, self.heads)
        rate = 1.0 if start == UNTRAINED else self.config.pretrained_rate
        about = {"backbone": name, "start": start, "fields": plan.fields, "trunk_rate": rate}
        record = about | {"plan": dataclasses.asdict(plan), "heads": dataclasses.asdict(self.heads), "sources": self.named}
        fields = Fields(plan, self.training, plan.fields, held_out=False)
        run = self.config.out / f"{name}-{plan.fields}"
        seconds = train_detector(detector, fields, plan, run, record=record, trunk_rate=rate, place=place)
        if not place.first:
            return {}, []
        figures = measure_detector(detector, self.tests, self.held_out.names)
        return about | figures | {"train_seconds_a_field": round(seconds, 3)}, find_lenses(detector, self.examples())


def compare_detectors(sources: Sequence[str], config: DetectionConfig) -> dict[str, Any] | None:
    """Return the average precision of every detector, trained now or before; None in all processes but the first."""
    use_threads(config.threads)
    comparison = Comparison(sources, config)
    rows, found = [], {}
    with processes(config.device) as place:
        for name in ("lvm", "resnet50") if config.backbone == "both" else (config.backbone,):
            for plan in comparison.plans:
                row, lenses = comparison.train(name, plan, place)
                rows.append(row)
                found[f"{name}, {plan.fields} fields"] = lenses
        if not place.first:
            return None
    result = {
        "sources": {"training": comparison.training.counts(), "held_out": comparison.held_out.counts()},
        "plan": {key: value for key, value in dataclasses.asdict(comparison.plans[0]).items() if key != "fields"},
        "heads": dataclasses.asdict(comparison.heads),
        "undecided_ap": round(undecided_ap(comparison.tests), 4),
        "rows": rows,
    }
    (config.out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    draw_detections(comparison.examples(), found, config.out / EXAMPLES)
    return result


def _detector(name: str, config: DetectionConfig, heads: DetectorPlan) -> tuple[MaskRCNN, str]:
    """Return a fresh detector and what its backbone starts from."""
    if name == "resnet50":
        weights = config.resnet_weights
        return resnet_detector(weights, heads), weights.name if weights else UNTRAINED
    loaded = load_encoder(config.encoder, device="cpu")
    return lvm_detector(loaded, heads), f"{loaded.card.name} {loaded.checksum[:12]}"
