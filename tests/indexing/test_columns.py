import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix

from discovery.tables.columns import described
from index.catalogue.columns import (
    band_fluxes,
    catalogue_part,
    dereddened_fluxes,
    healpix_pixels,
    kept_names,
    magnitude_ab,
    mask_flags,
    sky_positions,
    star_flags,
)

FLUX = np.array([[1.0, 10.0, 0.0], [3.0, -2.0, np.nan]])


def lists(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def came(**columns):
    given = {"object_id": ["a", "b"], "ra": [150.0, None], "dec": [2.0, None], "source": ["f", "f"]}
    return pa.table(given | columns)


def measures():
    whole = {name: [0, 0] for name in ("survey_position", "crop_row0", "crop_row1", "crop_column0", "crop_column1")}
    return pa.table(whole | {"crop_side_arcsec": [1.0, 2.0], "covered_fraction": [1.0, 0.9], "flag_artefact": [False, True]})


def test_magnitudes_are_those_of_astropy_and_missing_without_light():
    flux = np.array([0.3, 1.0, 250.0])
    oracle = (flux * u.nmgy).to(u.AB, u.zero_point_flux(1 * u.AB)).to_value(u.ABmag)
    assert magnitude_ab(flux) == pytest.approx(oracle, abs=1e-9)
    assert np.isnan(magnitude_ab(np.array([0.0, -1.0, np.nan, np.inf]))).all()


@pytest.mark.parametrize(
    "columns",
    [
        {"flux": lists(FLUX)},
        {"FLUX_G": FLUX[:, 0], "FLUX_R": FLUX[:, 1], "FLUX_Z": FLUX[:, 2]},
        {"flux_g": FLUX[:, 0], "flux_r": FLUX[:, 1], "flux_z": FLUX[:, 2]},
    ],
)
def test_fluxes_of_every_naming(columns):
    found = band_fluxes(came(**columns))
    assert np.array_equal(np.stack([found[band] for band in "grz"], axis=1), FLUX, equal_nan=True)


def test_dereddening_takes_transmission_and_else_reddening():
    transmission = np.array([[0.5, 0.8, 0.9], [np.nan, 0.0, 1.0]])
    found = dereddened_fluxes(came(flux=lists(FLUX), transmission=lists(transmission), ebv=[0.1, 0.2]))
    assert found["g"] == pytest.approx([1 / 0.5, 3.0 * 10 ** (0.4 * 3.214 * 0.2)])
    assert found["r"][0] == pytest.approx(10 / 0.8)
    assert np.isnan(found["r"][1])


def test_healpix_pixel_holds_its_position():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 50), np.degrees(np.arcsin(rng.uniform(-1, 1, 50)))
    pixels = healpix_pixels(np.r_[ra, np.nan], np.r_[dec, np.nan])
    assert pixels[50].as_py() is None
    grid = HEALPix(nside=2**29, order="nested")
    lon, lat = grid.healpix_to_lonlat(pixels[:50].to_numpy())
    assert SkyCoord(lon, lat).separation(SkyCoord(ra, dec, unit="deg")).max() < 2 * grid.pixel_resolution


def test_positions_out_of_range_are_none():
    table = pa.table({"ra": [-10.0, 20.0, 500.0], "dec": [1.0, 91.0, 0.0]})
    ra, dec = sky_positions(table)
    assert ra[0] == 350
    assert np.isnan(ra[1:]).all()
    assert np.isnan(dec[1:]).all()


def test_flags_of_the_survey():
    table = pa.table({"TYPE": [b"PSF ", b"REX", b"DEV"], "MASKBITS": [1 << 12, 1 << 11, 0]})
    assert star_flags(table).tolist() == [True, False, False]
    assert mask_flags(table).tolist() == [False, True, False]
    nothing = pa.table({"x": [1]})
    assert not star_flags(nothing).any()
    assert not mask_flags(nothing).any()


def test_columns_that_came_keep_their_names_unless_ours():
    table = came(RA=[1.0, 2.0], Row=[1, 2], mag_r=[17.0, 18.0], z=[0.1, 0.2])
    assert kept_names(table) == {"source": "source", "RA": "survey_RA", "Row": "survey_Row", "mag_r": "mag_r", "z": "z"}
    part = catalogue_part(table, measures(), 7)
    assert part["row"].to_pylist() == [7, 8]
    assert part["mag_r"].to_pylist() == [17.0, 18.0]
    assert part["ra"].to_pylist() == [150.0, None]
    assert part["_healpix_29"].to_pylist()[1] is None
    assert part["flag_partial"].to_pylist() == [False, True]
    with_flux = came(mag_r=[17.0, 18.0], flux=lists(FLUX))
    part = catalogue_part(with_flux, measures(), 0)
    assert part["mag_r"].to_pylist() == [17.0, 18.0]
    assert part["mag_g"].to_pylist() == pytest.approx([22.5, 22.5 - 2.5 * np.log10(3)])
    assert kept_names(came(mag_r=["17.0", "faint"]))["mag_r"] == "survey_mag_r"


@pytest.mark.parametrize(
    ("unit", "one_is_mag"),
    [("", 22.5), ("nanomaggy", 22.5), ("nmgy", 22.5), ("maggy", 0.0), ("nJy", 31.4), ("uJy", 23.9), ("mJy", 16.4), ("Jy", 8.9), ("erg / (s cm2 Hz)", -48.6)],
)
def test_fluxes_are_converted_by_the_zero_point_of_their_unit(unit, one_is_mag):
    magnitude = np.array([17.5, 21.5])
    table = _with_unit(unit, one_is_mag, magnitude)
    assert catalogue_part(table, measures(), 0)["mag_r"].to_pylist() == pytest.approx(magnitude.tolist(), abs=1e-6)


@pytest.mark.parametrize("unit", ["adu", "count", "nJy or none", "something"])
def test_a_flux_without_a_zero_point_gives_no_magnitude(unit):
    table = _with_unit(unit, 22.5, np.array([17.5, 21.5]))
    assert catalogue_part(table, measures(), 0)["mag_r"].to_pylist() == [None, None]


def _with_unit(unit, one_is_mag, magnitude):
    table = came(flux_r=10 ** (0.4 * (one_is_mag - magnitude)))
    return described({name: table[name] for name in table.column_names}, {"flux_r": unit})
