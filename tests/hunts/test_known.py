"""Known objects: cross-matches by position against astropy's, and what a table may look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from discovery.errors import QueryError
from discovery.search.known_files import read_known
from discovery.search.known_objects import find_known
from discovery.search.known_options import matched_known

COUNT = 400


def scattered(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions over the whole sky, many of them at ra 0 and around the poles."""
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    third = count // 3
    ra[:third] = rng.normal(0, 3e-4, third) % 360
    dec[third : third + third // 2] = 90 - np.abs(rng.normal(0, 5e-4, third // 2))
    dec[third + third // 2 : 2 * third] = -90 + np.abs(rng.normal(0, 5e-4, third - third // 2))
    return ra, dec


def moved(
    rng: np.random.Generator, ra: np.ndarray, dec: np.ndarray, arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same positions, each some arcsec away in some direction."""
    there = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(
        rng.uniform(0, 360, len(ra)) * u.deg, rng.exponential(arcsec, len(ra)) * u.arcsec
    )
    return there.ra.deg, there.dec.deg


@pytest.fixture
def sky(tmp_path: Path, build_release: Callable, build_vectors: Callable) -> Callable[..., Any]:
    """Build a release at given positions."""

    def built(ra: np.ndarray, dec: np.ndarray, **columns: Any) -> Any:
        name = f"sky{len(list(tmp_path.iterdir()))}"
        return build_release(tmp_path, name, build_vectors(count=len(ra)), ra=ra, dec=dec, **columns)

    return built


@pytest.mark.parametrize("seed", range(3))
def test_matches_are_astropys(sky: Callable, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ra, dec = scattered(rng, COUNT)
    release = sky(ra, dec)
    known_ra, known_dec = moved(rng, *(values[::2] for values in (ra, dec)), 2.0)
    names = [f"K{n}" for n in range(len(known_ra))]
    Table({"Name": names, "RA": known_ra - 360 * (rng.random(len(known_ra)) < 0.3), "DEC": known_dec}).write(
        tmp_path / "known.csv"
    )
    radius = float(rng.uniform(0.5, 30))
    matched = read_known(tmp_path / "known.csv").match(release, radius)
    nearest, separation, _ = SkyCoord(ra * u.deg, dec * u.deg).match_to_catalog_sky(
        SkyCoord(known_ra * u.deg, known_dec * u.deg)
    )
    within = np.flatnonzero(separation.arcsec <= radius)
    assert 20 < len(within) < COUNT and list(matched) == within.tolist()
    assert [one.name for one in matched.values()] == [names[at] for at in nearest[within]]
    np.testing.assert_allclose(
        [one.separation_arcsec for one in matched.values()], separation.arcsec[within], atol=1e-6
    )


def test_a_duplicate_stands_for_its_primary_row(sky: Callable, tmp_path: Path) -> None:
    primary = np.arange(COUNT)
    primary[7] = 3
    ra, dec = 10 + np.arange(COUNT) * 0.01, np.zeros(COUNT)
    ra[7] = ra[3] + 3 / 3600
    release = sky(ra, dec, primary_row=primary)
    (tmp_path / "k.csv").write_text(f"ra,dec,id\n{ra[7] + 1 / 3600:.9f},0,LENS-7\n")
    (tmp_path / "nearer.csv").write_text(f"ra,dec\n{ra[3] + 0.5 / 3600:.9f},0\n")
    tables = [read_known(tmp_path / name) for name in ("k.csv", "nearer.csv")]
    (only,) = tables[0].match(release, 2.0).items()
    assert only[0] == 3 and str(only[1]) == "known as LENS-7 (k.csv)"
    assert only[1].separation_arcsec == pytest.approx(1, abs=1e-4)
    both = find_known(release, tables, 2.0)
    assert both.by_row[3].file == "nearer.csv" and both.by_row[3].name == f"{ra[3] + 0.5 / 3600:.5f}+0.00000"
    assert np.flatnonzero(both.mask).tolist() == [3] and both.flag(4) == ""
    assert both.without["without"] == "known in k.csv and nearer.csv within 2 arcsec"
    assert [len(one) for one in both.without["sha256"]] == [64, 64]


def test_objects_without_a_position_are_new(sky: Callable, tmp_path: Path) -> None:
    ra = np.full(COUNT, np.nan)
    ra[5] = 12.0
    release = sky(ra, np.where(np.isnan(ra), np.nan, 1.0))
    (tmp_path / "k.csv").write_text("ra,dec\n12,1\n0,0\n")
    assert list(read_known(tmp_path / "k.csv").match(release, 10.0)) == [5]


@pytest.mark.parametrize("kind", ["csv", "tsv", "fits", "vot", "parquet"])
def test_every_format_and_both_notations_are_read(tmp_path: Path, kind: str) -> None:
    places = SkyCoord([150.1, 0.01, 359.99] * u.deg, [2.2, -89.9, 45.0] * u.deg)
    path = tmp_path / f"k.{kind}"
    degrees = Table({"designation": ["a", "b", "c"], "RAJ2000": places.ra.deg, "DEJ2000": places.dec.deg})
    hours = Table(
        {
            "designation": ["a", "b", "c"],
            "ra": places.ra.to_string("hour", sep=":", precision=5, pad=True),
            "dec": places.dec.to_string("deg", sep=":", precision=4, pad=True, alwayssign=True),
        }
    )
    for table in (degrees, hours):
        if kind == "parquet":
            import pyarrow as pa
            import pyarrow.parquet

            pyarrow.parquet.write_table(
                pa.table({name: table[name].tolist() for name in table.colnames}), path
            )
        else:
            formats = {"csv": "ascii.csv", "tsv": "ascii.tab", "fits": "fits", "vot": "votable"}
            table.write(path, format=formats[kind], overwrite=True)
        known = read_known(path)
        assert known.names.to_pylist() == ["a", "b", "c"]
        found = SkyCoord(known.ra_deg * u.deg, known.dec_deg * u.deg)
        assert found.separation(places).arcsec.max() < 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,flux\na,1\n", "no columns ra and dec; its columns are name, flux"),
        ("ra,dec\n", "no rows"),
        ("ra,dec\n10,91\n", "No row of k.csv has a position .ra 10, dec 91"),
        ("ra [pix],dec\n10,1\n", "no columns ra and dec"),
    ],
)
def test_a_bad_table_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "k.csv").write_text(text)
    with pytest.raises(QueryError, match=message):
        read_known(tmp_path / "k.csv")


@pytest.mark.parametrize("wrong", [",2", "25:61:00,1", "-999,-999", "10,nan"])
def test_rows_without_a_position_are_left_out_and_listed(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "k.csv").write_text(f"name,ra,dec\na,10:00:24,+02:12:00\nb,{wrong}\nc,10,1\n")
    known = read_known(tmp_path / "k.csv")
    assert known.names.to_pylist() == ["a", "c"]
    assert known.ra_deg.tolist() == pytest.approx([150.1, 10.0])
    assert known.dec_deg.tolist() == pytest.approx([2.2, 1.0])
    assert known.note.startswith("k.csv: 1 of 3 rows have no position and are left out: line 2 (ra ")


def test_a_file_that_is_no_table_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "k.fits").write_bytes(b"SIMPLE  nothing of the kind")
    for name in ("k.fits", "absent.csv", "k.docx"):
        with pytest.raises(QueryError, match=name):
            read_known(tmp_path / name)


def test_options_say_what_they_lack(release: Any, tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("ra,dec,name\n150.0,-5.0,first\n")
    assert matched_known(release, None, None) is None
    assert list(matched_known(release, [tmp_path / "k.csv"], None).by_row) == [0]
    with pytest.raises(QueryError, match="--new-only needs"):
        matched_known(release, None, None, new_only=True)
    with pytest.raises(QueryError, match="--known-radius needs"):
        matched_known(release, [], 3.0)
    for radius in (0.0, -1.0, float("nan"), 1e6):
        with pytest.raises(QueryError, match="radius"):
            matched_known(release, [tmp_path / "k.csv"], radius)
