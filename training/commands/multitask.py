"""``discovery train multitask``."""

from __future__ import annotations

import json

from training.commands.options import Json
from training.finetuning.multitask.config import MultitaskRunConfig


def multitask(survey: str, *, config: MultitaskRunConfig, json_output: Json = False) -> None:
    """Finetune an LVM on classification, restoration and reconstruction; run it again to go on where it stopped.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of class labels.
    """
    from training.data.stamps import check_sources

    check_sources([survey], config.cache)
    from training.finetuning.multitask.report import table
    from training.finetuning.multitask.run import finetune_multitask

    tables = finetune_multitask(survey, config)
    print(json.dumps(tables) if json_output else table(config.strategy, tables["test"], tables["patches"]))
