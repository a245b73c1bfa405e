"""Disk galaxies: spirals, barred spirals, rings and disks seen from the edge.

Each function adds a galaxy of any total flux to a scene; the caller scales it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from discovery.simulation.scenes.light import Scene
from discovery.simulation.scenes.photometry import colour
from discovery.simulation.scenes.structure import (
    DiskFrame,
    arm_phase,
    disk_frame,
    edge_on_disk,
    exponential,
    ferrers_bar,
    gaussian_ring,
    knots,
    ridge,
    smooth_step,
    texture,
    turned,
)

DUST_BY_BAND = np.array([1.0, 0.72, 0.38], np.float32)
"""Optical depth in g, r, z relative to g."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A galaxy's form in the catalogue: projected axis ratio, angle (radians), Sersic index."""

    axis_ratio: float
    angle: float
    sersic: float

    @property
    def ellipticity(self) -> tuple[float, float]:
        """Tractor's e1, e2: |e| = (1 - q) / (1 + q) with twice the position angle from north through east.

        The angle of a `Shape` counts from the west through north.
        """
        size = (1 - self.axis_ratio) / (1 + self.axis_ratio)
        return -size * math.cos(2 * self.angle), -size * math.sin(2 * self.angle)


@dataclass(frozen=True, kw_only=True)
class Body:
    """Where and how large a galaxy is drawn: half-light radius and offset in pixels."""

    radius_pixels: float
    x: float = 0.0
    y: float = 0.0


