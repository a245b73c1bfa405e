"""The verbs of ``discovery train evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from discovery.encoder import load_encoder
from training.data import load_stamps
from training.evaluate import evaluate as measure

Json = Annotated[bool, Parameter(name="--json", negative="")]

app = App(name="evaluate", help="Measure an encoder, with baselines.")


@app.default
def evaluate(
    survey: str,
    *,
    encoder: str = "default",
    cache: Path = Path("runs/stamps"),
    limit: int | None = None,
    seed: int = 0,
    json_output: Json = False,
) -> None:
    """Print the k-nearest-neighbour accuracy of an encoder on held-out stamps beside three baselines.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of labels.
    encoder
        As in discovery index --encoder.
    limit
        At most this many stamps of the training and of the held-out part.
    json_output
        Print one JSON document instead of text.
    """
    result = measure(load_encoder(encoder), load_stamps(survey, cache), limit=limit, seed=seed)
    if json_output:
        print(json.dumps(result))
        return
    print(f"{result['survey']}: {result['train']} neighbours to choose from, {result['held_out']} held out, k = {result['k']}")
    for name, value in result["knn"].items():
        print(f"{name:24s} {value:.4f}")
