"""``discovery demo``: from nothing to a served release of simulated galaxies."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.errors import ConfigError

RELEASE_NAME = "demo"
RECORD_FILE = "demo.json"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Options of ``discovery demo``.

    Attributes
    ----------
    dir
        Folder for the survey, the release, the hunts and discovery.toml.
    galaxies
        Objects of the simulated survey.
    seed
        Seed of the simulated survey.
    serve
        Serve the result; otherwise print the release's folder as the last line and end.
    port
        Port to listen on; 0 takes any free one.
    json_output
        Print one JSON document instead of the folder; only together with --no-serve.
    """

    dir: Path = Path("demo-survey")
    galaxies: int = 4000
    seed: int = 0
    serve: bool = True
    port: int = 8000
    json_output: Annotated[bool, Parameter(name="--json", negative="")] = False


def demo(*, options: DemoOptions = DemoOptions()) -> None:
    """Simulate a survey, index it with the encoder that ships and serve it on 127.0.0.1.

    A second start reuses what is there; another encoder than last time makes the release anew.
    """
    if options.serve and options.json_output:
        raise ConfigError("--json needs --no-serve: a served demo runs until it is interrupted.")
    root = options.dir.absolute()
    _simulate(root, options.galaxies, options.seed)
    release = _index(root)
    config = root / "discovery.toml"
    if not config.exists():
        config.write_text('[serve]\nreleases = ["releases"]\nhunts = "hunts"\nsurvey_roots = ["survey"]\n')
    if options.serve:
        importlib.import_module("web.cli").app(["--config", str(config), "--port", str(options.port)])
    elif options.json_output:
        print(json.dumps({"release": str(release), "galaxies": options.galaxies, "seed": options.seed, "folder": str(root)}))
    else:
        print(release)


def _simulate(root: Path, galaxies: int, seed: int) -> None:
    record, wanted = root / RECORD_FILE, {"galaxies": galaxies, "seed": seed}
    if record.exists():
        made = json.loads(record.read_text())
        if made != wanted:
            raise ConfigError(
                f"{root} holds a demo of {made['galaxies']} galaxies with seed {made['seed']}, not of {galaxies} with seed {seed}; "
                "give those numbers, or another --dir."
            )
        return
    from discovery.simulation import SurveyPlan, write_survey

    partial = root / "survey.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_survey(partial, SurveyPlan(galaxies=galaxies, seed=seed))
    survey = root / "survey"
    shutil.rmtree(survey, ignore_errors=True)
    partial.rename(survey)
    record.write_text(json.dumps(wanted))


def _index(root: Path) -> Path:
    """Make the release, or keep the one there when the shipped encoder made it."""
    from discovery.release.manifest_file import read_manifest

    release = root / "releases" / RELEASE_NAME
    if release.exists():
        card = json.loads((importlib.resources.files("discovery") / "weights" / "encoder.json").read_text())
        if read_manifest(release).image.encoder.checksum == card["checksum"]:
            return release
        print("The encoder has changed: making the release anew.", file=sys.stderr)
    from discovery.encoders.encoder import load_encoder

    index_survey = importlib.import_module("index.cli").index_survey
    return index_survey([root / "survey"], name=RELEASE_NAME, encoder=load_encoder(), out=root / "releases", rebuild=True)
