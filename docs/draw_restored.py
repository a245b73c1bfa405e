"""Draw simulated galaxies with what a multitask model makes of them: input, degraded, output, residual.

    python docs/draw_restored.py docs/results/restored.png [MODEL_FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from discovery.encoders.image_heads import load_multitask
from discovery.simulation import SurveyPlan
from discovery.simulation.draw import draw_target
from discovery.simulation.targets import Target, draw_targets
from discovery.stamps.preprocess import CropConfig, prepare
from discovery.stamps.stamp import Stamp
from training.data.degrade import Degradation, degraded, masks

PLAN = SurveyPlan(galaxies=1200, seed=7, mergers=0.06, rings=0.06, lenses=0.06)
SHOWN = ("spiral", "edge_on", "barred", "elliptical", "merger", "ring")
PATCHES = (4, 8, 16, 4, 8, 16)
TILE, GAP, HEAD, LABEL = 128, 4, 44, 104
RESIDUAL_GAIN = 4.0
BACKGROUND, INK, FAINT = (17, 18, 22), (225, 225, 230), (150, 152, 160)


@torch.inference_mode()
def main(path: Path, source: str = "default") -> None:
    model = load_multitask(source, device="cpu")
    targets = [_bright(name) for name in SHOWN]
    clean = torch.from_numpy(np.stack([_colours(target, model.image_size) for target in targets]))
    generator = torch.Generator().manual_seed(4)
    worse = degraded(clean, Degradation(), generator)
    hidden = torch.cat([masks(1, model.image_size, Degradation(masked=(0.3, 0.5)), generator, patch) for patch in PATCHES])
    restored, filled = model.restore(worse), model.reconstruct(clean, hidden)
    groups = (
        ("input", clean, None), ("degraded", worse, clean), ("restored", restored, clean), ("residual", restored - clean, None),
        ("masked", clean * (1 - hidden), clean), ("reconstructed", filled, clean), ("residual", filled - clean, None),
    )  # fmt: skip
    sheet = Image.new("RGB", (LABEL + len(groups) * (TILE + GAP) + 2 * GAP, HEAD + len(SHOWN) * (TILE + GAP)), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for column, (title, pictures, truth) in enumerate(groups):
        x = LABEL + column * (TILE + GAP) + (2 * GAP if column >= 4 else 0)
        pen.text((x + 4, 6), title, fill=INK, font=ImageFont.load_default(15))
        note = f"output - input, x {RESIDUAL_GAIN:g}" if title == "residual" else "PSNR in dB" if truth is not None else "simulated"
        pen.text((x + 4, 24), note, fill=FAINT, font=ImageFont.load_default(12))
        for line, picture in enumerate(pictures):
            shown = 0.5 + RESIDUAL_GAIN * picture if title == "residual" else picture
            sheet.paste(_tile(shown), (x, HEAD + line * (TILE + GAP)))
            if truth is not None:
                _tag(pen, x, HEAD + line * (TILE + GAP), f"{_psnr(truth[line], picture):.1f}")
    for line, name in enumerate(SHOWN):
        pen.text((8, HEAD + line * (TILE + GAP) + TILE // 2 - 10), name.replace("_", "\n"), fill=INK, font=ImageFont.load_default(15))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _bright(name: str) -> Target:
    """Return a bright target of a class: the tenth part of the list, which is sorted by brightness."""
    of_class = [target for target in draw_targets(PLAN) if target.truth_class == name]
    return of_class[len(of_class) // 10]


def _colours(target: Target, size: int) -> np.ndarray:
    stamp = Stamp(object_id="", pixels=draw_target(PLAN.seed, target).pixels, kind="nmgy", pixel_scale_arcsec=0.262)
    return prepare(stamp, convention="dr2_rgb", crop=CropConfig(), size=size).inputs[0]


def _tile(picture: Tensor) -> Image.Image:
    rgb = (picture.clamp(0, 1).flip(0).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return Image.fromarray(rgb).resize((TILE, TILE), Image.Resampling.NEAREST)


def _tag(pen: ImageDraw.ImageDraw, x: int, y: int, text: str) -> None:
    pen.rectangle((x, y, x + 34, y + 16), fill=BACKGROUND)
    pen.text((x + 4, y + 1), text, fill=INK, font=ImageFont.load_default(12))


def _psnr(truth: Tensor, picture: Tensor) -> float:
    return -10 * float(((truth - picture) ** 2).mean().log10())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
