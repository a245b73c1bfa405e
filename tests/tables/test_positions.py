"""Positions in tables of every kind: names, units and UCDs, at the doors index and known."""

import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table
from PIL import Image

from discovery.errors import SurveyError
from discovery.readers import open_survey
from discovery.search.known_files import read_known
from discovery.tables.columns import unit_of
from discovery.tables.positions import position_columns, positions_deg, sexagesimal_value
from discovery.tables.reader import read_table

RA, DEC = np.array([150.1, 150.2, 150.3]), np.array([2.0, -0.5, 2.0])


def stamps(folder):
    for name in ("1", "2", "3"):
        Image.fromarray(np.random.default_rng(int(name)).integers(1, 200, (64, 64, 3)).astype(np.uint8)).save(folder / f"{name}.png")


def at_both_doors(folder, path):
    """Return the positions that index and known take from a table beside pictures."""
    stamps(folder)
    survey = open_survey(folder)
    known, came = read_known(path), survey.table()
    read = survey.read(0, 3)
    assert [stamp.ra_deg for stamp in read] == pytest.approx(came["ra"].to_pylist())
    assert known.ra_deg.tolist() == pytest.approx(came["ra"].to_pylist())
    assert known.dec_deg.tolist() == pytest.approx(came["dec"].to_pylist())
    return np.array([came["ra"].to_pylist(), came["dec"].to_pylist()])


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("ra", "dec"), ("RA", "DEC"), ("RAJ2000", "DEJ2000"), ("_RAJ2000", "_DEJ2000"), ("RA_ICRS", "DE_ICRS"), ("RAdeg", "DEdeg"),
        ("right_ascension", "declination"), ("ALPHA_J2000", "DELTA_J2000"), ("RA [deg]", "Dec [deg]"), ("RA (deg)", "Dec (J2000)"),
        ("TARGET_RA", "TARGET_DEC"), ("coord_ra", "coord_dec"),
    ],
)  # fmt: skip
def test_usual_names_are_positions_at_every_door(tmp_path, ra, dec):
    lines = "".join(f"{n},{one},{two}\n" for n, one, two in zip((1, 2, 3), RA, DEC, strict=True))
    (tmp_path / "t.csv").write_text(f"id,{ra},{dec}\n{lines}")
    assert at_both_doors(tmp_path, tmp_path / "t.csv") == pytest.approx(np.array([RA, DEC]))


def test_sexagesimal_texts_are_positions_at_every_door(tmp_path):
    (tmp_path / "t.csv").write_text("id,RAJ2000,DECJ2000\n1,10:00:24.0,+02:00:00\n2,10h00m48s,-00d30m00s\n3,10 01 12,+02 00 00\n")
    assert at_both_doors(tmp_path, tmp_path / "t.csv") == pytest.approx(np.array([RA, DEC]))


@pytest.mark.parametrize("suffix", ["fits", "vot", "parquet", "ecsv"])
@pytest.mark.parametrize(("unit", "ra_factor", "dec_factor"), [("rad", np.pi / 180, np.pi / 180), ("deg", 1, 1), ("h", 1 / 15, 1)])
def test_units_that_a_file_states_hold_at_every_door(tmp_path, suffix, unit, ra_factor, dec_factor):
    table = Table({"id": ["1", "2", "3"], "ra": RA * ra_factor, "dec": DEC * dec_factor})
    table["ra"].unit, table["dec"].unit = unit, "deg" if unit == "h" else unit
    path = tmp_path / f"t.{suffix}"
    table.write(path, format={"fits": "fits", "vot": "votable", "parquet": "parquet", "ecsv": "ascii.ecsv"}[suffix])
    assert at_both_doors(tmp_path, path) == pytest.approx(np.array([RA, DEC]))


@pytest.mark.parametrize(("ra", "factor"), [("RA [rad]", np.pi / 180), ("RA (hours)", 1 / 15), ("ra_rad", np.pi / 180), ("ra_hours", 1 / 15)])
def test_a_unit_in_the_name_counts(ra, factor):
    dec, dec_factor = ("Dec [rad]", np.pi / 180) if "rad" in ra else ("dec_deg", 1.0)
    table = pa.table({ra: RA * factor, dec: DEC * dec_factor})
    assert positions_deg(table, position_columns(table)) == pytest.approx(np.stack([RA, DEC], axis=-1))


