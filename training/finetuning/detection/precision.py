"""Average precision of detections by pycocotools, and what was missed or taken for a lens, by survey."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.finetuning.detection.fields import Field

SCORE = 0.5
OVERLAP = 0.5


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Detections in one field.

    Attributes
    ----------
    boxes : numpy.ndarray
        (n, 4) float32 left, top, right, bottom in pixels.
    scores : numpy.ndarray
        (n,) float32.
    masks : numpy.ndarray
        (n, S, S) bool.
    """

    boxes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray


def average_precision(fields: Sequence[Field], found: Sequence[Detections]) -> dict[str, float]:
    """Return the AP of lenses: box and mask, at IoU 0.5 and averaged over IoU 0.5 to 0.95 (COCO's definition)."""
    measured = {}
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        measured[f"{name}_ap50"], measured[f"{name}_ap"] = _coco(fields, found, kind)
    return measured


def by_survey(fields: Sequence[Field], found: Sequence[Detections], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return, for detections of score 0.5 and more, the share of each survey's lenses and of its non-lenses that one overlaps."""
    hits = [_hit(field.boxes, f.boxes[f.scores >= SCORE]) for field, f in zip(fields, found, strict=True)]
    hit = np.concatenate(hits)
    lens, survey = (np.concatenate([getattr(field, what) for field in fields]) for what in ("lens", "survey"))
    table = {}
    for index, name in enumerate(names):
        lenses, others = (hit[(survey == index) & (lens == kind)] for kind in (True, False))
        table[name] = {
            "lenses": len(lenses),
            "lenses_found": round(float(lenses.mean()), 4) if len(lenses) else None,
            "others": len(others),
            "others_taken_for_lenses": round(float(others.mean()), 4) if len(others) else None,
        }
    return table


def _hit(boxes: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Return (K,) bool: some detection overlaps the box by IoU 0.5."""
    if not len(detected):
        return np.zeros(len(boxes), bool)
    corner = np.minimum(boxes[:, None, 2:], detected[None, :, 2:]) - np.maximum(boxes[:, None, :2], detected[None, :, :2])
    shared = np.clip(corner, 0, None).prod(2)  # (K, n)
    area, other = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, detected))
    return (shared / (area[:, None] + other[None] - shared) >= OVERLAP).any(1)


def _coco(fields: Sequence[Field], found: Sequence[Detections], kind: str) -> tuple[float, float]:
    """Return AP at IoU 0.5 and at 0.5 to 0.95."""
    truth, results = COCO(), _results(found)
    if not results:
        return 0.0, 0.0
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": f.pixels.shape[1], "width": f.pixels.shape[2]} for i, f in enumerate(fields)],
        "categories": [{"id": 1, "name": "lens"}],
        "annotations": _annotations(fields),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[1]), 4), round(float(evaluation.stats[0]), 4)


def _annotations(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Return the lenses; ids count from 1, as pycocotools takes 0 for no match."""
    lines: list[dict[str, Any]] = []
    for image, field in enumerate(fields):
        for at in np.flatnonzero(field.lens):
            mask = rle.encode(np.asfortranarray(field.masks[at], np.uint8))
            line = {"id": len(lines) + 1, "image_id": image, "category_id": 1, "iscrowd": 0}
            lines.append(line | {"bbox": _wide(field.boxes[at]), "area": float(field.masks[at].sum()), "segmentation": mask})
    return lines


def _results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    lines = []
    for image, one in enumerate(found):
        for box, score, mask in zip(one.boxes, one.scores, one.masks, strict=True):
            line = {"image_id": image, "category_id": 1, "score": float(score), "bbox": _wide(box)}
            lines.append(line | {"segmentation": rle.encode(np.asfortranarray(mask, np.uint8))})
    return lines


def _wide(box: np.ndarray) -> list[float]:
    left, top, right, bottom = (float(part) for part in box)
    return [left, top, right - left, bottom - top]
