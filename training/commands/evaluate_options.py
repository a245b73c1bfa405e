"""Options that every table of ``discovery train evaluate`` has, and how a table is published."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.errors import ConfigError
from training.evaluation.tables import publish


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every table.

    Attributes
    ----------
    encoder
        As in discovery index --encoder.
    cache
        Folder of the prepared stamps.
    seeds
        Draws; the table has their median with the lowest and the highest.
    held_out
        At most this many held-out stamps are judged; all when not given.
    baselines
        Also measure the same network untrained, an untrained ResNet18 and PCA-64 of the pixels.
    device
        cpu or cuda; CUDA where there is one when not given.
    threads
        CPU threads (all cores when not given).
    out
        File for the JSON.
    json_output
        Print one JSON document instead of text.
    """

    encoder: str = "default"
    cache: Path = Path("runs/stamps")
    seeds: int = 3
    held_out: int | None = None
    baselines: bool = True
    device: str | None = None
    threads: int | None = None
    out: Path | None = None
    json_output: Annotated[bool, Parameter(name="--json", negative="")] = False

    def load(self) -> Encoder:
        """Return the encoder, having set the threads."""
        if self.seeds < 1 or (self.held_out is not None and self.held_out < 1):
            raise ConfigError(f"seeds is {self.seeds} and held-out {self.held_out}; both must be at least 1.")
        if self.threads:
            torch.set_num_threads(self.threads)
        return load_encoder(self.encoder, device=self.device)


THREE_DRAWS, TWENTY_DRAWS = Common(), Common(seeds=20)


def finish(result: dict[str, Any], common: Common, **options: Any) -> None:
    """Publish a table with the options that made it."""
    publish({**result, "options": options_of(common, **options)}, common.out, as_json=common.json_output)


def options_of(common: Common, **options: Any) -> dict[str, Any]:
    """Return all options as JSON holds them."""
    chosen = {**options, **asdict(common)}
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in chosen.items()
        if name not in ("out", "json_output")
    }
