"""Wide fields with lenses and as many non-lenses, placed by the same code.

A field is sky noise and faint galaxies. Each object is cut out of its stamp along its own outline, shrunk, blurred to
the field's PSF and faded out; then white noise fills up what the paste lacks, so that the scatter of the sky is the
same on a paste as beside it. What an object is decides nothing but the list that it is drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from discovery.errors import ConfigError
from training.finetuning.detection.cutouts import Paste, fit_to_field
from training.finetuning.detection.sources import Sources

SKY = (0.06, 0.14)
NOISE = (0.03, 0.05)
NOISE_LEFT = 0.6
"""A paste whose own noise is more than this part of the field's is not used."""
PSF_FWHM_PIXELS = (4.5, 6.5)
SCALES = (0.25, 1.0)
SHARPEST = 0.85
"""A paste keeps at most this part of the field's PSF as its own, so that every paste is blurred."""
LARGEST_PART = 0.3
"""Of the field's side that an object may take."""
FAINT_A_SQUARE = 3.0
"""Faint field galaxies in 64 x 64 pixels, on average."""
VISIBLE_SIGMA = 1.5
"""The mask of an object: pixels whose light, mean of the bands, exceeds the noise of that mean by this factor."""
LEAST_MASK_PIXELS = 30
GAP_PIXELS = 4
TRIES = 60


@dataclass(frozen=True, kw_only=True)
class FieldPlan:
    """What fields are made: ``size`` pixels a side, ``per_field`` lenses and as many non-lenses, ``seed``."""

    size: int = 512
    per_field: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 32:
            raise ConfigError(f"Fields of {self.size} pixels: the side must be a multiple of 32, at least 64.")
        if self.per_field < 1:
            raise ConfigError(f"{self.per_field} lenses a field: give at least 1.")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field and what was placed in it.

    Attributes
    ----------
    pixels : numpy.ndarray
        (3, S, S) uint8, display colours times 255, channels g r z.
    boxes : numpy.ndarray
        (K, 4) float32 left, top, right, bottom in pixels (right and bottom exclusive), of all objects.
    masks : numpy.ndarray
        (K, S, S) bool.
    lens : numpy.ndarray
        (K,) bool.
    survey : numpy.ndarray
        (K,) int64, index into the names of the sources.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray
    lens: np.ndarray
    survey: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Placed:
    paste: Paste
    mask: np.ndarray
    row: int
    column: int
    lens: bool
    survey: int

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.mask.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)


def make_field(plan: FieldPlan, sources: Sources, index: int) -> Field:
    """Return field ``index``; everything random follows from (seed, index) and the sources.

    Raises
    ------
    ConfigError
        If none of many objects can be placed.
    """
    rng = np.random.default_rng([plan.seed, index])
    psf = float(rng.uniform(*PSF_FWHM_PIXELS))
    noise = rng.uniform(*NOISE) * rng.uniform(0.85, 1.15, 3)
    placed = _place_objects(rng, plan, sources, psf, noise)
    light = _faint_galaxies(rng, plan.size, psf)
    left = np.ones((3, plan.size, plan.size), np.float32)  # part of the noise variance that pastes do not bring
    for one in placed:
        light[:, *one.window] += one.paste.light
        brought = one.paste.noise[:, None, None] * one.paste.weight / noise[:, None, None]
        left[:, *one.window] -= np.square(brought, dtype=np.float32)
    white = rng.standard_normal(light.shape, dtype=np.float32)
    sky = rng.uniform(*SKY) * rng.uniform(0.8, 1.2, 3)
    colours = sky[:, None, None] + light + noise[:, None, None] * np.sqrt(np.maximum(left, 0)) * white
    return Field(
        pixels=np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8),
        boxes=np.array([_box(one) for one in placed], np.float32).reshape(-1, 4),
        masks=_masks(placed, plan.size),
        lens=np.array([one.lens for one in placed], bool),
        survey=np.array([one.survey for one in placed], np.int64),
    )


