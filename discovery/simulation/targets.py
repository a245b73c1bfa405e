"""The list of what will be simulated: class, brightness and place on the sky of every object.

It is drawn at once from the seed, sorted by decreasing z flux as the ssl-legacysurvey files are, so
that the objects can then be drawn in any order and in any process.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from discovery.simulation.config import PIXEL_SCALE_ARCSEC, STAMP_PIXELS, SurveyPlan, Visit
from discovery.simulation.files.brick_grid import (
    BRICK_PIXELS,
    ROWS,
    Brick,
    brick_at,
    columns_of_row,
)
from discovery.simulation.scenes.photometry import flux_from_mag

MAG_Z_RANGE = {
    "elliptical": (14.8, 18.6),
    "spiral": (14.8, 18.2),
    "barred": (14.8, 18.0),
    "edge_on": (15.2, 18.6),
    "ring": (15.0, 17.6),
    "merger": (15.0, 17.8),
    "lens": (17.0, 18.8),
    "star": (14.0, 19.5),
    "artefact": (16.5, 19.8),
}
COUNT_SLOPE = 0.25
"""Objects a magnitude rise as 10 ** (slope * mag), less steep than the true 0.6: demos want bright ones."""
FULLEST_BRICK = 440


@dataclass(frozen=True, kw_only=True)
class Target:
    """One object before it is drawn.

    ``x0`` and ``y0`` are the first column and row of its stamp in the brick. The object lies within
    half a pixel of the stamp's pixel (76, 76), at ``dx``, ``dy`` pixels from the middle of the stamp:
    cutting 152 pixels about the pixel nearest to its position gives the stamp.
    """

    row: int
    truth_class: str
    flux_z_nmgy: float
    brick: Brick
    objid: int
    x0: int
    y0: int
    dx: float
    dy: float
    ra_deg: float
    dec_deg: float
    visit: Visit = field(default_factory=Visit)


def draw_targets(plan: SurveyPlan) -> list[Target]:
    """Return every object of the survey, brightest in z first."""
    rng = np.random.default_rng([plan.seed, 0x9A1A])
    classes = np.repeat(list(plan.counts), list(plan.counts.values()))
    flux_z = np.array([flux_from_mag(_draw_mag(rng, str(name))) for name in classes])
    order = np.argsort(-flux_z, kind="stable")
    bricks = _draw_bricks(rng, -(-plan.galaxies // FULLEST_BRICK))
    brick_of = rng.permutation(np.arange(plan.galaxies) % len(bricks))
    places = _draw_places(rng, bricks, np.bincount(brick_of, minlength=len(bricks)))
    shifts = rng.uniform(0.05, 0.95, (plan.galaxies, 2))
    next_objid = np.zeros(len(bricks), int)
    targets = []
    for row, index in enumerate(order):
        number = brick_of[row]
        objid = int(next_objid[number])
        next_objid[number] += 1
        x0, y0 = (int(v) for v in places[number][objid])
        dx, dy = (float(v) for v in shifts[row])
        middle = (STAMP_PIXELS - 1) / 2
        ra, dec = bricks[number].sky_position(np.array(x0 + middle + dx), np.array(y0 + middle + dy))
        targets.append(
            Target(
                row=row,
                truth_class=str(classes[index]),
                flux_z_nmgy=float(flux_z[index]),
                brick=bricks[number],
                objid=objid,
                x0=x0,
                y0=y0,
                dx=dx,
                dy=dy,
                ra_deg=float(ra),
                dec_deg=float(dec),
                visit=plan.visit,
            )
        )
    return targets


def _draw_mag(rng: np.random.Generator, truth_class: str) -> float:
    bright, faint = MAG_Z_RANGE[truth_class]
    least = 10 ** (-COUNT_SLOPE * (faint - bright))
    return faint + np.log10(least + rng.random() * (1 - least)) / COUNT_SLOPE


def _draw_bricks(rng: np.random.Generator, count: int) -> list[Brick]:
    """Return a block of neighbouring bricks, about as wide as high, between Dec -15 and 30 degrees."""
    width = int(np.ceil(np.sqrt(count)))
    height = -(-count // width)
    first_row = int(rng.integers(300, ROWS - 240 - min(height, 100)))
    first_column = int(rng.integers(0, columns_of_row(first_row)))
    cells = [(first_row + n // width, n % width) for n in range(count)]
    return [brick_at(row, (first_column + c) % columns_of_row(row)) for row, c in cells]


def _draw_places(rng: np.random.Generator, bricks: list[Brick], counts: np.ndarray) -> list[np.ndarray]:
    """Return stamp corners (n, 2) int a brick: random cells of a grid within the borders, a little jittered."""
    places = []
    for brick, count in zip(bricks, counts, strict=True):
        west, east = brick.ra_border_deg
        south, north = brick.dec_border_deg
        far = max(abs(south), abs(north))
        sides_deg = ((east - west) * np.cos(np.radians(far)), north - south)
        cells, margins, steps = [], [], []
        for side_deg in sides_deg:
            inside = int(side_deg * 3600 / PIXEL_SCALE_ARCSEC) - 8
            number = inside // STAMP_PIXELS
            cells.append(number)
            steps.append(inside // number)
            margins.append((BRICK_PIXELS - inside) // 2)
        chosen = rng.choice(cells[0] * cells[1], size=count, replace=False)
        grid = np.stack([chosen % cells[0], chosen // cells[0]], axis=1)
        room = np.array(steps) - STAMP_PIXELS
        jitter = np.stack([rng.integers(0, room[0] + 1, count), rng.integers(0, room[1] + 1, count)], axis=1)
        places.append(np.array(margins) + grid * np.array(steps) + jitter)
    return places
