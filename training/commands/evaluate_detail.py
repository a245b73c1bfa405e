"""``discovery train evaluate detail``."""

from __future__ import annotations

from dataclasses import replace

from discovery.errors import ConfigError
from training.commands.evaluate_options import finish, load
from training.evaluation.options import DetailOptions


def detail(encoder: str | None = None, /, *, options: DetailOptions = DetailOptions()) -> None:
    """How well bars, rings, mergers and lenses are found: from five examples, and by a linear model of all labels.

    Parameters
    ----------
    encoder
        As in discovery index --encoder; that of --encoder when not given.
    """
    options = replace(options, encoder=encoder or options.encoder)
    if unknown := [name for name in options.survey if not (options.data / name).is_dir()]:
        raise ConfigError(f"There is no survey {unknown[0]} in {options.data}; give the folder of the data with --data.")
    first = load(options)
    from discovery.encoders.encoder import load_encoder
    from training.evaluation.detail import detail as measure
    from training.evaluation.detail import surveys_of

    others = [load_encoder(source, device=options.device) for source in options.beside if source != options.encoder]
    surveys = surveys_of(options.data, options.cache, options.survey)
    named = [(loaded.card.name, loaded) for loaded in (first, *others)]
    result = measure(named, surveys, options.data, seeds=options.seeds, pixels=options.baselines)
    finish(result, options)
