"""The same sky observed again, and with another PSF and noise."""

import numpy as np
import pytest

from discovery.errors import ConfigError
from discovery.simulation import SurveyPlan, Visit
from discovery.simulation.draw import draw_target
from discovery.simulation.targets import draw_targets


def drawn(**visit):
    targets = draw_targets(SurveyPlan(galaxies=50, seed=4, visit=Visit(**visit)))
    return [(target, draw_target(4, target)) for target in targets[::7]]


def test_another_visit_shows_the_same_objects_with_other_noise_and_conditions():
    for (target, first), (other, second) in zip(drawn(), drawn(number=2), strict=True):
        assert (target.ra_deg, target.truth_class) == (other.ra_deg, other.truth_class)
        assert (first.redshift, first.ebv, first.shape) == (second.redshift, second.ebv, second.shape)
        assert np.array_equal(first.flux_nmgy, second.flux_nmgy)
        assert not np.any(first.exposure.psfsize_arcsec == second.exposure.psfsize_arcsec)
        assert not np.array_equal(first.pixels, second.pixels)


def test_psf_and_noise_are_multiplied():
    for (_, first), (_, second) in zip(drawn(), drawn(psf=1.5, noise=2.0), strict=True):
        assert np.allclose(second.exposure.psfsize_arcsec, 1.5 * first.exposure.psfsize_arcsec)
        assert np.allclose(second.exposure.sigma_nmgy, 2 * first.exposure.sigma_nmgy)
        weak, strong = (np.median(np.abs(np.diff(seen.pixels[:, 0]))) for seen in (first, second))
        assert strong / weak == pytest.approx(2, rel=0.3)


@pytest.mark.parametrize("wrong", [{"number": -1}, {"psf": 0.0}, {"noise": 11.0}])
def test_a_visit_out_of_range_is_one_clear_error(wrong):
    with pytest.raises(ConfigError, match="give 0"):
        Visit(**wrong)
