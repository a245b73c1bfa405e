"""Draw the contact sheet of the simulated survey, one line a class, brightest first.

    python docs/draw_simulated_classes.py docs/simulated_classes.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from discovery.simulation import CLASSES, SurveyPlan
from discovery.simulation.draw import draw_target
from discovery.simulation.targets import Target, draw_targets
from discovery.stamps.render import to_rgb_picture
from discovery.stamps.stamp import Stamp

PER_CLASS = 10
SIDE_PIXELS = 86
LABEL_PIXELS = 84
PLAN = SurveyPlan(galaxies=1200, seed=7, mergers=0.06, rings=0.06, lenses=0.06)


def main(path: Path) -> None:
    targets = draw_targets(PLAN)
    sheet = Image.new("RGB", (LABEL_PIXELS + PER_CLASS * SIDE_PIXELS, len(CLASSES) * SIDE_PIXELS), (17, 18, 22))
    pen = ImageDraw.Draw(sheet)
    for line, name in enumerate(CLASSES):
        pen.text((6, line * SIDE_PIXELS + 36), name, fill=(225, 225, 230), font=ImageFont.load_default(15))
        for column, target in enumerate(_spread([t for t in targets if t.truth_class == name])):
            sheet.paste(_tile(target), (LABEL_PIXELS + column * SIDE_PIXELS, line * SIDE_PIXELS))
    sheet.point(lambda value: value & 0xF8).save(path, optimize=True)  # five bits a channel: the noise is most of the file


def _spread(of_class: list[Target]) -> list[Target]:
    """Return targets evenly spaced in the brighter two thirds."""
    places = np.linspace(0, len(of_class) * 2 / 3, PER_CLASS).astype(int)
    return [of_class[place] for place in places]


def _tile(target: Target) -> Image.Image:
    pixels = draw_target(PLAN.seed, target).pixels
    picture = to_rgb_picture(Stamp(object_id="", pixels=pixels, kind="nmgy", pixel_scale_arcsec=0.262))
    return Image.fromarray(picture).resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