def _place_objects(rng: np.random.Generator, plan: FieldPlan, sources: Sources, psf: float, noise: np.ndarray) -> list[_Placed]:
    """Draw lenses and non-lenses by turns; no mask's box touches another's."""
    placed: list[_Placed] = []
    for count in range(2 * plan.per_field):
        for _ in range(TRIES):
            one = _try_object(rng, plan, sources, psf, noise, lens=count % 2 == 0)
            if one is not None and not any(_touch(one, other) for other in placed):
                placed.append(one)
                break
    if not placed:
        raise ConfigError(f"None of {TRIES} objects could be placed in a field of {plan.size} pixels; their stamps show nothing central.")
    return placed


def _try_object(
    rng: np.random.Generator, plan: FieldPlan, sources: Sources, psf: float, noise: np.ndarray, *, lens: bool
) -> _Placed | None:
    survey, position = sources.draw(rng, lens=lens)
    share, turn, where = rng.uniform(0.7, 1.0), int(rng.integers(8)), rng.random(2)
    cut = sources.cut(survey, position)
    if cut is None:
        return None
    scale = share * min(SCALES[1], SHARPEST * psf / cut.psf_fwhm_pixels, LARGEST_PART * plan.size / cut.extent_pixels)
    if scale < SCALES[0]:
        return None
    paste = fit_to_field(cut, scale=scale, psf_fwhm_pixels=psf, turn=turn)
    mask = _visible(paste, noise)
    room = plan.size - np.array(paste.weight.shape)
    if mask is None or (paste.noise > NOISE_LEFT * noise).any() or (room < 1).any():
        return None
    row, column = (int(part) for part in where * (room + 1))
    return _Placed(paste=paste, mask=mask, row=row, column=column, lens=lens, survey=survey)


def _visible(paste: Paste, noise: np.ndarray) -> np.ndarray | None:
    """Return the pixels (h, w) of the object that stand above the field's noise, or None where they are too few."""
    bright = (paste.light.mean(0) > VISIBLE_SIGMA * np.sqrt(np.square(noise).sum()) / 3) & (paste.weight > 0.5)
    mask = _touching(bright, paste.core)
    return mask if mask.sum() >= LEAST_MASK_PIXELS else None


def _touching(bright: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Return the connected bright parts that share a pixel with the core."""
    _, labels = cv2.connectedComponents(bright.astype(np.uint8))
    names = np.unique(labels[core & bright])
    return np.isin(labels, names[names > 0])


def _box(one: _Placed) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(one.mask.any(1)), np.flatnonzero(one.mask.any(0))
    return one.column + columns[0], one.row + rows[0], one.column + columns[-1] + 1, one.row + rows[-1] + 1


def _touch(one: _Placed, other: _Placed) -> bool:
    a, b = _box(one), _box(other)
    return all(a[i] - GAP_PIXELS < b[i + 2] and b[i] - GAP_PIXELS < a[i + 2] for i in (0, 1))


def _masks(placed: list[_Placed], size: int) -> np.ndarray:
    masks = np.zeros((len(placed), size, size), bool)
    for mask, one in zip(masks, placed, strict=True):
        mask[one.window] = one.mask
    return masks


def _faint_galaxies(rng: np.random.Generator, size: int, psf_fwhm_pixels: float) -> np.ndarray:
    """Return (3, S, S) float32: small exponential galaxies, blurred by the PSF."""
    light = np.zeros((3, size, size), np.float32)
    half = 12
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    for _ in range(rng.poisson(FAINT_A_SQUARE * (size / 64) ** 2)):
        column, row = rng.integers(half, size - half, 2)
        radius, flat, angle = rng.uniform(0.8, 2.0), rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
        profile = np.exp(-np.hypot(along, across) / radius)
        brightness = 0.15 * rng.pareto(2.0) * rng.uniform(0.5, 1.5, 3)
        patch = np.minimum(brightness, 1.0)[:, None, None] * profile
        light[:, row - half : row + half + 1, column - half : column + half + 1] += patch.astype(np.float32)
    sigma = psf_fwhm_pixels / 2.3548
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in light])