def add_spiral(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add an unbarred spiral with two or more arms, or a flocculent one."""
    axis_ratio, angle = rng.uniform(0.45, 1.0), rng.uniform(0, np.pi)
    frame = disk_frame(axis_ratio, angle, body.x, body.y)
    scale = body.radius_pixels / rng.uniform(1.4, 1.75)
    bulge = rng.uniform(0.02, 0.3)
    arms = _Arms.draw(rng, scale, pitch_deg=rng.uniform(10, 32), arms=int(rng.choice([2, 2, 2, 2, 3, 3, 4, 5])))
    _add_disk(rng, scene, frame, scale, arms, age=bulge / 0.3)
    _add_bulge(rng, scene, body, bulge, scale * rng.uniform(0.25, 0.5), axis_ratio, angle)
    return Shape(axis_ratio=axis_ratio, angle=angle, sersic=1.0 + 2 * bulge)


def add_barred(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add a barred galaxy: mostly two-armed spirals from the ends of the bar, some with a ring, some bare."""
    axis_ratio, angle = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    frame = disk_frame(axis_ratio, angle, body.x, body.y)
    scale = body.radius_pixels / 1.6
    length = scale * rng.uniform(1.0, 1.7)
    bar_angle = rng.uniform(0, np.pi)
    bar = ferrers_bar(frame, length_pixels=length, width_pixels=length * rng.uniform(0.2, 0.36), angle=bar_angle)
    age = rng.uniform(0, 1)
    arms = _Arms.draw(
        rng, scale, pitch_deg=rng.uniform(10, 28), arms=2, start_pixels=length * 0.95, start_azimuth=bar_angle
    )
    kind = rng.random()
    if kind < 0.75:
        _add_disk(rng, scene, frame, scale, arms, age=age)
    else:
        _add_smooth_disk(scene, frame, scale, age=0.6 + 0.4 * age)
    if kind > 0.6:
        ring = gaussian_ring(frame.radius, length * 1.05, length * 0.16) * np.exp(0.3 * texture(rng, 2.5))
        scene.add_image(ring, rng.uniform(0.08, 0.2) * colour(0.45, 0.35))
    scene.add_image(bar, rng.uniform(0.14, 0.32) * colour(0.72 + 0.1 * age, 0.55))
    _add_bulge(rng, scene, body, rng.uniform(0.05, 0.2), scale * 0.25, max(axis_ratio, 0.75), angle)
    return Shape(axis_ratio=axis_ratio, angle=angle, sersic=1.0)


def add_edge_on(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add a disk seen from its edge, with or without bulge, dust lane and warp."""
    angle = rng.uniform(0, np.pi)
    u, v = turned(angle, body.x, body.y)
    scale = body.radius_pixels / 1.3
    height = max(scale * rng.uniform(0.14, 0.34), 1.2)
    v = v - np.float32(rng.normal(0, 0.008) / scale) * u * np.abs(u)
    age = rng.uniform(0, 1)
    disk = edge_on_disk(u, v, scale_pixels=scale, height_pixels=height)
    thin = edge_on_disk(u, v, scale_pixels=scale * 1.1, height_pixels=height * 0.55)
    clumps = np.exp(0.35 * texture(rng, 2.5))
    bulge = rng.choice([0.0, rng.uniform(0.08, 0.5)], p=[0.3, 0.7])
    young = (1 - bulge) * rng.uniform(0.2, 0.6) * (1 - 0.6 * age)
    before = scene.planes.copy()
    scene.add_image(disk, (1 - bulge - young) * colour(0.55 + 0.3 * age, 0.4 + 0.3 * age))
    scene.add_image(thin * clumps, young * colour(0.35, 0.2))
    if bulge > 0:
        round_bulge = np.exp(-1.68 * np.sqrt(np.hypot(u, v / 0.7) / (scale * 0.28) + 0.02))
        scene.add_image(round_bulge, bulge * colour(0.85, 0.65))
    if rng.random() < 0.6:
        lane = np.exp(-0.5 * ((v - rng.normal(0, 0.3) * height) / (0.4 * height + 0.3)) ** 2)
        lane *= np.exp(-np.abs(u) / (scale * 1.5)) * np.exp(0.3 * texture(rng, 3.0))
        _absorb(scene, before, lane, rng.uniform(0.8, 2.5))
    return Shape(axis_ratio=float(np.clip(1.2 * height / scale, 0.12, 0.4)), angle=angle, sersic=1.0)


def add_ring(rng: np.random.Generator, scene: Scene, body: Body) -> Shape:
    """Add a ringed galaxy: detached outer ring, inner and outer ring with a bar, Hoag's kind or off-centre."""
    axis_ratio, angle = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    frame = disk_frame(axis_ratio, angle, body.x, body.y)
    radius = np.clip(body.radius_pixels * rng.uniform(1.5, 2.2), 11.0, 44.0)
    kind = rng.choice(["outer", "barred", "hoag", "collisional"], p=[0.4, 0.3, 0.15, 0.15])
    offset = 0.35 * radius * rng.random() if kind == "collisional" else 0.0
    direction = rng.uniform(0, 2 * np.pi)
    ring_frame = disk_frame(
        axis_ratio, angle, body.x + offset * np.cos(direction), body.y + offset * np.sin(direction)
    )
    width = radius * rng.uniform(0.08, 0.17)
    ring = gaussian_ring(ring_frame.radius, radius, max(width, 1.3))
    ring *= np.exp(rng.uniform(0.2, 0.5) * texture(rng, 2.2)) * _lopsided(rng, ring_frame, 0.35)
    blue = rng.uniform(0, 1)
    ring_flux = {"outer": 0.3, "barred": 0.28, "hoag": 0.5, "collisional": 0.6}[str(kind)] * rng.uniform(0.7, 1.3)
    ring_flux = min(ring_flux, 0.7)
    count = int(rng.integers(0, 50))
    scene.add_image(ring, ring_flux * (1 - 0.003 * count) * colour(0.6 - 0.3 * blue, 0.45 - 0.3 * blue))
    scene.add_image(knots(rng, ring, count), ring_flux * 0.003 * count * colour(0.25, 0.05))
    core = 1 - ring_flux
    if kind in ("outer", "barred"):
        disk = exponential(frame.radius, radius / rng.uniform(2.8, 3.8), break_pixels=radius)
        scene.add_image(disk, 0.5 * core * colour(0.72, 0.55))
        core *= 0.5
    if kind == "barred":
        length = radius * rng.uniform(0.4, 0.6)
        bar = ferrers_bar(frame, length_pixels=length, width_pixels=length * 0.33, angle=rng.uniform(0, np.pi))
        inner = gaussian_ring(frame.radius, length * 1.05, max(length * 0.14, 1.2))
        scene.add_image(bar, 0.45 * core * colour(0.78, 0.6))
        scene.add_image(inner, 0.3 * core * colour(0.5, 0.4))
        core *= 0.55
    _add_bulge(rng, scene, body, core, radius * rng.uniform(0.12, 0.2), max(axis_ratio, 0.8), angle)
    return Shape(axis_ratio=axis_ratio, angle=angle, sersic=1.5)


@dataclass(frozen=True, kw_only=True)
class _Arms:
    """The spiral of one disk."""

    arms: int
    pitch_deg: float
    start_pixels: float
    start_azimuth: float
    hand: int
    sharpness: float
    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator, scale: float, **given: float) -> _Arms:
        drawn: dict = {
            "start_pixels": scale * rng.uniform(0.5, 1.0),
            "start_azimuth": rng.uniform(0, 2 * np.pi),
            "hand": int(rng.choice([-1, 1])),
            "sharpness": rng.uniform(1.2, 4.5),
            "strength": rng.uniform(0.35, 0.75),
        }
        return cls(**{**drawn, **given})


def _add_disk(
    rng: np.random.Generator, scene: Scene, frame: DiskFrame, scale: float, arms: _Arms, age: float
) -> None:
    """Add old disk, young arms, knots and the dust on the inner side of the arms; total z flux about 1."""
    phase = arm_phase(
        frame,
        arms=arms.arms,
        pitch_deg=arms.pitch_deg,
        start_pixels=arms.start_pixels,
        start_azimuth=arms.start_azimuth,
        hand=arms.hand,
    )
    phase += np.float32(rng.uniform(0.2, 0.7)) * texture(rng, max(scale * 0.6, 3.0))
    begin = smooth_step(frame.radius, arms.start_pixels * 0.75, arms.start_pixels * 1.1)
    arm = ridge(phase, arms.sharpness) * begin
    old = exponential(frame.radius, scale, break_pixels=scale * rng.uniform(3, 5)) * (1 + 0.5 * arm)
    young = exponential(frame.radius, scale * rng.uniform(1.15, 1.6), break_pixels=scale * rng.uniform(2.2, 3.5))
    young *= (arm + np.float32(0.15) * begin) * np.exp(0.45 * texture(rng, 2.2)) * _lopsided(rng, frame, 0.4)
    strength = arms.strength * (1 - 0.35 * age)
    before = scene.planes.copy()
    scene.add_image(old, (1 - strength) * colour(0.5 + 0.25 * age, 0.38 + 0.22 * age))
    scene.add_image(young, 0.85 * strength * colour(0.32 + 0.15 * age, 0.15 + 0.15 * age))
    count = int(rng.integers(0, 60))
    scene.add_image(knots(rng, young**1.5, count), 0.002 * count * strength * colour(0.15, -0.05))
    lane = ridge(phase + np.float32(0.9), 1.6 * arms.sharpness) * begin * exponential(frame.radius, 2.5 * scale)
    _absorb(scene, before, lane, rng.uniform(0.0, 0.9))


def _add_smooth_disk(scene: Scene, frame: DiskFrame, scale: float, age: float) -> None:
    scene.add_image(exponential(frame.radius, scale, break_pixels=3.5 * scale), colour(0.5 + 0.25 * age, 0.6))


def _add_bulge(
    rng: np.random.Generator,
    scene: Scene,
    body: Body,
    flux_z: float,
    radius_pixels: float,
    axis_ratio: float,
    angle: float,
) -> None:
    scene.add_sersic(
        index=float(rng.choice([1.0, 2.0, 3.0])),
        radius_pixels=radius_pixels,
        flux_nmgy=flux_z * colour(rng.uniform(0.72, 0.9), rng.uniform(0.55, 0.72)),
        axis_ratio=max(axis_ratio, 0.6),
        angle=angle,
        x=body.x,
        y=body.y,
    )


def _absorb(scene: Scene, before: np.ndarray, lane: np.ndarray, depth: float) -> None:
    """Dim what was added since ``before`` by dust of optical depth ``depth`` in g where ``lane`` is 1."""
    added = scene.planes - before
    lost = added * -np.expm1(-np.float32(depth) * DUST_BY_BAND[:, None, None] * lane)
    scene.add_planes(-lost)


def _lopsided(rng: np.random.Generator, frame: DiskFrame, most: float) -> np.ndarray:
    amount, direction = rng.uniform(0, most), rng.uniform(0, 2 * np.pi)
    return 1 + np.float32(amount) * np.cos(frame.azimuth - np.float32(direction))
