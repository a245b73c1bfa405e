"""The verbs ``search`` and ``catalogue``, as the command line calls them."""

import json

import pytest
from astropy.table import Table
from cyclopts import App
from PIL import Image

from discovery.errors import QueryError
from discovery.search.catalogue_command import catalogue
from discovery.search.search_command import search


@pytest.fixture
def run(release_folder, capsys):
    """Return a function that runs a verb on the small release and returns what it printed."""
    app = App(result_action="return_value")
    app.command(search)
    app.command(catalogue)

    def call(verb, *arguments):
        app([verb, str(release_folder), *map(str, arguments)])
        return capsys.readouterr().out

    return call


@pytest.fixture
def names(release):
    return release.catalogue.select(columns=["object_id"])["object_id"].to_pylist()


def test_json_is_one_document_of_hits(run, names):
    hits = json.loads(run("search", "--like", names[0], "--like", names[1], "-k", 7, "--columns", "mag_r,ebv", "--json"))["hits"]
    assert len(hits) == 7
    assert list(hits[0]) == ["row", "object_id", "ra", "dec", "similarity", "mag_r", "ebv"]
    assert not {names[0], names[1]} & {hit["object_id"] for hit in hits}
    assert [hit["similarity"] for hit in hits] == sorted((hit["similarity"] for hit in hits), reverse=True)


def test_every_option_together(run, names, release, tmp_path):
    (tmp_path / "likes.csv").write_text("object_id\n" + "\n".join(names[2:5]))
    place = release.catalogue.rows([60], ["ra", "dec"]).to_pylist()[0]
    out = run(
        *("search", "--like", f"{place['ra']},{place['dec']}", "--like-table", tmp_path / "likes.csv"),
        *("--unlike", names[100], "-k", 5, "--where", "mag_r < 21", "--cone", "150.5,2,1.9deg", "--min-similarity", "-1"),
        *("--clean", "-o", tmp_path / "hits.fits", "--stamps", tmp_path / "stamps"),
    )
    table = Table.read(tmp_path / "hits.fits")
    assert len(table) == 5
    assert json.loads(table.meta["QUERY"])["where"] == "mag_r < 21"
    assert out.splitlines()[0].split() == ["row", "object_id", "ra", "dec", "similarity"]
    assert len(out.splitlines()) == 6
    pictures = sorted(path.name for path in (tmp_path / "stamps").iterdir())
    assert len(pictures) == 6
    assert "contact_sheet.png" in pictures
    with Image.open(tmp_path / "stamps" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 100


def test_positions_south_of_the_equator_are_values_not_options(run, names):
    with pytest.raises(QueryError, match="no object within"):
        run("search", "--like", "-10.5,-20", "--cone", "-1,-2,3")


def test_the_catalogue_lists_rows(run, release, tmp_path):
    matching = release.catalogue.number("mag_r < 19", flagged=False)
    document = json.loads(run("catalogue", "--where", "mag_r < 19", "--columns", "object_id,mag_r", "-k", 4, "--json"))
    assert document["matching"] == matching
    assert len(document["rows"]) == 4
    assert all(list(line) == ["object_id", "mag_r"] and line["mag_r"] < 19 for line in document["rows"])
    run("catalogue", "--where", "mag_r < 19", "-o", tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == matching + 1
    clean = int((release.clean & release.primary).sum())
    lines = run("catalogue").splitlines()
    assert lines[-2] == f"20 of {clean} objects"
    assert run("catalogue", "--include-flagged").splitlines()[-2] == "20 of 238 objects"
    assert lines[-1].startswith("columns: row, object_id")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "--like", "nosuch"), "nosuch"),
        (("search",), "at least one example"),
        (("search", "--like", "150,2", "-o", "x.txt"), r"x\.txt"),
        (("search", "--like", "150,2", "--columns", ","), "no column"),
        (("search", "-k", "0"), "at least 1"),
        (("catalogue", "-k", "0"), "at least 1"),
        (("catalogue", "--columns", "nosuch"), "nosuch"),
        (("catalogue", "--where", "1=1; DROP TABLE objects"), "one expression"),
    ],
)
def test_bad_options_are_one_clear_error(run, arguments, message):
    with pytest.raises(QueryError, match=message) as problem:
        run(*arguments)
    assert "\n" not in str(problem.value)
