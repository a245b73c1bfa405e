"""Mergers: encounters of disks with tails and bridges, and of spheroids in a common envelope."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from discovery.simulation.scenes.disks import Body, Shape
from discovery.simulation.scenes.ellipticals import add_shells
from discovery.simulation.scenes.encounters import run_encounter
from discovery.simulation.scenes.light import CENTRE, GRID_PIXELS, Scene
from discovery.simulation.scenes.photometry import colour
from discovery.simulation.scenes.structure import knots, texture, turned


def add_merger(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add two (sometimes three) bodies with tidal features."""
    if rng.random() < 0.75:
        _add_disk_encounter(rng, scene, body)
    else:
        _add_spheroid_encounter(rng, scene, body)
    return Shape(axis_ratio=rng.uniform(0.5, 0.9), angle=rng.uniform(0, np.pi), sersic=2.0)


def _add_disk_encounter(rng: np.random.Generator, scene: Scene, body: Body) -> None:
    mass_ratio = rng.uniform(0.3, 1.0)
    second_disk = rng.random() < 0.75
    encounter = run_encounter(rng, mass_ratio=mass_ratio, second_disk=second_disk)
    unit = body.radius_pixels / 0.75
    disk_share = (1.0, mass_ratio)
    for number, stars in enumerate(encounter.stars):
        if len(stars) == 0:
            continue
        image = _density(stars * unit, body)
        age, share = rng.uniform(0, 1), disk_share[number]
        scene.add_image(image, share * colour(0.45 + 0.3 * age, 0.32 + 0.26 * age))
        bright = image * np.exp(0.6 * texture(rng, 2.0))
        young = share * rng.uniform(0.15, 0.5) * (1 - 0.6 * age)
        scene.add_image(bright, young * colour(0.25, 0.1))
        scene.add_image(knots(rng, bright, int(rng.integers(5, 50))), 0.12 * young * colour(0.1, -0.1))
    for number, nucleus in enumerate(encounter.nuclei * unit):
        spheroid = number == 1 and not second_disk
        share = disk_share[number] * (0.9 if spheroid else rng.uniform(0.1, 0.3))
        scene.add_sersic(
            index=float(rng.choice([2.0, 3.0, 4.0]) if spheroid else rng.choice([1.0, 2.0])),
            radius_pixels=max(unit * np.sqrt(disk_share[number]) * (0.3 if spheroid else rng.uniform(0.1, 0.18)), 1.0),
            flux_nmgy=share * colour(rng.uniform(0.55, 0.85), rng.uniform(0.45, 0.68)),
            axis_ratio=rng.uniform(0.6, 1.0),
            angle=rng.uniform(0, np.pi),
            x=body.x + nucleus[0],
            y=body.y + nucleus[1],
        )


def _add_spheroid_encounter(rng: np.random.Generator, scene: Scene, body: Body) -> None:
    """Add two or three ellipticals with a common envelope, a fan or shells."""
    light = colour(rng.normal(0.84, 0.06), rng.normal(0.65, 0.05))
    direction = rng.uniform(0, 2 * np.pi)
    apart = body.radius_pixels * rng.uniform(0.8, 1.9)
    places = [(0.0, 0.0), (apart * np.cos(direction), apart * np.sin(direction))]
    if rng.random() < 0.15:
        turn = direction + rng.uniform(0.7, 2.5)
        places.append((1.3 * apart * np.cos(turn), 1.3 * apart * np.sin(turn)))
    for number, (x, y) in enumerate(places):
        share = 1.0 if number == 0 else rng.uniform(0.2, 1.0)
        scene.add_sersic(
            index=float(rng.choice([2.0, 3.0, 4.0])),
            radius_pixels=0.55 * body.radius_pixels * np.sqrt(share),
            flux_nmgy=share * light,
            axis_ratio=rng.uniform(0.6, 1.0),
            angle=rng.uniform(0, np.pi),
            x=body.x + x,
            y=body.y + y,
        )
    envelope = {"axis_ratio": rng.uniform(0.55, 0.9), "angle": direction}
    scene.add_sersic(
        index=1.0,
        radius_pixels=body.radius_pixels * rng.uniform(1.6, 2.3),
        flux_nmgy=rng.uniform(0.4, 0.8) * light,
        x=body.x + places[1][0] * 0.45,
        y=body.y + places[1][1] * 0.45,
        **envelope,
    )
    scene.add_image(_fan(rng, body, direction), rng.uniform(0.12, 0.3) * light)
    if rng.random() < 0.5:
        add_shells(rng, scene, body, envelope["axis_ratio"], direction, 0.12 * light)


def _density(places: np.ndarray, body: Body) -> np.ndarray:
    """Return the surface density of particles, smoothed less where they are many."""
    edges = np.arange(GRID_PIXELS + 1) - 0.5
    rows, columns = places[:, 1] + CENTRE + body.y, places[:, 0] + CENTRE + body.x
    counts, _, _ = np.histogram2d(rows, columns, bins=(edges, edges))
    counts = counts.astype(np.float32)
    fine, coarse = gaussian_filter(counts, 1.3), gaussian_filter(counts, 3.2)
    trust = coarse / (coarse + np.float32(0.25))
    return trust * fine + (1 - trust) * coarse


def _fan(rng: np.random.Generator, body: Body, direction: float) -> np.ndarray:
    """Return a broad curved plume of stripped stars that leaves the pair on one side."""
    turn = direction + rng.choice([-1, 1]) * rng.uniform(0.8, 2.6)
    u, v = turned(turn, body.x, body.y)
    length = body.radius_pixels * rng.uniform(1.5, 2.8)
    curve = v - np.float32(rng.normal(0, 0.5) / length) * u**2
    width = body.radius_pixels * rng.uniform(0.25, 0.6)
    along = np.exp(-np.maximum(u, 0) / length) / (1 + np.exp(np.clip(-u / 2, -30, 30)))
    cut = 1 / (1 + np.exp(np.clip((u - 1.5 * length) / 2, -30, 30)))
    return along * cut * np.exp(-0.5 * (curve / width) ** 2)
