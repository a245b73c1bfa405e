"""Settings: four layers, and every mistake is one clear error."""

import os
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from discovery.errors import ConfigError
from web.cli import app
from web.settings import WebConfig
from web.workspace.known_tables import KnownTables

WRONG = (ConfigError, CycloptsError)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Return a function from a file, words of the command line and variables to the settings; nothing else is read."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DISCOVERY_")]:
        monkeypatch.delenv(name)

    def read(file: Path | None, *words: object, **environment: str) -> WebConfig:
        given = [] if file is None else ["--config", file]
        with monkeypatch.context() as variables:
            for name, value in environment.items():
                variables.setenv(name, value)
            bound = app.parse_args([*map(str, [*words, *given])], exit_on_error=False, print_error=False)[1]
        return bound.arguments.get("settings") or WebConfig()

    return read


def written(folder: Path, text: str) -> Path:
    file = folder / "discovery.toml"
    file.write_text(text)
    return file


def test_each_layer_goes_over_the_one_below(tmp_path, settings):
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nport = 1\nwho = "toml"\nhunts = "kept"\n')
    config = settings(file, "--who", "command line", DISCOVERY_PORT="2", DISCOVERY_WHO="environment")
    assert config.who == "command line"
    assert config.port == 2
    assert config.hunts == tmp_path / "kept"
    assert config.host == "127.0.0.1"


def test_paths_in_the_file_count_from_its_folder(tmp_path, settings):
    file = written(tmp_path, '[serve]\nreleases = ["releases"]\nsurvey_roots = ["survey", "/elsewhere"]\n')
    config = settings(file)
    assert config.releases == (tmp_path / "releases",)
    assert config.survey_roots == (tmp_path / "survey", Path("/elsewhere"))


def test_environment_lists(tmp_path, settings):
    variables = {"DISCOVERY_RELEASES": "a:b", "DISCOVERY_SURVEY_ROOTS": "c:d", "DISCOVERY_ALLOWED_HOSTS": "One.org:two.org", "DISCOVERY_TOKEN": "t"}
    config = settings(written(tmp_path, ""), **variables)
    assert config.releases == (Path("a"), Path("b")) and config.survey_roots == (Path("c"), Path("d"))
    assert config.allowed_hosts == ("one.org", "two.org")
    assert config.token == "t"


def test_an_empty_variable_counts_as_not_given(tmp_path, settings):
    config = settings(written(tmp_path, "[serve]\nport = 3\n"), "a", DISCOVERY_PORT="", DISCOVERY_TOKEN="", DISCOVERY_HUNTS="")
    assert (config.port, config.token, config.hunts) == (3, None, Path("hunts"))


def test_options_keep_their_names(tmp_path, settings):
    (tmp_path / "known.csv").write_text("ra,dec\n1,2\n")
    words = "a b --survey-root c --survey-root d --allowed-host e --known known.csv --known-radius 3 --work-at-once 4 --stamp-cache f"
    config = settings(None, *words.split())
    assert config.releases == (Path("a"), Path("b")) and config.survey_roots == (Path("c"), Path("d"))
    assert config.allowed_hosts == ("e",) and config.known == (Path("known.csv"),)
    assert (config.known_radius_arcsec, config.work_at_once, config.stamp_cache) == (3.0, 4, Path("f"))


def test_discovery_toml_of_the_working_folder_is_read(tmp_path, settings):
    written(tmp_path, '[serve]\nreleases = ["a"]\nport = 9\n')
    assert settings(None).port == 9


def test_known_tables_count_from_the_files_folder_and_must_be_there(tmp_path, settings):
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nknown = ["lenses.csv"]\nknown_radius_arcsec = 1.5\nahead = false\n')
    with pytest.raises(ConfigError, match=r"lenses\.csv does not exist"):
        settings(file)
    (tmp_path / "lenses.csv").write_text("ra,dec\n1,2\n")
    config = settings(file, DISCOVERY_AHEAD="true")
    assert config.known == (tmp_path / "lenses.csv",)
    assert (config.known_radius_arcsec, config.ahead) == (1.5, True)
    with pytest.raises(WRONG, match=r"DISCOVERY_AHEAD.*perhaps"):
        settings(file, DISCOVERY_AHEAD="perhaps")


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
def test_a_typo_in_the_file_is_an_error(tmp_path, settings, text, said):
    with pytest.raises(WRONG, match=said):
        settings(written(tmp_path, text), "a")


def test_a_missing_file_is_an_error(tmp_path, settings):
    with pytest.raises(ConfigError, match="cannot be read"):
        settings(tmp_path / "none.toml", "a")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", "127.0.0.2", "::1"])
def test_any_other_address_needs_a_token(tmp_path, settings, host):
    file = written(tmp_path, '[serve]\nreleases = ["a"]')
    with pytest.raises(ConfigError, match="--token"):
        settings(file, "--host", host)
    assert settings(file, "--host", host, "--token", "secret").host == host


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no release"),
        (["a", "--token", "  "], "token is empty"),
        (["a", "--port", 70000], "port 70000"),
        (["a", "--upload-megabytes", 0], "upload_megabytes"),
    ],
)
def test_impossible_settings_are_errors(tmp_path, settings, words, said):
    with pytest.raises(ConfigError, match=said):
        settings(written(tmp_path, ""), *words)


def test_a_port_in_the_environment_must_be_a_number(tmp_path, settings):
    with pytest.raises(WRONG, match="DISCOVERY_PORT"):
        settings(written(tmp_path, ""), "a", DISCOVERY_PORT="x")


def test_the_token_is_not_in_the_representation(tmp_path, settings):
    config = settings(written(tmp_path, ""), "a", "--token", "hush-hush")
    assert "hush-hush" not in repr(config)


def test_where_stamps_are_kept_and_how_much_is_computed_at_once(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = written(tmp_path, '[serve]\nreleases = ["a"]\nstamp_cache = "kept"\nstamp_cache_disk_megabytes = 5\nwork_at_once = 3\n')
    config = settings(file)
    assert (config.stamp_cache, config.stamp_cache_disk_megabytes, config.work_at_once) == (tmp_path / "kept", 5.0, 3)
    config = settings(written(tmp_path, '[serve]\nreleases = ["a"]\n'), DISCOVERY_WORK_AT_ONCE="4")
    assert (config.stamp_cache, config.work_at_once) == (tmp_path / "cache" / "galaxy-discovery" / "stamps", 4)
    for wrong in (["--work-at-once", 0], ["--stamp-cache-disk-megabytes=-1.0"]):
        with pytest.raises(ConfigError, match="at least"):
            settings(file, *wrong)
