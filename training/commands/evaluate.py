"""The verbs of ``discovery train evaluate``: each makes one table, as text and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from discovery.errors import ConfigError
from training.commands.evaluate_options import as_record, finish, load, load_with_stamps
from training.evaluation.options import (
    AllTablesOptions,
    EvaluationOptions,
    FewShotOptions,
    FromExamplesOptions,
    InvarianceOptions,
    KnnOptions,
    ProbeOptions,
)
from training.evaluation.tables import text

if TYPE_CHECKING:
    from discovery.encoders.encoder import Encoder
    from training.data.stamps import Stamps

RUNS = {
    "multitask": "The three multitask tables of some runs, beside the paper's.",
    "patches": "Reconstruction by patch size.",
    "detection": "Average precision of some detection runs.",
}

app = App(
    name="evaluate", help="Measure an encoder on held-out stamps, with baselines; gather the tables of runs."
)
for _name, _help in RUNS.items():
    app.command(f"training.commands.evaluate_runs:{_name}", name=_name, help=_help)
app.command("training.commands.evaluate_detail:detail", name="detail", help="Bars, rings, mergers, lenses: from five examples, and with all labels.")


@app.command
def knn(survey: str, *, options: KnnOptions = KnnOptions()) -> None:
    """Accuracy of the k nearest neighbours.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    encoder, stamps = load_with_stamps(options, survey)
    from training.evaluation.neighbours import knn as measure

    result = measure(
        encoder, stamps, k=options.k, seeds=options.seeds, limit=options.limit, held_out=options.held_out, baselines=options.baselines
    )
    finish(result, options, survey=survey)


@app.command
def probe(survey: str, *, options: ProbeOptions = ProbeOptions()) -> None:
    """Accuracy of a linear probe: logistic regression on frozen embeddings.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    encoder, stamps = load_with_stamps(options, survey)
    from training.evaluation.probe import probe as measure

    result = measure(
        encoder, stamps, seeds=options.seeds, limit=options.limit, held_out=options.held_out, baselines=options.baselines
    )
    finish(result, options, survey=survey)


@app.command(name="few-shot")
def few_shot(survey: str, *, options: FewShotOptions = FewShotOptions()) -> None:
    """Accuracy by training stamps a class, for the encoder and for AlexNet, VGG16 and ResNet50.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    encoder, stamps = load_with_stamps(options, survey)
    from training.evaluation.few_shot import few_shot as measure
    from training.evaluation.plots import draw_few_shot

    result = measure(
        encoder,
        stamps,
        sizes=options.sizes,
        seeds=options.seeds,
        variants=options.variants,
        networks=options.networks,
        weights=options.weight_files(),
        held_out=options.held_out,
        whole=options.whole,
        device=encoder.device,
    )
    if options.plot is not None:
        draw_few_shot(result, options.plot)
    finish(result, options, survey=survey)


@app.command
def retrieval(survey: str, *, options: EvaluationOptions = EvaluationOptions()) -> None:
    """Recall@k and nDCG@10 by class, each held-out stamp being a query among the others.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    encoder, stamps = load_with_stamps(options, survey)
    from training.evaluation.retrieval import retrieval as measure

    result = measure(encoder, stamps, seeds=options.seeds, held_out=options.held_out, baselines=options.baselines)
    finish(result, options, survey=survey)


@app.command(name="from-examples")
def from_examples(*kinds: str, options: FromExamplesOptions = FromExamplesOptions()) -> None:
    """Average precision of the similarity to five examples, for rare kinds.

    Parameters
    ----------
    kinds
        'PATH@COLUMN>=NUMBER', one for each kind. Quote them: the shell takes > for itself.
    """
    _check_kinds(kinds)
    encoder = load(options, *kinds)
    from training.evaluation.retrieval import examples as measure

    tasks = _tasks(kinds, options.missing, options.cache)
    finish(measure(encoder, tasks, seeds=options.seeds, baselines=options.baselines), options, kinds=kinds)


@app.command
def invariance(survey: str, *, options: InvarianceOptions = InvarianceOptions()) -> None:
    """Mean cosine between a stamp and its turned or mirrored copy, beside that of different stamps.

    Parameters
    ----------
    survey
        Path of a survey.
    """
    encoder = load(options, survey)
    from training.data.stamps import load_stamps
    from training.evaluation.invariance import invariance as measure

    stamps = load_stamps(survey.partition("@")[0], options.cache)
    result = measure(encoder, stamps, seeds=options.seeds, count=options.stamps, baselines=options.baselines)
    finish(result, options, survey=survey)


@app.command(name="all")
def everything(survey: str, *, options: AllTablesOptions = AllTablesOptions()) -> None:
    """All tables that an encoder alone allows: knn, probe, few-shot on frozen vectors, retrieval, invariance.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    if options.kinds:
        _check_kinds(options.kinds)
    encoder, stamps = load_with_stamps(options, survey)
    from training.evaluation.retrieval import examples as measure_examples

    tasks = _tasks(options.kinds, options.missing, options.cache)
    tables = _tables(encoder, stamps, options)
    if tasks:
        tables["from_examples"] = measure_examples(encoder, tasks, baselines=options.baselines)
    result = {"options": as_record(options, survey=survey), **tables}
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if options.json_output else "\n\n".join(text(table) for table in tables.values()))


def _tables(encoder: Encoder, stamps: Stamps, options: AllTablesOptions) -> dict[str, Any]:
    """Return every table that needs no other survey, by its name."""
    from training.evaluation.few_shot import few_shot as measure_few_shot
    from training.evaluation.invariance import invariance as measure_invariance
    from training.evaluation.neighbours import knn as measure_knn
    from training.evaluation.probe import probe as measure_probe
    from training.evaluation.retrieval import retrieval as measure_retrieval
    from training.spaces import spaces

    vectors = spaces(encoder, stamps, baselines=options.baselines)
    shared: dict[str, Any] = {"seeds": options.seeds, "vectors": vectors}
    measured = {**shared, "held_out": options.held_out}
    return {
        "knn": measure_knn(encoder, stamps, limit=options.limit, **measured),
        "probe": measure_probe(encoder, stamps, limit=options.limit, **measured),
        "retrieval": measure_retrieval(encoder, stamps, **measured),
        "invariance": measure_invariance(encoder, stamps, **shared),
        "few_shot": measure_few_shot(
            encoder,
            stamps,
            sizes=options.sizes,
            variants=("linear", "mlp"),
            networks=(),
            **(measured | {"vectors": vectors[0]}),
        ),
    }


def _check_kinds(kinds: Sequence[str]) -> None:
    if not kinds:
        raise ConfigError("Name at least one kind, as 'PATH@COLUMN>=0.5' in quotes.")
    if plain := [kind for kind in kinds if ">=" not in kind]:
        raise ConfigError(
            f"{plain[0]} is no kind; write 'PATH@COLUMN>=NUMBER', in quotes since the shell takes > for itself."
        )


def _tasks(kinds: Sequence[str], missing: float | None, cache: Path) -> list[tuple[str, Stamps]]:
    """Return the labelled stamps of each kind."""
    from training.data.labels import labelled_stamps

    return [(kind.partition("@")[2], labelled_stamps(kind, cache, missing=missing)) for kind in kinds]
