"""Tidal encounters as restricted three-body runs: test particles in the field of two moving masses.

Toomre & Toomre (1972, ApJ 178, 623): massless particles on circular orbits about one body, stirred by
the passage of the other, make the bridges and tails of real mergers. Units: G = 1, primary mass 1,
edge of the primary's disk about 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SOFTENING = 0.22
STEP = 0.05
DISK_SCALE = 0.4


@dataclass(frozen=True, kw_only=True)
class Encounter:
    """State at the moment of viewing, projected on the sky.

    ``nuclei`` is (2, 2), ``stars`` a pair of (n, 2) positions, one array a disk (the second may be
    empty), all relative to the first nucleus.
    """

    nuclei: np.ndarray
    stars: tuple[np.ndarray, np.ndarray]


def run_encounter(
    rng: np.random.Generator, *, mass_ratio: float, second_disk: bool, particles: int = 7000
) -> Encounter:
    """Run one passage on a parabolic orbit with friction and look at it from a random direction."""
    pericentre = rng.uniform(0.4, 1.0)
    friction = rng.uniform(0.0, 0.9)
    bodies, motion = _parabola(mass_ratio, pericentre, separation=3.2)
    masses = np.array([1.0, mass_ratio])
    stars, speeds, sizes = [], [], []
    for body in (0, 1) if second_disk else (0,):
        count = int(particles * (1.0 if body == 0 else max(mass_ratio, 0.3)))
        offsets, velocities = _disk(rng, count, masses[body])
        stars.append(bodies[body] + offsets)
        speeds.append(motion[body] + velocities)
        sizes.append(count)
    moment = rng.uniform(1.2, 4.0) * np.sqrt(pericentre + 0.5)
    place, bodies = _integrate(
        np.concatenate(stars), np.concatenate(speeds), bodies, motion, masses, friction, moment
    )
    look = _rotation(rng, tilt=np.arccos(rng.uniform(0.35, 1.0)))
    sky = ((place - bodies[0]) @ look.T)[:, :2]
    second = sky[sizes[0] :]
    return Encounter(nuclei=((bodies - bodies[0]) @ look.T)[:, :2], stars=(sky[: sizes[0]], second))


def _parabola(mass_ratio: float, pericentre: float, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and velocities (2, 3) about the centre of mass, approaching on a parabola."""
    total = 1.0 + mass_ratio
    angle = np.arccos(np.clip(2 * pericentre / separation - 1, -1, 1))
    along = np.array([np.cos(angle), -np.sin(angle), 0.0])
    across = np.array([np.sin(angle), np.cos(angle), 0.0])
    speed2 = 2 * total / separation
    transverse = np.sqrt(2 * total * pericentre) / separation
    velocity = transverse * across - np.sqrt(max(speed2 - transverse**2, 0.0)) * along
    share = np.array([-mass_ratio / total, 1.0 / total])[:, None]
    return share * separation * along, share * velocity


def _disk(rng: np.random.Generator, count: int, mass: float) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and velocities (n, 3) of an exponential disk, more often turning with the orbit."""
    size = np.sqrt(mass)
    radius = np.minimum(rng.gamma(2.0, DISK_SCALE, count), 1.15) * size * rng.uniform(0.85, 1.0, count)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    speed = np.sqrt(mass * radius**2 / (radius**2 + SOFTENING**2) ** 1.5)
    flat = np.stack([np.cos(azimuth), np.sin(azimuth), rng.normal(0, 0.04, count)], axis=1)
    turning = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(count)], axis=1)
    turning += rng.normal(0, 0.06, turning.shape)
    retrograde = rng.random() < 0.2
    tilt = _rotation(rng, tilt=np.pi - rng.uniform(0, 0.9) if retrograde else rng.uniform(0, 0.9))
    return (radius[:, None] * flat) @ tilt.T, (speed[:, None] * turning) @ tilt.T


def _rotation(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """Return a rotation (3, 3): by a random angle, then a tilt, then a random angle."""
    first, last = rng.uniform(0, 2 * np.pi, 2)
    return _about_z(last) @ _about_x(tilt) @ _about_z(first)


def _about_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _about_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def _integrate(
    place: np.ndarray,
    speed: np.ndarray,
    bodies: np.ndarray,
    motion: np.ndarray,
    masses: np.ndarray,
    friction: float,
    after_pericentre: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Leapfrog until ``after_pericentre`` time units beyond the closest approach.

    Particles run in float32 in the coordinates (3, n), where the sums are quickest.
    """
    stars, velocity = place.T.astype(np.float32), speed.T.astype(np.float32)
    since, last, passed = 0.0, np.inf, False
    while since < after_pericentre:
        stars += np.float32(STEP / 2) * velocity
        bodies = bodies + STEP / 2 * motion
        velocity += np.float32(STEP) * _pull(stars, bodies, masses)
        motion = motion + STEP * _mutual(bodies, motion, masses, friction)
        stars += np.float32(STEP / 2) * velocity
        bodies = bodies + STEP / 2 * motion
        apart = float(np.linalg.norm(bodies[1] - bodies[0]))
        passed = passed or apart > last
        since += STEP if passed else 0.0
        last = apart
    return stars.T, bodies


def _pull(stars: np.ndarray, bodies: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return the acceleration (3, n) of particles by two Plummer spheres."""
    total = np.zeros_like(stars)
    for body, mass in zip(bodies, masses, strict=True):
        offset = body.astype(np.float32)[:, None] - stars
        distance2 = np.einsum("in,in->n", offset, offset) + np.float32(SOFTENING**2 * mass)
        total += offset * (np.float32(mass) / (distance2 * np.sqrt(distance2)))
    return total


def _mutual(bodies: np.ndarray, motion: np.ndarray, masses: np.ndarray, friction: float) -> np.ndarray:
    """Return the acceleration (2, 3) of the two bodies, with friction where their halos overlap."""
    offset = bodies[1] - bodies[0]
    distance2 = float(offset @ offset) + SOFTENING**2
    drag = friction * np.exp(-distance2) * (motion[1] - motion[0])
    pull = masses.sum() * offset / distance2**1.5 + drag
    share = np.array([masses[1], -masses[0]])[:, None] / masses.sum()
    return share * pull
