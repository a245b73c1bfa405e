"""``discovery train finetune classes``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.commands.options import Json
from training.evaluation.tables import aligned
from training.finetuning.classes.config import ClassesConfig


def classes(survey: str, *, config: ClassesConfig, json_output: Json = False) -> None:
    """Train a classifier on an encoder, with a few stamps a class or all; measure it; apply it to a survey.

    Run the same command again to go on with a stopped full training, or with --predict to apply what is there.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes; 'PATH@COLUMN>=0.5' makes the classes no and yes of a number.
    """
    from training.data.stamps import check_sources

    check_sources([survey], config.cache)
    from training.finetuning.classes.run import finetune_classes

    result = finetune_classes(survey, config)
    print(json.dumps(result) if json_output else _text(result, config.out))


def _text(result: dict[str, Any], out: Path) -> str:
    figures = "  ".join(f"{name} {result[name]:.3f}" for name in ("accuracy", "precision", "recall", "f1"))
    head = f"{out}: trained on {sum(result['trained_on'].values())} stamps, {result['held_out']} held out\n{figures}"
    written = f"\n\npredictions in {result['predictions']}" if "predictions" in result else ""
    return "\n".join([head, "", *aligned(result["by_class"])]) + written
