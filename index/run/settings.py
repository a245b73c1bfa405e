"""How a release is to be made, checked once; and the share of it that one job of several makes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from discovery.encoders.encoder import Precision
from discovery.errors import ConfigError
from index.drift.drift import SAMPLE
from index.plan import RECALL

Engine = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a release is to be made.

    Attributes
    ----------
    name, out
        Name of the release, and the folder that it is made in.
    options : dict
        Keywords of `discovery.readers.open_survey`.
    memory_gib : float
        Memory that the search structure may take.
    recall : float
        Recall that the search structure is tuned to.
    workers : int, optional
        Processes that read stamps; on Ray, processes that embed.
    rebuild : bool
        Start over: drop what is half built, and replace a finished release of other inputs.
    shard_positions : int, optional
        Survey positions a shard; from the survey's size by default.
    engine : {"local", "ray"}
        Where shards are embedded: in this process, or on a Ray cluster.
    address : str, optional
        Of the cluster; without it Ray starts one of this machine alone.
    precision : {"float32", "bfloat16"}, optional
        What to compute in: finished shards of another one are made again. By default the encoder's own, on Ray that of
        the workers, and shards of another one are an error.
    older : Path, optional
        An older release that this one grows from.
    drift_sample : int
        How many objects that the older release holds are embedded again for the drift report; 0 for none.

    Raises
    ------
    ConfigError
        If one of them makes no sense.
    """

    name: str
    out: Path = Path("releases")
    options: dict[str, Any] = field(default_factory=dict)
    memory_gib: float = 4.0
    recall: float = RECALL
    workers: int | None = None
    rebuild: bool = False
    shard_positions: int | None = None
    engine: Engine = "local"
    address: str | None = None
    precision: Precision | None = None
    older: Path | None = None
    drift_sample: int = SAMPLE

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name):
            raise ConfigError(f"'{self.name}' is no name for a release: use letters, digits, '.', '_' and '-'.")
        if self.memory_gib <= 0 or (self.workers or 0) < 0 or (self.shard_positions is not None and self.shard_positions < 1):
            raise ConfigError("--memory must be positive and --workers not negative.")
        if not 0 < self.recall <= 1:
            raise ConfigError(f"--recall is {self.recall}; give a share above 0 and at most 1.")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address names a Ray cluster: it goes with --engine ray.")
        if self.drift_sample < 0:
            raise ConfigError(f"A drift sample of {self.drift_sample} cannot be drawn; give 0 or more.")
        if self.older is not None and self.older.resolve() == self.folder.resolve():
            raise ConfigError(f"The grown release would replace {self.older}, which it grows from: choose another --name.")

    @property
    def folder(self) -> Path:
        """Where the release will be."""
        return self.out.absolute() / self.name

    @property
    def building(self) -> Path:
        """Where it is built."""
        return self.out.absolute() / f".{self.name}.building"


@dataclass(frozen=True, kw_only=True)
class Share:
    """The shards number, number + of, number + 2 of ..., of a run that is split into ``of`` jobs."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Return the share that ``I/N`` names, I from 0 to N - 1.

        Raises
        ------
        ConfigError
            If it is not that.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not found or int(found[1]) >= int(found[2]):
            raise ConfigError(f"--shard {text}: give I/N with I from 0 to N - 1, such as 0/100 to 99/100.")
        return cls(number=int(found[1]), of=int(found[2]))
