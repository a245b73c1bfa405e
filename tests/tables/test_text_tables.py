"""Text tables as archives and people write them: heads, ids that stay exact, our own csv read back."""

import pyarrow as pa
import pytest

from discovery.tables.reader import read_table
from discovery.tables.writer import write_table

NOTE = "# diameters are in arcmin\nobjname,ra,dec,diam\nA,150.1,2.0,1.2\nB,150.2,2.0,1.3\n"
SKYSERVER = "#Table1\nobjid,ra,dec\n1237648720693755918,150.1,2.0\n1237648720693755919,150.2,2.0\n"
HASH = "# object_id,ra,dec\n1,150.1,2.0\n2,150.2,2.0\n"
VIZIER = (
    "#RESOURCE=yCat\n#Name: J/XX/1\n#Column\t_RAJ2000\t(F9.5)\tRight ascension\n\n_RAJ2000\t_DEJ2000\tName\ndeg\tdeg\t \n"
    "---------\t---------\t----\n150.10000\t+02.00000\tA\n150.20000\t+02.00000\tB\n\n#END\n"
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (NOTE, ["objname", "ra", "dec", "diam"]),
        (SKYSERVER, ["objid", "ra", "dec"]),
        (HASH, ["object_id", "ra", "dec"]),
        (VIZIER, ["_RAJ2000", "_DEJ2000", "Name"]),
        ('\n# a note\n\n"object\nid",ra,dec\n1,150.1,2\n2,150.2,2\n', ["object\nid", "ra", "dec"]),
        ("\ufeff" + NOTE, ["objname", "ra", "dec", "diam"]),
    ],
)
def test_comments_before_the_header_are_left_out(tmp_path, text, names):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    table = read_table(tmp_path / "t.csv")
    assert table.column_names == names
    ra = next(name for name in names if "ra" in name.lower())
    assert [float(value) for value in table[ra].to_pylist()] == [150.1, 150.2]


def test_a_comment_of_usual_names_is_the_header_of_texts(tmp_path):
    (tmp_path / "t.csv").write_text("#object_id,kind\na,ring\nb,disk\n")
    assert read_table(tmp_path / "t.csv").to_pylist() == [{"object_id": "a", "kind": "ring"}, {"object_id": "b", "kind": "disk"}]
    (tmp_path / "t.csv").write_text("name\na\n-\n")
    assert read_table(tmp_path / "t.csv")["name"].to_pylist() == ["a", "-"]


def test_ids_beyond_signed_64_bits_stay_exact(tmp_path):
    ids = [299489677444933632, 8214684398401859584, 12411021098310914048, 14400000000000000123]
    (tmp_path / "t.csv").write_text("n,spec,far,half,wide\n" + "".join(f"{n},{one},{one}0,{n}.5,{10.0**n * 1e20}\n" for n, one in enumerate(ids)))
    table = read_table(tmp_path / "t.csv")
    assert table["spec"].type == pa.uint64()
    assert table["spec"].to_pylist() == ids
    assert table["far"].to_pylist() == [f"{one}0" for one in ids]
    assert pa.types.is_floating(table["half"].type)
    assert pa.types.is_floating(table["wide"].type)


def test_ids_that_miss_or_are_negative_stay_exact(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n14400000000000000123,-1\n,14400000000000000123\n")
    table = read_table(tmp_path / "t.csv")
    assert table["a"].to_pylist() == [14400000000000000123, None]
    assert table["b"].to_pylist() == ["-1", "14400000000000000123"]


def test_leading_zeros_stay(tmp_path):
    (tmp_path / "t.csv").write_text("stamp,count,zero\n000012,12,0\n100015,13,0\n")
    table = read_table(tmp_path / "t.csv")
    assert table["stamp"].to_pylist() == ["000012", "100015"]
    assert table["count"].to_pylist() == [12, 13]
    assert table["zero"].to_pylist() == [0, 0]


def test_a_csv_of_ours_is_read_back_as_it_was(tmp_path):
    ids = ["-J0012-05", "+J0012+05", "@field7", "=1+1", "plain", "O'Neill"]
    written = write_table(pa.table({"object_id": ids, "n": [-1, 2, 3, 4, 5, 6]}), tmp_path / "hits.csv")
    assert "'@field7" in written.read_text()
    assert read_table(written)["object_id"].to_pylist() == ids
