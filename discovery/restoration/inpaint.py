"""Missing pixels: continued smoothly from their surroundings, and with the structure that a network sees in them.

What a network answers in a hole need not meet the hole's rim, and on images unlike its training set it may know less than
a smooth continuation does. So it is put to the test where the truth is known: the pixels around the hole are hidden
from it as well. The outer ones show how far its answer is off, which is continued inwards and taken away (as in
seamless cloning, Perez et al. 2003); the inner ones show how much of what it then adds to the smooth continuation is
right. That share, 0 to 1 and of each hole its own, is how much of it goes into the hole.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from discovery.restoration.network import ImageNetwork
from discovery.restoration.stretch import stretch, unstretch
from discovery.restoration.tiles import apply_tiles
from discovery.stamps.imaging_surveys import SurveyStyle

FILL_SIGMA_PIXELS = 2.0
RING_PIXELS = 2
PIXELS_A_MEASURE = 8.0
"""Neighbouring pixels are alike: about so many count as one measurement of the network's worth."""


def mend(flux: np.ndarray, hole: np.ndarray, known: np.ndarray, network: ImageNetwork, style: SurveyStyle) -> np.ndarray:
    """Return the fluxes (3, H, W) that belong in a hole; of no meaning elsewhere.

    Parameters
    ----------
    flux : numpy.ndarray
        (3, H, W) nanomaggies; finite outside the hole.
    hole : numpy.ndarray
        (H, W) bool.
    known : numpy.ndarray
        (H, W) bool, where ``flux`` was measured: the network is put to the test there alone.
    """
    if not hole.any():
        return flux
    smooth = stretch(fill(flux, hole), style)
    inner = ndimage.binary_dilation(hole, iterations=RING_PIXELS)
    wide = ndimage.binary_dilation(inner, iterations=RING_PIXELS)
    answer = _answer(smooth, wide, network)
    seen_less = stretch(fill(flux, inner), style)
    added = _fitted(answer, smooth, wide & ~inner, inner) - seen_less
    share = _shares(added, smooth - seen_less, inner & ~hole & known, wide)
    whole = _fitted(answer, smooth, wide & ~hole, hole)
    return unstretch(smooth + share * (whole - smooth), style)


def trusted_share(added: np.ndarray, true: np.ndarray, where: np.ndarray) -> float:
    """Return how much of an addition is right: the least-squares factor to what is true, less its standard error, in 0..1."""
    x, y = added[:, where].ravel(), true[:, where].ravel()
    power = float(x @ x)
    if power == 0:
        return 0.0
    factor = float(x @ y) / power
    spread = float(np.mean((y - factor * x) ** 2)) / power * PIXELS_A_MEASURE
    return float(np.clip(factor - np.sqrt(spread), 0, 1))


def _shares(added: np.ndarray, true: np.ndarray, where: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return the `trusted_share` of each connected hole, at its pixels: (H, W)."""
    labels, _ = ndimage.label(holes, structure=np.ones((3, 3)))
    shares = np.zeros(holes.shape)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        mine = labels[box] == label
        shares[box][mine] = trusted_share(added[:, *box], true[:, *box], where[box] & mine)
    return shares


def fill(flux: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return an image (float64) whose missing pixels are the weighted mean of the known ones around, see `continued`."""
    known = ~missing & np.isfinite(flux).all(axis=0)
    return continued(np.where(known, flux, 0.0), known, ~known)


def continued(planes: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return planes (3, H, W) with the wanted pixels as weighted means of the known ones.

    The weights are Gaussian, with a sigma that grows from 2 pixels by factors of two until every wanted pixel has
    neighbours.
    """
    made = np.array(planes, np.float64)
    left, sigma = wanted.copy(), FILL_SIGMA_PIXELS
    while left.any() and known.any():
        weight = ndimage.gaussian_filter(known.astype(np.float64), sigma)
        near = left & (weight > 1e-3)
        for plane, source in zip(made, planes, strict=True):
            total = ndimage.gaussian_filter(np.where(known, source, 0.0), sigma)
            plane[near] = total[near] / weight[near]
        left, sigma = left & ~near, 2 * sigma
    return made


def _answer(smooth: np.ndarray, hidden: np.ndarray, network: ImageNetwork) -> np.ndarray:
    """Return what the network makes of an image without its sky, which in its training pictures is dark; sky added again."""
    sky = np.median(smooth, axis=(1, 2), keepdims=True)

    def answer(tiles: np.ndarray) -> np.ndarray:
        return network.reconstruct(np.clip(tiles[:, :3], 0, 1), tiles[:, 3:])

    planes = np.concatenate([smooth - sky, hidden[None].astype(np.float64)])
    return apply_tiles(answer, planes, network.side, network.side // 2, only=hidden) + sky


def _fitted(answer: np.ndarray, truth: np.ndarray, ring: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return an answer that meets the truth at a ring: its error there is continued into the hole and taken away."""
    error = np.where(ring, truth - answer, 0.0)
    return np.where(hole, answer + continued(error, ring, hole), truth)
