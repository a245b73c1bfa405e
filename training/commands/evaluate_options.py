"""What every table of ``discovery train evaluate`` does first and last: load the encoder, publish the result."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.evaluation.options import EvaluationOptions
from training.evaluation.tables import publish

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder
    from training.data.stamps import Stamps


def load(options: EvaluationOptions, *sources: str) -> Encoder:
    """Return the encoder to measure, having set the threads; the surveys are looked for first."""
    from training.data.stamps import check_sources

    check_sources(sources, options.cache)
    from discovery.encoders.encoder import load_encoder
    from training.loop.processes import use_threads

    use_threads(options.threads)
    return load_encoder(options.encoder, device=options.device)


def load_with_stamps(options: EvaluationOptions, survey: str) -> tuple[Encoder, Stamps]:
    """Return the encoder to measure and the labelled stamps to measure it on."""
    encoder = load(options, survey)
    from training.data.labels import labelled_stamps

    return encoder, labelled_stamps(survey, options.cache)


def finish(result: dict[str, Any], options: EvaluationOptions, **more: Any) -> None:
    """Print a table, or write it, with the options that made it."""
    publish({**result, "options": as_record(options, **more)}, options.out, as_json=options.json_output)


def as_record(options: EvaluationOptions, **more: Any) -> dict[str, Any]:
    """Return the options that decide the figures, as JSON holds them."""
    chosen = {**more, **asdict(options)}
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in chosen.items()
        if name not in ("out", "plot", "json_output")
    }