def test_a_unit_that_is_no_angle_is_named(tmp_path):
    table = Table({"id": ["1", "2", "3"], "ra": RA, "dec": DEC}, units={"ra": "pix"})
    table.write(tmp_path / "t.fits")
    with pytest.raises(SurveyError, match="ra is stated in pix"):
        position_columns(read_table(tmp_path / "t.fits"))


def test_coord_ra_that_may_be_radians_is_refused():
    with pytest.raises(SurveyError, match="may be radians or degrees"):
        position_columns(pa.table({"coord_ra": np.radians(RA), "coord_dec": np.radians(DEC)}))


def test_the_main_ucds_come_before_names_and_old_equinoxes_do_not_count(tmp_path):
    fields = (
        ("RAB1950", "pos.eq.ra;meta.main"), ("DEB1950", "pos.eq.dec;meta.main"), ("ra", "pos.eq.ra"), ("dec", "pos.eq.dec"),
        ("alpha", "pos.eq.ra;meta.main"), ("delta", "pos.eq.dec;meta.main"),
    )  # fmt: skip
    rows = "".join(f"<TR><TD>149</TD><TD>1</TD><TD>0</TD><TD>0</TD><TD>{one}</TD><TD>{two}</TD></TR>" for one, two in zip(RA, DEC, strict=True))
    named = "".join(f'<FIELD ID="c{n}" name="{name}" ucd="{ucd}" datatype="double" unit="deg"/>' for n, (name, ucd) in enumerate(fields))
    (tmp_path / "t.vot").write_text(
        f'<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>{named}<DATA><TABLEDATA>'
        f"{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    table = read_table(tmp_path / "t.vot")
    assert table.column_names == [name for name, _ in fields]
    assert positions_deg(table, position_columns(table)) == pytest.approx(np.stack([RA, DEC], axis=-1))


@pytest.mark.parametrize(
    ("text", "value"),
    [("10:00:24", 10 + 24 / 3600), ("-00:30:00", -0.5), ("−00 30 00", -0.5), ("+02d12m", 2.2), ("10:61:00", None), ("10", None), ("", None), ("a:b:c", None)],
)
def test_sexagesimal_values(text, value):
    assert sexagesimal_value(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(("names", "unit", "factor"), [(("RA", "DEC"), "", 1.0), (("ra", "dec"), "rad", np.pi / 180), (("coord_ra", "coord_dec"), "", 1.0)])
def test_positions_of_hdf5_have_the_usual_names_and_the_unit_of_their_attributes(tmp_path, names, unit, factor):
    pixels = np.random.default_rng(0).normal(0.1, 0.05, (3, 3, 64, 64)).astype(np.float32)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["images"], file["inds"], file["flux_r"] = pixels, np.arange(3), np.ones(3)
        file["flux_r"].attrs["unit"] = "nJy"
        for name, values in zip(names, (RA, DEC), strict=True):
            file[name] = values * factor
            if unit:
                file[name].attrs["units"] = unit
    survey = open_survey(tmp_path / "s.h5")
    table = survey.table()
    assert table["ra"].to_pylist() == pytest.approx(RA.tolist())
    assert table["dec"].to_pylist() == pytest.approx(DEC.tolist())
    assert [stamp.ra_deg for stamp in survey.read(0, 3)] == pytest.approx(RA.tolist())
    assert unit_of(table, "flux_r") == unit_of(survey.table(0, 0), "flux_r") == "nJy"
    assert unit_of(open_survey([tmp_path / "s.h5", *_one_picture(tmp_path)]).table(), "flux_r") == "nJy"


def test_texts_of_hdf5_are_positions(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["image"] = np.random.default_rng(0).normal(0.1, 0.05, (4, 3, 64, 64)).astype(np.float32)
        file["ra"] = np.array(["150.1", "150.2", "10:01:12", "x"], dtype=h5py.string_dtype())
        file["dec"] = np.array(["2.0", "2.0", "+02:00:00", "2.0"], dtype=h5py.string_dtype())
    survey = open_survey(tmp_path / "s.h5")
    assert survey.table()["ra"].to_pylist() == [pytest.approx(150.1), pytest.approx(150.2), pytest.approx(150.3), None]
    assert [stamp.dec_deg for stamp in survey.read(0, 4)] == [2.0, 2.0, 2.0, None]


def _one_picture(folder):
    path = folder / "more" / "p.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(9).integers(1, 200, (64, 64, 3)).astype(np.uint8)).save(path)
    return [path]
