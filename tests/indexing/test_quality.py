import numpy as np
import pytest

from discovery.stamps.stamp import Stamp
from index.embed.quality import looks_like_artefact

SIDE = 96


def galaxy(kind="nmgy"):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    light = np.exp(-np.hypot(x, y * 1.5) / 6)
    planes = np.array([0.3, 0.6, 0.9])[:, None, None] * light + rng.normal(0, 0.004, (3, SIDE, SIDE))
    return np.clip(planes, 0, 1).astype(np.float32) if kind == "rgb" else planes.astype(np.float32)


def flagged(pixels, kind="nmgy"):
    return looks_like_artefact(Stamp(object_id="x", pixels=pixels, kind=kind))


def trail(pixels):
    np.fill_diagonal(pixels[1], 0.3)
    np.fill_diagonal(pixels[1][1:], 0.3)
    np.fill_diagonal(pixels[1][:, 1:], 0.3)


def cosmic_rays(pixels):
    pixels[2, 5:90:11, 7] += 0.5


def clipped(pixels):
    np.minimum(pixels[2], 0.6, out=pixels[2])


def coloured_sky(pixels):
    pixels[0] += 0.3


@pytest.mark.parametrize("kind", ["nmgy", "rgb"])
def test_a_galaxy_is_no_artefact(kind):
    assert not flagged(galaxy(kind), kind)


@pytest.mark.parametrize("spoil", [trail, cosmic_rays, clipped, coloured_sky])
def test_what_goes_wrong_in_images_is(spoil):
    pixels = galaxy()
    spoil(pixels)
    assert flagged(pixels)


@pytest.mark.parametrize("spoil", [trail, coloured_sky])
def test_also_in_pictures(spoil):
    pixels = galaxy("rgb")
    spoil(pixels)
    assert flagged(np.clip(pixels, 0, 1), "rgb")


def test_a_constant_stamp_does_not_break_it():
    assert flagged(np.zeros((3, SIDE, SIDE), np.float32))
