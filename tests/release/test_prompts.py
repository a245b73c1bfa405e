import csv

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import DiscoveryError, ObjectNotFound, QueryError
from discovery.search.prompts import read_prompt_table, resolve_prompt, resolve_prompts
from discovery.sky.places import parse_position


@pytest.fixture
def sky(release):
    lines = release.catalogue.rows([20, 50, 90], ["object_id", "ra", "dec"]).to_pydict()
    return lines["object_id"], SkyCoord(lines["ra"], lines["dec"], unit="deg")


@given(ra=st.floats(0, 359.999), dec=st.floats(-89.9, 89.9))
def test_positions_in_every_form(ra, dec):
    place = SkyCoord(ra, dec, unit="deg")
    for text in (
        f"{ra!r},{dec!r}",
        f" {ra:.9f} {dec:+.9f} ",
        ",".join(place.to_string("hmsdms", sep=":", precision=6).split()),
        place.to_string("hmsdms", sep=":", precision=6),
        ",".join(place.to_string("hmsdms", precision=6).split()),
    ):
        found = parse_position(text)
        assert found is not None, text
        assert SkyCoord(*found, unit="deg").separation(place).arcsec < 0.001


@pytest.mark.parametrize("text", ["", "abc", "NGC 1300", "8000-1-2", "stamp.fits", "1,2,3", "a,b", "150.1", "12:30"])
def test_other_texts_are_no_positions(text):
    assert parse_position(text) is None


@pytest.mark.parametrize("text", ["400,0", "10,91", "10,-90.1", "10:99:00,+10:00:00"])
def test_positions_out_of_range_are_an_error(text):
    with pytest.raises(QueryError, match="position"):
        parse_position(text)


def test_an_id_or_a_position_is_a_row(release, sky):
    names, places = sky
    assert resolve_prompt(release, names[1]).row == 50
    near = places[2].directional_offset_by(30, 2.5 / 3600 * 1.0 * places.ra.unit)
    assert resolve_prompt(release, f"{near.ra.deg},{near.dec.deg}").row == 90
    prompt = resolve_prompt(release, near.to_string("hmsdms", sep=":").replace(" ", ","))
    assert prompt.row == 90
    assert np.array_equal(prompt.vector, release.take([90])[0])
    assert prompt.encoder_checksum == release.encoder_checksum


@pytest.mark.parametrize("text", ["", "nosuch", "150.1,-80", "/nosuch/stamp.fits", "10,95"])
def test_what_is_not_there_is_one_clear_error(release, text):
    with pytest.raises(QueryError) as problem:
        resolve_prompt(release, text)
    assert "\n" not in str(problem.value)


def test_a_stamp_file_is_embedded(release, tmp_path):
    stamp = release.stamp(60)
    header = fits.Header({"BANDS": "grz"})
    fits.PrimaryHDU(stamp.pixels, header).writeto(tmp_path / "mine.fits")
    prompt = resolve_prompt(release, str(tmp_path / "mine.fits"))
    assert prompt.row is None
    assert prompt.vector @ release.take([60])[0] == pytest.approx(1, abs=1e-3)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(DiscoveryError):
        resolve_prompt(release, str(tmp_path / "broken.jpg"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "fits", "vot", "parquet"])
def test_a_table_of_ids_or_of_positions(release, sky, tmp_path, suffix):
    names, places = sky
    for columns in ({"object_id": names}, {"RA": places.ra.deg, "Dec": places.dec.deg, "grade": ["A", "B", "C"]}):
        path = tmp_path / f"{len(columns)}.{suffix}"
        table = Table(columns)
        if suffix == "tsv":
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter="\t").writerows([table.colnames, *table.as_array().tolist()])
        else:
            table.write(path, format={"csv": "ascii.csv", "vot": "votable"}.get(suffix, suffix))
        assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]


