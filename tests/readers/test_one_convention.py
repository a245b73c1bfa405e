"""The same galaxy as fluxes and as a JPEG of its rendering means the same to an encoder."""

import io

import numpy as np
import pytest
from PIL import Image

from discovery.encoders.encoder import load_encoder
from discovery.readers import open_survey, read_stamp_bytes
from discovery.stamps.render import to_rgb_picture


@pytest.fixture(scope="module")
def encoder():
    """Return the encoder that the package ships."""
    return load_encoder()


def as_jpeg(stamp):
    buffer = io.BytesIO()
    Image.fromarray(to_rgb_picture(stamp)).save(buffer, "JPEG", quality=90)
    return read_stamp_bytes(buffer.getvalue(), "rendered.jpg")


def test_flux_and_jpeg_meet(encoder, layouts, tmp_path):
    layouts.cutout(tmp_path / "a.fits", layouts.planes(152))
    layouts.cutout(tmp_path / "b.fits", layouts.planes(96, seed=1))
    stamps = list(open_survey(tmp_path).read(0, 2))
    cosines = cosine_with_jpeg(encoder, stamps)
    assert cosines.min() > 0.95


def test_real_flux_and_jpeg_meet(encoder, shared_data):
    stamps = list(open_survey(shared_data / "fits_cutouts" / "dr9").read(0, 10))
    assert cosine_with_jpeg(encoder, stamps).min() > 0.95


def cosine_with_jpeg(encoder, stamps):
    flux = encoder.embed(stamps)
    jpeg = encoder.embed([as_jpeg(stamp) for stamp in stamps])
    return np.sum(flux * jpeg, axis=1)
