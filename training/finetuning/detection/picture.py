"""A picture of fields with what was placed in them and what a detector found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from training.finetuning.detection.fields import Field
from training.finetuning.detection.precision import SCORE, Detections

LENS, OTHER, FOUND = "#7fe07f", "#9a9a9a", "#ffb000"


def draw_detections(fields: Sequence[Field], found: Mapping[str, Sequence[Detections]], path: Path) -> None:
    """Write a PNG: one column a field, one row a detector; masks of detections are drawn as outlines."""
    shape = (len(found), len(fields))
    figure, axes = plt.subplots(*shape, figsize=(2.7 * shape[1], 2.7 * shape[0] + 0.4), squeeze=False, layout="constrained")
    for row, (name, detected) in zip(axes, found.items(), strict=True):
        for axis, field, one in zip(row, fields, detected, strict=True):
            _draw(axis, field, one)
        row[0].set_ylabel(name)
    known = [Line2D([], [], color=colour, label=label) for colour, label in ((LENS, "lens"), (OTHER, "no lens"))]
    known.append(Line2D([], [], color=FOUND, linestyle="--", label=f"found as a lens, with its score (at least {SCORE})"))
    figure.legend(handles=known, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw(axis: Axes, field: Field, found: Detections) -> None:
    axis.imshow(np.clip(field.pixels[::-1].transpose(1, 2, 0) * 1.6, 0, 255).astype(np.uint8), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    for box, lens in zip(field.boxes, field.lens, strict=True):
        axis.add_patch(_rectangle(box, LENS if lens else OTHER, "-"))
    for box, score, mask in zip(found.boxes, found.scores, found.masks, strict=True):
        if score >= SCORE:
            axis.add_patch(_rectangle(box, FOUND, "--"))
            axis.contour(mask, levels=[0.5], colors=FOUND, linewidths=0.6)
            axis.text(box[0], box[1] - 3, f"{score:.2f}", color=FOUND, fontsize=7)


def _rectangle(box: np.ndarray, colour: str, style: str) -> Rectangle:
    left, top, right, bottom = box
    return Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=style, linewidth=1)
