"""The verbs of ``discovery train evaluate``: each makes one table, as text and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from discovery.errors import ConfigError
from training.commands.evaluate_options import THREE_DRAWS, TWENTY_DRAWS, Common, finish, options_of
from training.data.stamps import Stamps, load_stamps
from training.evaluation.few_shot import VARIANTS, WholeTraining
from training.evaluation.few_shot import few_shot as measure_few_shot
from training.evaluation.invariance import invariance as measure_invariance
from training.evaluation.labels import labelled_stamps
from training.evaluation.neighbours import NEIGHBOURS
from training.evaluation.neighbours import knn as measure_knn
from training.evaluation.networks import NETWORKS
from training.evaluation.plots import draw_few_shot
from training.evaluation.probe import probe as measure_probe
from training.evaluation.retrieval import examples as measure_examples
from training.evaluation.retrieval import retrieval as measure_retrieval
from training.evaluation.tables import text
from training.spaces import spaces

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


@app.command
def knn(survey: str, *, k: int = NEIGHBOURS, limit: int = 4000, common: Common = THREE_DRAWS) -> None:
    """Accuracy of the k nearest neighbours.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    k
        Neighbours that vote, by cosine.
    limit
        Stamps that a draw takes from the training part, at most four fifths of it.
    """
    encoder, stamps = common.load(), labelled_stamps(survey, common.cache)
    result = measure_knn(
        encoder,
        stamps,
        k=k,
        seeds=common.seeds,
        limit=limit,
        held_out=common.held_out,
        baselines=common.baselines,
    )
    finish(result, common, survey=survey, k=k, limit=limit)


@app.command
def probe(survey: str, *, limit: int = 4000, common: Common = THREE_DRAWS) -> None:
    """Accuracy of a linear probe: logistic regression on frozen embeddings.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    limit
        Stamps that a draw takes from the training part, at most four fifths of it.
    """
    encoder, stamps = common.load(), labelled_stamps(survey, common.cache)
    result = measure_probe(
        encoder, stamps, seeds=common.seeds, limit=limit, held_out=common.held_out, baselines=common.baselines
    )
    finish(result, common, survey=survey, limit=limit)


@app.command(name="few-shot")
def few_shot(
    survey: str,
    *,
    sizes: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (10, 20, 50, 100, 500),
    variants: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = tuple(VARIANTS),
    networks: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = tuple(NETWORKS),
    weights: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    whole_sizes: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (),
    whole_seeds: int = 3,
    network_seeds: int = 1,
    epochs: int = 30,
    least_steps: int = 300,
    batch: int = 32,
    image_size: int = 128,
    learning_rate: float = 3e-4,
    finetune_rate: float = 1e-4,
    plot: Path | None = None,
    common: Common = THREE_DRAWS,
) -> None:
    """Accuracy by training stamps a class, for the encoder and for AlexNet, VGG16 and ResNet50.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    sizes
        Stamps a class.
    variants
        What is made of the encoder: linear and mlp (a head on frozen vectors), full (the whole network finetuned),
        scratch (the same network without pretraining).
    networks
        alexnet, vgg16, resnet50, from scratch.
    weights
        NAME=FILE: a file of torchvision's weights for one of the networks, which is then also measured pretrained.
    whole_sizes
        Sizes for everything that trains a whole network; those above when not given.
    whole_seeds, network_seeds
        Draws for the whole LVM, and for the comparison networks.
    epochs, least_steps, batch
        How long a whole network trains: passes, but at least so many steps, of batches of this size.
    image_size
        Side in pixels of what the comparison networks see; at least 64.
    learning_rate, finetune_rate
        From scratch, and from trained weights.
    plot
        PNG file of the curves.
    """
    encoder, stamps = common.load(), labelled_stamps(survey, common.cache)
    whole = WholeTraining(
        sizes=whole_sizes or None, seeds=whole_seeds, network_seeds=network_seeds, epochs=epochs, least_steps=least_steps, batch=batch,
        image_size=image_size, learning_rate=learning_rate, finetune_rate=finetune_rate,
    )  # fmt: skip
    result = measure_few_shot(
        encoder, stamps, sizes=sizes, seeds=common.seeds, variants=variants, networks=networks,
        weights=_files(weights), held_out=common.held_out, whole=whole, device=encoder.device,
    )  # fmt: skip
    if plot is not None:
        draw_few_shot(result, plot)
    finish(
        result,
        common,
        survey=survey,
        sizes=sizes,
        variants=variants,
        networks=networks,
        weights=weights,
        whole=asdict(whole),
    )


@app.command
def retrieval(survey: str, *, common: Common = THREE_DRAWS) -> None:
    """Recall@k and nDCG@10 by class, each held-out stamp being a query among the others.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    """
    encoder, stamps = common.load(), labelled_stamps(survey, common.cache)
    result = measure_retrieval(
        encoder, stamps, seeds=common.seeds, held_out=common.held_out, baselines=common.baselines
    )
    finish(result, common, survey=survey)


@app.command(name="from-examples")
def from_examples(*kinds: str, missing: float | None = None, common: Common = TWENTY_DRAWS) -> None:
    """Average precision of the similarity to five examples, for rare kinds.

    Parameters
    ----------
    kinds
        'PATH@COLUMN>=NUMBER', one for each kind. Quote them: the shell takes > for itself.
    missing
        A value of the columns that means "not assessed"; such stamps are left out.
    """
    encoder = common.load()
    result = measure_examples(
        encoder, _kinds(kinds, missing, common.cache), seeds=common.seeds, baselines=common.baselines
    )
    finish(result, common, kinds=kinds, missing=missing)


@app.command
def invariance(survey: str, *, stamps: int = 300, common: Common = THREE_DRAWS) -> None:
    """Mean cosine between a stamp and its turned or mirrored copy, beside that of different stamps.

    Parameters
    ----------
    survey
        Path of a survey.
    stamps
        Held-out stamps a draw.
    """
    encoder = common.load()
    result = measure_invariance(
        encoder,
        _unlabelled(survey, common.cache),
        seeds=common.seeds,
        count=stamps,
        baselines=common.baselines,
    )
    finish(result, common, survey=survey, stamps=stamps)


@app.command(name="all")
def everything(
    survey: str,
    *,
    kinds: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    missing: float | None = None,
    limit: int = 4000,
    sizes: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (10, 20, 50, 100, 500),
    common: Common = THREE_DRAWS,
) -> None:
    """All tables that an encoder alone allows: knn, probe, few-shot on frozen vectors, retrieval, invariance.

    Parameters
    ----------
    survey
        PATH@COLUMN: a survey and its column of classes.
    kinds, missing
        As in from-examples, 20 draws.
    limit
        As in knn.
    sizes
        As in few-shot.
    """
    encoder, stamps = common.load(), labelled_stamps(survey, common.cache)
    tasks = _kinds(kinds, missing, common.cache) if kinds else []
    vectors = spaces(encoder, stamps, baselines=common.baselines)
    shared: dict[str, Any] = {"seeds": common.seeds, "vectors": vectors}
    tables = {
        "knn": measure_knn(encoder, stamps, limit=limit, held_out=common.held_out, **shared),
        "probe": measure_probe(encoder, stamps, limit=limit, held_out=common.held_out, **shared),
        "retrieval": measure_retrieval(encoder, stamps, held_out=common.held_out, **shared),
        "invariance": measure_invariance(encoder, stamps, **shared),
        "few_shot": measure_few_shot(
            encoder,
            stamps,
            sizes=sizes,
            seeds=common.seeds,
            variants=("linear", "mlp"),
            networks=(),
            held_out=common.held_out,
            vectors=vectors[0],
        ),
    }
    if tasks:
        tables["from_examples"] = measure_examples(encoder, tasks, baselines=common.baselines)
    options = options_of(common, survey=survey, kinds=kinds, missing=missing, limit=limit, sizes=sizes)
    result = {"options": options, **tables}
    if common.out is not None:
        common.out.parent.mkdir(parents=True, exist_ok=True)
        common.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if common.json_output else "\n\n".join(text(table) for table in tables.values()))


def _kinds(kinds: Sequence[str], missing: float | None, cache: Path) -> list[tuple[str, Stamps]]:
    if not kinds:
        raise ConfigError("Name at least one kind, as 'PATH@COLUMN>=0.5' in quotes.")
    plain = [kind for kind in kinds if ">=" not in kind]
    if plain:
        raise ConfigError(
            f"{plain[0]} is no kind; write 'PATH@COLUMN>=NUMBER', in quotes since the shell takes > for itself."
        )
    return [(kind.partition("@")[2], labelled_stamps(kind, cache, missing=missing)) for kind in kinds]


def _unlabelled(survey: str, cache: Path) -> Stamps:
    return load_stamps(survey.partition("@")[0], cache)


def _files(weights: Sequence[str]) -> dict[str, Path]:
    named = [item.partition("=") for item in weights]
    for name, equals, file in named:
        if not (name and equals and file):
            raise ConfigError(f"--weights {name}: write NAME=FILE, such as resnet50=resnet50.pth.")
    return {name: Path(file) for name, _, file in named}
