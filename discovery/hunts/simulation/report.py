"""Simulated hunts for people: a table as text or Markdown, and the curves as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from discovery.errors import HuntError
from discovery.hunts.simulation.simulator import CHECKPOINTS, Result, Simulation

PICTURES = (".png", ".pdf", ".svg")
COLUMNS = {
    "positives_found": "found",
    "share_of_ideal_50": "ideal@50",
    "share_of_ideal_100": "@100",
    "share_of_ideal_200": "@200",
    "share_of_ideal_500": "@500",
    "loss": "loss",
    "labels_for_50": "to 50%",
    "labels_for_80": "80%",
    "labels_for_95": "95%",
    "precision_20": "P@20",
    "precision_100": "P@100",
    "precision_n_true": "P@n",
    "aupr": "AUPR",
    "auroc": "AUROC",
    "ndcg_10": "nDCG@10",
    "kinds_found": "kinds",
    "lookalike_precision_n_true": "P@n alike",
    "lookalike_aupr": "AUPR alike",
    "stop_labels": "stops at",
    "stop_recall": "recall then",
    "seconds_a_round": "s/round",
}
LEGEND = (
    "Medians over the seeds; found: with the 10-90 % band. ideal@n: positives found / min(targets, n) after n labels. loss: area between"
    " the curve and the ideal one, 0 ideal, 1 worst. to 50%: labels needed for that share of the targets, > when the median hunt did"
    " not get there. P, AUPR, AUROC, nDCG: of the final ranking over everything not labelled; n: as many as there are targets left;"
    " alike: over targets and look-alikes only. stops at: labels after which the stopper advised to stop; recall then: share of the"
    " targets found by then, over the hunts that it stopped. -: not measured."
)
_COUNTS = {"labels_for_50", "labels_for_80", "labels_for_95", "stop_labels"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe & Ito
_DASHES = ("-", "--", "-.", (0, (1, 1)))


def headline(simulation: Simulation) -> str:
    """Return what was played, in one line."""
    config = simulation.config
    kinds = f", {simulation.kinds} kind{'s' if simulation.kinds > 1 else ''}" if simulation.kinds else ""
    alike = f", {simulation.lookalikes} look-alikes" if simulation.lookalikes else ""
    negative = f" + {config.negative_examples} negative" if config.negative_examples else ""
    named = ", negatives by name" if config.named_negatives else ""
    stopper = f", stopper {config.stopper}" if config.stopper != "never" else ""
    return (
        f"{simulation.name}: {simulation.targets} targets among {simulation.objects} objects, a prevalence of"
        f" {100 * simulation.prevalence:.3g} % ({simulation.source}){kinds}{alike}; from"
        f" {' or '.join(map(str, config.examples))} positive{negative} examples, {config.rounds} {'round' if config.rounds == 1 else 'rounds'} of"
        f" {config.page_size}, {100 * config.noise:g} % wrong clicks{named}{stopper}, {config.seeds} seeds"
    )


def text_table(simulation: Simulation) -> str:
    """Return the table in aligned columns."""
    lines = _lines(simulation)
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def markdown_table(simulation: Simulation) -> str:
    """Return the table as Markdown."""
    head, *rest = _lines(simulation)
    return _markdown([head, ["---"] + ["--:"] * (len(head) - 1), *rest])


def summary_table(simulations: Sequence[Simulation]) -> str:
    """Return sets x strategies as Markdown: the share of the ideal at the last checkpoint reached / AUPR at the end."""
    strategies = list(dict.fromkeys(result.strategy for one in simulations for result in one.results))
    lines = [
        ["set", "objects", "prevalence", "examples", "at label", *strategies],
        ["---", *["--:"] * (4 + len(strategies))],
    ]
    for one in simulations:
        reached = max([n for n in CHECKPOINTS if n < len(one.results[0].curve["labels"])], default=None)
        for examples in one.config.examples:
            cells = {
                result.strategy: " / ".join(
                    _number(result.measures[key].median) if key in result.measures else "-"
                    for key in (f"share_of_ideal_{reached}", "aupr")
                )
                for result in one.results
                if result.examples == examples
            }
            facts = [str(one.objects), f"{100 * one.prevalence:.3g} %", str(examples), str(reached or "-")]
            lines.append([one.name, *facts, *(cells.get(strategy, "") for strategy in strategies)])
    return _markdown(lines)


def page(
    simulations: Sequence[Simulation], plots: Sequence[str], *, title: str, introduction: str, command: str
) -> str:
    """Return one Markdown page of several simulations with their pictures (paths as the page shall name them)."""
    parts = [f"# {title}", *([introduction.strip()] if introduction else []), f"Made by `{command}`."]
    parts += ["## All sets", "Medians over the seeds: the share of the ideal after so many labels / AUPR of the final ranking over all that has no label.", summary_table(simulations)]
    for one, plot in zip(simulations, plots, strict=True):
        parts += [f"## {one.name}", headline(one) + ".", markdown_table(one), f"![{one.name}]({plot})"]
    return "\n\n".join([*parts, "## What the columns mean", LEGEND]) + "\n"


def check_picture(path: Path) -> None:
    """Raise HuntError unless a picture can be written there."""
    if path.suffix.lower() not in PICTURES:
        raise HuntError(f"{path} is no picture's name; end it with one of {', '.join(PICTURES)}")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise HuntError unless the folder of a file to write is there."""
    if not path.absolute().parent.is_dir():
        raise HuntError(f"the folder {path.parent} for {path.name} does not exist; make it first")


