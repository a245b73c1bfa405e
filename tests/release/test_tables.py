import csv
import datetime
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from discovery.errors import QueryError
from discovery.tables.writer import formula_safe, plain_rows, write_table

TABLE = pa.table(
    {
        "row": pa.array([0, 1, 2], pa.int64()),
        "object_id": ["a", "=1+1", "ü-3"],
        "ra": [150.0, -1.5, None],
        "dec": [2.0, float("nan"), float("inf")],
        "mag_r": pa.array([17.5, None, 18.0]),
        "similarity": pa.array([0.5, 0.25, 0.125], pa.float32()),
        "flag_star": [True, False, True],
        "maybe": [True, None, False],
        "_healpix_29": pa.array([3, None, 2**60], pa.int64()),
        "flux": pa.array([[1.0, 2.0, 3.0]] * 3, pa.list_(pa.float32(), 3)),
        "names": pa.array([["x"], [], None], pa.list_(pa.string())),
        "seen": pa.array([datetime.date(2026, 1, 2), None, None]),
    }
)


@pytest.mark.parametrize("suffix", ["fits", "vot", "parquet"])
def test_numbers_ids_units_and_ucds_survive(tmp_path, suffix):
    path = write_table(TABLE, tmp_path / f"t.{suffix}")
    if suffix == "parquet":
        found = pa.parquet.read_table(path)
        assert found.to_pydict().keys() == TABLE.to_pydict().keys()
        assert all(found[name].equals(TABLE[name]) for name in ("row", "object_id", "mag_r", "flux", "names", "seen"))
        assert found.schema.field("ra").metadata[b"unit"] == b"deg"
        assert found.schema.field("ra").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
        return
    found = Table.read(path, format="fits" if suffix == "fits" else "votable")
    assert found["object_id"].tolist() == ["a", "=1+1", "ü-3" if suffix == "vot" else "\\xfc-3"]
    assert found["row"].tolist() == [0, 1, 2]
    assert found["ra"].unit == "deg"
    assert found["mag_r"].unit == "mag"
    assert np.isclose(found["similarity"], [0.5, 0.25, 0.125]).all()
    assert np.asarray(found["flux"]).shape == (3, 3)
    assert found["_healpix_29"][2] == 2**60
    assert np.ma.is_masked(found["_healpix_29"][1])
    if suffix == "fits":
        header = fits.getheader(path, 1)
        assert header["TUCD3"] == "pos.eq.ra;meta.main"
        assert header["TCOMM10"].startswith("Nanomaggies")
    else:
        fields = {field.name: field for field in parse_single_table(path).fields}
        assert fields["ra"].ucd == "pos.eq.ra;meta.main"


def test_csv_has_empty_cells_for_what_is_missing(tmp_path):
    with write_table(TABLE, tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["object_id"] for line in lines] == ["a", "'=1+1", "ü-3"]
    assert [line["ra"] for line in lines] == ["150.0", "-1.5", ""]
    assert [line["dec"] for line in lines] == ["2.0", "", ""]
    assert lines[0]["flux"] == "[1.0, 2.0, 3.0]"
    assert lines[0]["seen"] == "2026-01-02"


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=8), cell=st.text(max_size=12))
@example(name="=cmd", cell="=1+1")
@example(name="@x", cell="  =1+1")
@example(name="x", cell="-2+3|'calc'!A0")
@example(name="x", cell="\t=1")
@example(name="x", cell="＝1+1")
def test_no_cell_can_start_a_formula(tmp_path, name, cell):
    table = pa.table({name.replace("\x00", "") or "x": [cell.replace("\x00", "")]})
    with write_table(table, tmp_path / "t.csv").open(newline="", encoding="utf-8", errors="surrogatepass") as file:
        for text in (text for line in csv.reader(file) for text in line):
            start = text.lstrip(" ")[:1]
            number = re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", text)
            assert number or start not in tuple("=+-@\t\r\n＝＋－＠")


def test_plain_numbers_stay_as_they_are():
    assert [formula_safe(text) for text in ("-12", "+3.5e4", "-a", "J1030-05", "")] == ["-12", "+3.5e4", "'-a", "J1030-05", ""]


def test_json_has_no_numbers_that_are_not_finite():
    lines = plain_rows(TABLE)
    assert lines[1]["dec"] is None
    assert lines[2]["dec"] is None
    assert all(math.isfinite(value) for line in lines for value in line.values() if isinstance(value, float))


def test_an_empty_table_can_be_written(tmp_path):
    for suffix in ("csv", "fits", "vot", "parquet"):
        assert write_table(TABLE.slice(0, 0), tmp_path / f"t.{suffix}").exists()


@pytest.mark.parametrize("name", ["t.txt", "t", "t.csv.gz"])
def test_another_suffix_is_an_error(tmp_path, name):
    with pytest.raises(QueryError, match=r"\.parquet"):
        write_table(TABLE, tmp_path / name)


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(QueryError, match="cannot be written"):
        write_table(TABLE, tmp_path / "nosuch" / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_unsigned_numbers_are_long_or_text_in_a_votable(tmp_path):
    ids = [14400000000000000123, 7]
    table = pa.table({"specobjid": pa.array(ids, pa.uint64()), "small": pa.array([2**62, None], pa.uint64())})
    read = Table.read(write_table(table, tmp_path / "h.vot"), format="votable")
    assert list(read["specobjid"]) == [str(one) for one in ids]
    assert read["small"][0] == 2**62
    assert read["small"].mask.tolist() == [False, True]
