"""Ellipticals and lenticulars: smooth red light, sometimes with a halo, shells or a small companion."""

from __future__ import annotations

import numpy as np

from discovery.simulation.scenes.disks import Body, Shape
from discovery.simulation.scenes.light import Scene
from discovery.simulation.scenes.photometry import colour
from discovery.simulation.scenes.structure import disk_frame


def add_elliptical(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add an elliptical of random flattening, index and colour."""
    axis_ratio = float(np.clip(1 - np.abs(rng.normal(0, 0.28)), 0.42, 1.0))
    angle = rng.uniform(0, np.pi)
    index = float(rng.choice([2.0, 3.0, 4.0, 5.0], p=[0.2, 0.3, 0.35, 0.15]))
    light = colour(rng.normal(0.85, 0.07), rng.normal(0.66, 0.05))
    place = {"axis_ratio": axis_ratio, "angle": angle, "x": body.x, "y": body.y}
    scene.add_sersic(index=index, radius_pixels=body.radius_pixels, flux_nmgy=light, **place)
    kind = rng.random()
    if kind < 0.3:
        halo = body.radius_pixels * rng.uniform(1.8, 2.6)
        scene.add_sersic(index=1.0, radius_pixels=halo, flux_nmgy=rng.uniform(0.1, 0.3) * light, **place)
    elif kind < 0.36:
        add_shells(rng, scene, body, axis_ratio, angle, rng.uniform(0.03, 0.08) * light)
    return Shape(axis_ratio=axis_ratio, angle=angle, sersic=index)


def add_shells(
    rng: np.random.Generator, scene: Scene, body: Body, axis_ratio: float, angle: float, flux_nmgy: np.ndarray
) -> None:
    """Add a few interleaved shells: arcs with a sharp outer edge on alternating sides."""
    frame = disk_frame(axis_ratio, angle, body.x, body.y)
    shells = np.zeros_like(frame.radius)
    for number in range(int(rng.integers(2, 6))):
        edge = body.radius_pixels * rng.uniform(1.2, 4.0)
        inside = np.clip(1 - (edge - frame.radius) / (0.35 * edge), 0, 1) * (frame.radius < edge)
        side = np.exp(2.5 * (np.cos(frame.azimuth - np.pi * (number % 2) - rng.normal(0, 0.3)) - 1))
        shells += inside * side / edge
    scene.add_image(shells, flux_nmgy)
