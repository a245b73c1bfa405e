"""``discovery train pretrain``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from discovery.errors import ConfigError
from training.commands.options import Json


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Options of ``discovery train pretrain``.

    Attributes
    ----------
    out
        Folder of the run: config.json, metrics.jsonl, tensorboard, reconstructions, checkpoint.safetensors.
    cache
        Folder of the prepared stamps of surveys that are not shards.
    start_from
        default, an encoder folder, or another run, whose weights are the start; for a timm network also a file of its weights.
    questions
        TOML file of votes, classes, attributes and numbers that surveys answer (see training/pretraining/questions.py).
    leave_out
        Text file of object_ids, one a line, that are not learned: twins of held-out stamps (discovery train twins).
    objective
        NAME=WEIGHT, several times: instead of the configuration's objectives.
    steps
        Updates of the weights, instead of the configuration's.
    batch
        Stamps an update, instead of the configuration's.
    learning_rate
        Peak rate, instead of the configuration's.
    seed
        Seed, instead of the configuration's.
    device
        CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    show
        Print the configuration as TOML and stop.
    json_output
        Print one JSON document instead of text; the steps go to standard error.
    """

    out: Path | None = None
    cache: Path = Path("runs/stamps")
    start_from: str | None = None
    questions: Path | None = None
    leave_out: Path | None = None
    objective: tuple[str, ...] = ()
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    device: Literal["cpu", "cuda"] | None = None
    threads: int | None = None
    show: Annotated[bool, Parameter(negative="")] = False
    json_output: Json = False

    def changes(self) -> dict[str, Any]:
        """Return what the options change in the configuration."""
        loop = {"steps": self.steps, "learning_rate": self.learning_rate, "seed": self.seed}
        given: dict[str, Any] = {"loop": {name: value for name, value in loop.items() if value is not None}}
        if self.batch is not None:
            given["batch"] = self.batch
        if self.objective:
            given["objectives"] = self.weights()
        return given

    def names_left_out(self) -> frozenset[str]:
        """Return the object_ids that are not learned."""
        try:
            return frozenset(self.leave_out.read_text().splitlines()) - {""} if self.leave_out else frozenset()
        except OSError:
            raise ConfigError(f"--leave-out: there is no file {self.leave_out}.") from None

    def weights(self) -> dict[str, float]:
        """Return the weight of each objective that is named."""
        weights = {}
        for text in self.objective:
            name, _, value = text.partition("=")
            try:
                weights[name] = float(value)
            except ValueError:
                raise ConfigError(f"--objective {text}: write NAME=WEIGHT, such as masked=1.") from None
        return weights



def pretrain(config: str, /, *surveys: str, options: PretrainOptions = PretrainOptions()) -> None:
    """Pretrain an encoder (an LVM, or a timm network) on the training part of some surveys; run it again to go on where it stopped.

    Under torchrun every process takes its share of each batch.

    Parameters
    ----------
    config
        A recipe (debug, tiny, detail, base) or a TOML file that changes one.
    surveys
        Paths of surveys or of training shards, each with @COLUMN behind it where a column's labels are to be learned.
    """
    from training.data.stamps import check_sources

    check_sources(surveys, options.cache)
    from training.pretraining.recipes import as_toml, changed, read_config

    chosen = changed(read_config(config), options.changes(), "The command line")
    if options.show:
        print(as_toml(chosen, config if "." not in config else "tiny"), end="")
        return
    if not surveys or options.out is None:
        raise ConfigError("Name at least one survey to train on, and the run's folder with --out.")
    from training.data.stamps import load_stamps
    from training.loop.processes import processes, use_threads
    from training.pretraining.pretrain import pretrain as run_pretraining
    from training.pretraining.questions import read_questions

    use_threads(options.threads)
    with processes(options.device) as place:
        parts = [load_stamps(source, options.cache) for source in surveys]
        listed = read_questions(options.questions) if options.questions else None
        checkpoint = run_pretraining(
            chosen, parts, options.out, start_from=options.start_from, questions=listed, leave_out=options.names_left_out(), place=place
        )  # fmt: skip
        if place.first:
            done = {"checkpoint": str(checkpoint), "steps": chosen.loop.steps}
            print(json.dumps(done) if options.json_output else checkpoint)
