"""``discovery train finetune parameters``."""

from __future__ import annotations

import json
from pathlib import Path

from discovery.files.paths import check_paths_exist
from training.commands.options import Json
from training.finetuning.parameters.config import ParametersConfig


def parameters(survey: Path | None = None, *, config: ParametersConfig, json_output: Json = False) -> None:
    """Learn to estimate columns of a catalogue from stamps, and measure it beside baselines; or apply what was learned.

    The head sees the embedding and, where a pixel scale is known, the log crop side in arcsec and (for fluxes) asinh
    magnitudes in fixed apertures, which crop and stretch throw away. It gives a mean and a sigma for each target.

    Parameters
    ----------
    survey
        Survey or release to learn from. Without it, --predict applies the head in --out.
    """
    config.check(survey)
    check_paths_exist([path for path in (survey, config.predict) if path is not None])
    from training.finetuning.parameters.report import as_text
    from training.finetuning.parameters.task import finetune_parameters

    result = finetune_parameters(survey, config)
    if json_output:
        print(json.dumps(result))
        return
    if survey is not None:
        print(as_text(result))
    if config.predictions is not None:
        print(f"{config.predictions}: {result['predicted']['objects']} objects ({result['predicted']['damaged']} damaged)")
