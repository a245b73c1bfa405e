"""FITS, VOTable and Parquet tables as archives write them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from astropy.io import fits

from discovery.readers.find_files import look
from discovery.search.known_files import read_known
from discovery.search.prompts import read_prompt_file
from discovery.tables.reader import read_table


def test_ascii_tables_of_fits(tmp_path):
    columns = [
        fits.Column("Name", "A8", array=["A", "B"], ascii=True),
        fits.Column("RAJ2000", "F12.6", array=[150.1, 150.2], ascii=True, unit="deg"),
        fits.Column("DEJ2000", "F12.6", array=[2.0, 2.0], ascii=True, unit="deg"),
        fits.Column("n", "I6", array=[1, 2], ascii=True),
    ]
    path = tmp_path / "vizier.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.TableHDU.from_columns(columns)]).writeto(path)
    assert read_table(path).to_pylist() == [
        {"Name": "A", "RAJ2000": 150.1, "DEJ2000": 2.0, "n": 1},
        {"Name": "B", "RAJ2000": 150.2, "DEJ2000": 2.0, "n": 2},
    ]
    assert read_prompt_file(path).num_rows == 2
    assert read_known(path).ra_deg.tolist() == [150.1, 150.2]
    assert not look([tmp_path], None).loose


def test_what_tnull_says_is_missing_is_null(tmp_path):
    columns = [fits.Column("n", "J", null=-99, array=np.array([5, -99])), fits.Column("x", "E", array=np.array([np.nan, 1.0]))]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "t.fits")
    assert read_table(tmp_path / "t.fits").to_pylist() == [{"n": 5, "x": None}, {"n": None, "x": 1.0}]


def test_half_floats_of_parquet_are_floats(tmp_path):
    halves = pa.array(np.array([0.5, 0.25], np.float16))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(4, dtype=np.float16)), 2)
    parquet.write_table(pa.table({"prob": halves, "pair": lists, "kind": pa.array(["a", "b"]).dictionary_encode()}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table["prob"].type == pa.float32()
    assert table.to_pylist() == [{"prob": 0.5, "pair": [0.0, 1.0], "kind": "a"}, {"prob": 0.25, "pair": [2.0, 3.0], "kind": "b"}]
