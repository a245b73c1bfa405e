"""Settings: four layers, and every mistake is one clear error."""

from pathlib import Path

import pytest

from discovery.errors import ConfigError
from web.settings import load_config
from web.workspace.known_tables import KnownTables


def written(folder: Path, text: str) -> Path:
    file = folder / "discovery.toml"
    file.write_text(text)
    return file


def test_each_layer_goes_over_the_one_below(tmp_path):
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nport = 1\nwho = "toml"\nhunts = "kept"\n')
    environment = {"DISCOVERY_PORT": "2", "DISCOVERY_WHO": "environment"}
    config = load_config(file=file, environment=environment, who="command line")
    assert config.who == "command line"
    assert config.port == 2
    assert config.hunts == tmp_path / "kept"
    assert config.host == "127.0.0.1"


def test_paths_in_the_file_count_from_its_folder(tmp_path):
    file = written(tmp_path, '[serve]\nreleases = ["releases"]\nsurvey_roots = ["survey", "/elsewhere"]\n')
    config = load_config(file=file, environment={})
    assert config.releases == (tmp_path / "releases",)
    assert config.survey_roots == (tmp_path / "survey", Path("/elsewhere"))


def test_environment_lists(tmp_path):
    config = load_config(file=written(tmp_path, ""), environment={"DISCOVERY_RELEASES": "a:b", "DISCOVERY_TOKEN": "t"})
    assert config.releases == (Path("a"), Path("b"))
    assert config.token == "t"


def test_known_tables_count_from_the_files_folder_and_must_be_there(tmp_path):
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nknown = ["lenses.csv"]\nknown_radius_arcsec = 1.5\nahead = false\n')
    with pytest.raises(ConfigError, match=r"lenses\.csv does not exist"):
        load_config(file=file, environment={})
    (tmp_path / "lenses.csv").write_text("ra,dec\n1,2\n")
    config = load_config(file=file, environment={"DISCOVERY_AHEAD": "true"})
    assert config.known == (tmp_path / "lenses.csv",)
    assert (config.known_radius_arcsec, config.ahead) == (1.5, True)
    with pytest.raises(ConfigError, match="neither true nor false"):
        load_config(file=file, environment={"DISCOVERY_AHEAD": "perhaps"})


@pytest.mark.parametrize(("text", "radius", "said"), [("x,y\n1,2\n", 2.0, "ra and dec"), ("ra,dec\n1,2\n", 0.0, "radius")])
def test_known_tables_that_cannot_be_used_stop_the_start(tmp_path, text, radius, said):
    table = tmp_path / "lenses.csv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=said):
        KnownTables([table], radius)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[serve]\nrelease = ["a"]', "release"),
        ("[server]\nport = 1", "server"),
        ('[serve]\nport = "eighty"', "port"),
        ("[serve\n", "correct"),
    ],
)
def test_a_typo_in_the_file_is_an_error(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_config(file=written(tmp_path, text), environment={}, releases=["a"])


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file=tmp_path / "none.toml", environment={}, releases=["a"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", "127.0.0.2", "::1"])
def test_any_other_address_needs_a_token(tmp_path, host):
    file = written(tmp_path, '[serve]\nreleases = ["a"]')
    with pytest.raises(ConfigError, match="--token"):
        load_config(file=file, environment={}, host=host)
    assert load_config(file=file, environment={}, host=host, token="secret").host == host


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"releases": ()}, "no release"),
        ({"token": "  "}, "token is empty"),
        ({"port": 70000}, "port 70000"),
        ({"upload_megabytes": 0.0}, "upload_megabytes"),
    ],
)
def test_impossible_settings_are_errors(tmp_path, settings, said):
    with pytest.raises(ConfigError, match=said):
        load_config(file=written(tmp_path, ""), environment={}, **({"releases": ("a",)} | settings))


def test_a_port_in_the_environment_must_be_a_number(tmp_path):
    with pytest.raises(ConfigError, match="port"):
        load_config(file=written(tmp_path, ""), environment={"DISCOVERY_PORT": "x"}, releases=("a",))


def test_the_token_is_not_in_the_representation(tmp_path):
    config = load_config(file=written(tmp_path, ""), environment={}, releases=("a",), token="hush-hush")
    assert "hush-hush" not in repr(config)


def test_where_stamps_are_kept_and_how_much_is_computed_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nstamp_cache = "kept"\nstamp_cache_disk_megabytes = 5\nwork_at_once = 3\n')
    config = load_config(file=file, environment={})
    assert (config.stamp_cache, config.stamp_cache_disk_megabytes, config.work_at_once) == (tmp_path / "kept", 5.0, 3)
    config = load_config(file=written(tmp_path, '[serve]\nreleases = ["a"]\n'), environment={"DISCOVERY_WORK_AT_ONCE": "4"})
    assert (config.stamp_cache, config.work_at_once) == (tmp_path / "cache" / "galaxy-discovery" / "stamps", 4)
    for wrong in ({"work_at_once": 0}, {"stamp_cache_disk_megabytes": -1.0}):
        with pytest.raises(ConfigError, match="at least"):
            load_config(file=file, environment={}, **wrong)