def draw_curves(simulation: Simulation, path: Path) -> None:
    """Draw positives found against labels given, with bands: one panel for each number of examples."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = simulation.config.examples
    figure = Figure(figsize=(1.6 + 4.6 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for at, examples in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), at + 1, sharey=figure.axes[0] if at else None)
        _draw_panel(axes, simulation, examples)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    figure.suptitle(
        f"{simulation.name}: {simulation.targets} targets among {simulation.objects} ({100 * simulation.prevalence:.3g} %)",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)


def _draw_panel(axes, simulation: Simulation, examples: int) -> None:
    """Draw one panel: median and 10-90 % band of each strategy, the ideal curve and chance."""
    results = [result for result in simulation.results if result.examples == examples]
    for at, result in enumerate(results):
        colour, curve = _COLOURS[at % len(_COLOURS)], result.curve
        axes.fill_between(curve["labels"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        dash = _DASHES[at // len(_COLOURS) % len(_DASHES)]
        axes.plot(curve["labels"], curve["median"], color=colour, linestyle=dash, linewidth=1.8, label=result.strategy)
    targets, labels = simulation.targets - examples, results[0].curve["labels"]
    axes.plot(labels, [min(targets, n) for n in labels], color="0.35", linestyle=":", linewidth=1.2, label="ideal")
    rate = targets / (simulation.objects - examples - simulation.config.negative_examples)
    axes.plot(labels, [n * rate for n in labels], color="0.6", linestyle="--", linewidth=1, label="chance")
    top = max(max(result.curve["high"]) for result in simulation.results)
    axes.set_ylim(0, max(1.08 * top, 1))
    axes.set_xlim(0, labels[-1])
    axes.set_xlabel("labels given")
    axes.set_ylabel("positives found (median, 10-90 %)")
    axes.set_title(f"{examples} positive examples", fontsize=10)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _lines(simulation: Simulation) -> list[list[str]]:
    """Return the head and one line a result; columns without any value are left out."""
    keys = [
        key
        for key in COLUMNS
        if any(key in result.measures and not math.isnan(result.measures[key].median) for result in simulation.results)
    ]
    several = len(simulation.config.examples) > 1
    lines = [["strategy", *(["examples"] if several else []), *(COLUMNS[key] for key in keys)]]
    for result in simulation.results:
        labels = result.curve["labels"][-1]
        first = [result.strategy, *([str(result.examples)] if several else [])]
        lines.append([*first, *(_cell(result, key, int(labels)) for key in keys)])
    return lines


def _cell(result: Result, key: str, labels: int) -> str:
    spread = result.measures[key]
    if math.isnan(spread.median):
        return "-"
    if key == "positives_found":
        return f"{spread.median:g} ({spread.low:g}-{spread.high:g})"
    if key in _COUNTS:
        return f"{spread.median:.0f}" if math.isfinite(spread.median) else f">{labels}"
    return _number(spread.median)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