def test_sexagesimal_positions_in_a_table(release, sky, tmp_path):
    _, places = sky
    lines = [place.to_string("hmsdms", sep=":", precision=3).split() for place in places]
    path = tmp_path / "p.csv"
    path.write_text("ra,dec\n" + "".join(f"{ra},{dec}\n" for ra, dec in lines))
    assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("object_id\n", "no rows"),
        ("name,colour\nx,red\n", r"Line 1 of p\.csv \('x'\) is no object"),
        ("colour\nred\n", "neither"),
        ("ra,dec\n150.1,-80\n", "Line 1"),
        ("ra,dec\n150.1,x\n", "no position"),
    ],
)
def test_a_bad_table_is_one_clear_error(release, tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(QueryError, match=message):
        read_prompt_table(release, tmp_path / "p.csv")


def test_what_is_no_table_is_one_clear_error(release, tmp_path):
    for name in ("p.fits", "p.vot", "p.parquet", "p.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfenot a table\x00")
        with pytest.raises(QueryError, match=r"p\."):
            read_prompt_table(release, tmp_path / name)
    with pytest.raises(QueryError, match=r"nosuch\.csv"):
        read_prompt_table(release, tmp_path / "nosuch.csv")


@pytest.mark.parametrize("separator", [";", "|"])
def test_a_table_may_be_separated_as_survey_tables_are(release, sky, tmp_path, separator):
    names, places = sky
    path = tmp_path / "p.csv"
    rows = zip(names, places.ra.deg, places.dec.deg, strict=True)
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("object_id", "ra", "dec"), *rows]))
    assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]


def test_the_column_of_ids_is_the_one_whose_values_are_ours(release, sky, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("objid,name\n" + "".join(f"{number},{name}\n" for number, name in enumerate(sky[0], 10**9)))
    assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]


def test_an_id_that_names_an_object_elsewhere_is_an_error_of_that_line(release, sky, tmp_path):
    names, places = sky
    rows = list(zip(names, places.ra.deg, places.dec.deg, strict=True))
    path = tmp_path / "lenses.csv"
    path.write_text("id,ra,dec\n" + "".join(f"{name},{ra},{dec}\n" for name, ra, dec in rows))
    assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]
    path.write_text("id,ra,dec\n" + f"{names[0]},{rows[0][1]},{rows[0][2]}\n{names[1]},{rows[2][1]},{rows[2][2]}\n")
    with pytest.raises(QueryError, match=r"Line 2 of lenses.csv: id .* elsewhere than ra") as problem:
        read_prompt_table(release, path)
    assert not isinstance(problem.value, ObjectNotFound)
    path.write_text("id,objid,ra,dec\n" + "".join(f"{names[1]},{name},{ra},{dec}\n" for name, ra, dec in rows))
    assert [prompt.row for prompt in read_prompt_table(release, path)] == [20, 50, 90]


@pytest.mark.parametrize(("unit", "factor"), [("rad", np.pi / 180), ("deg", 1.0)])
def test_positions_of_a_prompt_table_are_in_the_unit_that_it_states(release, sky, tmp_path, unit, factor):
    table = Table({"coord_ra": sky[1].ra.deg * factor, "coord_dec": sky[1].dec.deg * factor}, units={"coord_ra": unit, "coord_dec": unit})
    table.write(tmp_path / "p.fits")
    assert [prompt.row for prompt in read_prompt_table(release, tmp_path / "p.fits")] == [20, 50, 90]


def test_a_table_is_a_prompt_like_an_id_or_a_file(release, sky, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("object_id\n" + "\n".join(sky[0][:2]))
    assert [prompt.row for prompt in resolve_prompts(release, [str(path), sky[0][2]])] == [20, 50, 90]
    with pytest.raises(QueryError, match="2 examples"):
        resolve_prompt(release, str(path))
    with pytest.raises(ObjectNotFound, match="upload"):
        resolve_prompts(release, [str(path)], files=False)


def test_only_what_is_not_there_counts_as_not_found(release_folder, sky, tmp_path, monkeypatch):
    from discovery.release.release import open_release

    slow = open_release(release_folder)
    monkeypatch.setattr(slow.catalogue, "_value", _times_out)
    (tmp_path / "p.csv").write_text("object_id,ra,dec\n" + f"{sky[0][0]},150,2\n")
    for ask in (lambda: resolve_prompt(slow, "nosuch"), lambda: read_prompt_table(slow, tmp_path / "p.csv")):
        with pytest.raises(QueryError, match="too long") as problem:
            ask()
        assert not isinstance(problem.value, ObjectNotFound)


def _times_out(*_, **__):
    raise QueryError("The condition took too long.")
