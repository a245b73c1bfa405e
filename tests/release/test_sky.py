"""Cones by ranges of HEALPix pixels, bitmaps of rows, and catalogues that have no tables for either."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import example, given, settings
from hypothesis import strategies as st

from discovery.errors import QueryError
from discovery.release.catalogue import Catalogue, write_catalogue
from discovery.release.filter_cache import ENTRY_BYTES, MOST_ENTRIES, MaskCache
from discovery.sky.cones import cone_ranges, most_ranges
from index.catalogue.columns import healpix_pixels

COUNT = 6000
RNG = np.random.default_rng(5)


def sky_points() -> tuple[np.ndarray, np.ndarray]:
    """All over the sky, and crowded at the poles, at right ascension 0 and where four base pixels meet."""
    crowds = [(10, 90), (200, -90), (0, 0), (359.9, 30), (45, 0), (90, 41.8103)]
    ra = [RNG.uniform(0, 360, COUNT // 2)]
    dec = [np.degrees(np.arcsin(RNG.uniform(-1, 1, COUNT // 2)))]
    for near_ra, near_dec in crowds:
        spread = 10 ** RNG.uniform(-4, 0.5, COUNT // 12)
        dec.append(np.clip(near_dec + spread * RNG.normal(size=COUNT // 12), -90, 90))
        ra.append((near_ra + spread * RNG.normal(size=COUNT // 12)) % 360)
    return np.concatenate(ra), np.concatenate(dec)


RA, DEC = sky_points()
SKY = SkyCoord(RA, DEC, unit="deg")
PIXELS = healpix_pixels(RA, DEC).to_numpy()
CONES = st.tuples(st.floats(-360, 360), st.floats(-90, 90), st.floats(-3.5, 2.25))


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory) -> tuple[Catalogue, Catalogue]:
    """The same lines in a catalogue as it is written now, and in one of before the tables that find positions and names."""
    folder = tmp_path_factory.mktemp("sky")
    flags = {f"flag_{name}": RNG.random(COUNT + 2) < 0.1 for name in ("star", "masked", "partial", "artefact")}
    lines = pa.table(
        {
            "row": np.arange(COUNT + 2),
            "object_id": [f"no {number}" for number in RNG.permutation(COUNT + 2)],
            "ra": pa.array([*RA, None, None]),
            "dec": pa.array([*DEC, None, None]),
            "_healpix_29": pa.array([*PIXELS.tolist(), None, None], pa.int64()),
            "mag_r": pa.array(np.where(RNG.random(COUNT + 2) < 0.1, np.nan, RNG.normal(19, 1, COUNT + 2)), from_pandas=True),
            **flags,
            "primary_row": np.arange(COUNT + 2),
        }
    )
    written = write_catalogue(folder / "new.duckdb", [lines.slice(0, 4000), lines.slice(4000)])
    assert written == COUNT + 2
    write_catalogue(folder / "old.duckdb", [lines])
    with duckdb.connect(str(folder / "old.duckdb")) as connection:
        connection.execute("DROP TABLE sky; DROP TABLE names")
    return Catalogue(folder / "new.duckdb", written), Catalogue(folder / "old.duckdb", written)


@settings(deadline=None, max_examples=120)
@given(CONES)
@example((0.0, 90.0, 1.0))
@example((17.0, -90.0, -3.0))
@example((360.0, 0.0, 0.0))
@example((5.0, 5.0, np.log10(180)))
def test_the_ranges_of_a_cone_hold_it_and_the_inner_ones_nothing_else(cone):
    ra, dec, radius = cone[0], cone[1], min(10 ** cone[2], 180.0)
    within = SKY.separation(SkyCoord(ra, dec, unit="deg")).deg <= radius
    inside, border = cone_ranges(ra, dec, radius)
    held, sure = np.zeros(len(PIXELS), bool), np.zeros(len(PIXELS), bool)
    for low, high in inside.tolist():
        sure |= (low <= PIXELS) & (high >= PIXELS)
    for low, high in border.tolist():
        held |= (low <= PIXELS) & (high >= PIXELS)
    assert not (within & ~held & ~sure).any()
    assert not (sure & ~within).any()
    assert max(len(inside), len(border)) <= most_ranges(radius)
    for ranges in (inside, border):
        assert (ranges[1:, 0] > ranges[:-1, 1]).all() and (ranges[:, 0] <= ranges[:, 1]).all()


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(CONES)
@example((0.0, 90.0, 0.0))
@example((0.0, -0.01, -2.0))
def test_cones_and_nearest_objects_of_new_and_old_catalogues(catalogues, cone):
    ra, dec, radius_arcsec = cone[0], cone[1], min(10 ** cone[2], 180.0) * 3600
    apart = SKY.separation(SkyCoord(ra, dec, unit="deg")).arcsec
    for catalogue in catalogues:
        mask = catalogue.cone(ra, dec, radius_arcsec)
        assert mask.shape == (COUNT + 2,) and not mask[COUNT:].any()
        clear = np.abs(apart - radius_arcsec) > 1e-5
        assert np.array_equal(mask[:COUNT][clear], (apart <= radius_arcsec)[clear])
        if apart.min() < radius_arcsec - 1e-5:
            row, separation = catalogue.nearest_position(ra, dec, radius_arcsec)
            assert apart[row] == pytest.approx(apart.min(), abs=1e-5) and separation == pytest.approx(apart.min(), abs=1e-4)
        elif apart.min() > radius_arcsec + 1e-5:
            with pytest.raises(QueryError, match="no object within"):
                catalogue.nearest_position(ra, dec, radius_arcsec)


def test_names_are_found_with_and_without_their_table(catalogues):
    for catalogue in catalogues:
        names = catalogue.rows(np.arange(COUNT + 2), ["object_id"])["object_id"].to_pylist()
        for row in (0, 17, COUNT + 1):
            assert catalogue.find_id(names[row]) == row
        with pytest.raises(QueryError, match="no object"):
            catalogue.find_id("no -1")


def test_pages_of_a_condition_are_cut_where_numpy_cuts_them(catalogues):
    for catalogue in catalogues:
        mags = np.array(catalogue.rows(np.arange(COUNT + 2), ["mag_r"])["mag_r"].to_pylist(), float)
        bright = np.flatnonzero(mags < 19)
        assert catalogue.number("mag_r < 19") == len(bright)
        for offset in (0, 50, len(bright) - 20, len(bright) + 5):
            page = catalogue.select("mag_r < 19", ["row"], limit=50, offset=offset)
            assert page["row"].to_pylist() == bright[offset : offset + 50].tolist()
        assert catalogue.select("mag_r < 19", ["row"], limit=COUNT * 10)["row"].to_pylist() == bright.tolist()
        clean = catalogue.select("mag_r < 19", ["row"], limit=9, flagged=False)["row"].to_pylist()
        assert clean == np.flatnonzero((mags < 19) & catalogue.clean)[:9].tolist()


def test_a_mask_belongs_to_who_asked(catalogues):
    first = catalogues[0].where("mag_r < 18")
    kept = first.copy()
    first[:] = True
    assert np.array_equal(catalogues[0].where("mag_r < 18"), kept)
    with pytest.raises(ValueError):
        catalogues[0].clean[0] = False


@given(st.lists(st.integers(0, 6), max_size=40))
def test_bitmaps_are_kept_within_their_memory_the_latest_first(asked):
    count, made = 77, []
    cache = MaskCache(count, max_bytes=3 * (10 + ENTRY_BYTES))

    def make(key: int) -> np.ndarray:
        made.append(key)
        return np.arange(count) % (key + 2) == 0

    held: list[int] = []
    for key in asked:
        before = len(made)
        assert np.array_equal(cache.get(key, lambda key=key: make(key)), np.arange(count) % (key + 2) == 0)
        assert (len(made) == before) == (key in held)
        held = [*(one for one in held if one != key), key][-3:]
        assert len(cache) == len(held)


def test_small_bitmaps_are_bounded_by_their_number_and_long_conditions_by_their_checksums():
    cache = MaskCache(8, max_bytes=10**9)
    for number in range(MOST_ENTRIES + 50):
        cache.get(number, lambda: np.ones(8, bool))
    assert len(cache) == MOST_ENTRIES
    cache, made = MaskCache(8, max_bytes=10**6), []
    for condition in ("x" * 10**6, "x" * 10**6, "x" * 10**6 + "y", "short", "\ud800" * 600):
        cache.get(condition, lambda condition=condition: made.append(condition) or np.ones(8, bool))
    assert len(made) == len(cache) == 4 and max(len(key) for key in cache._packed) == 32


def test_side_tables_are_for_positions_and_names_alone(tmp_path: Path):
    write_catalogue(tmp_path / "bare.duckdb", [pa.table({"row": [0, 1], "x": [1.0, 2.0]})])
    with duckdb.connect(str(tmp_path / "bare.duckdb"), read_only=True) as connection:
        assert [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()] == ["objects"]
