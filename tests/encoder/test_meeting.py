"""The same galaxy as flux and as the JPEG of its rendering gives nearly the same embedding."""

import dataclasses
import io

import numpy as np
from PIL import Image

from discovery.encoders.encoder import load_encoder
from discovery.readers import open_survey, read_stamp_bytes
from discovery.release.release import open_release
from discovery.stamps.preprocess import to_colours


def as_jpeg(stamp):
    picture = np.rint(to_colours(stamp)[::-1].transpose(1, 2, 0) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return dataclasses.replace(read_stamp_bytes(file.getvalue(), "picture.jpg"), pixel_scale_arcsec=stamp.pixel_scale_arcsec)


def cosines(stamps):
    encoder = load_encoder()
    return (encoder.embed(stamps) * encoder.embed([as_jpeg(stamp) for stamp in stamps])).sum(1)


def test_simulated_galaxies(demo_release):
    release = open_release(demo_release)
    wanted = release.catalogue.select(where="truth_class not in ('star', 'artefact')", columns=["row"], limit=40)
    found = cosines([release.stamp(row) for row in wanted["row"].to_pylist()])
    assert np.median(found) > 0.95, np.sort(found)
    assert (found > 0.95).mean() >= 0.9, np.sort(found)


def test_real_galaxies(shared_data):
    survey = open_survey([shared_data / "fits_cutouts" / "dr9"])
    found = cosines(list(survey.read(0, len(survey))))
    assert len(found) == 10 and found.min() > 0.95, found
