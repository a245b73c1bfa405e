"""Checkpoints: one safetensors file with its record as JSON in the header, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from discovery.errors import ConfigError
from discovery.storage.atomic import put_made

NAME = "checkpoint.safetensors"
PARTS = ("model", "ema", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes
    ----------
    model, ema, optimizer : dict of str to Tensor
        By the names of the module; the optimizer's as ``PARAMETER/exp_avg`` and so on.
    record : dict
        JSON-able: at least ``step``.
    """

    model: dict[str, Tensor]
    ema: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    record: dict[str, Any]

    @property
    def best(self) -> dict[str, Tensor]:
        """The averaged weights where the run keeps them, else the last ones."""
        return {**self.model, **self.ema}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside its place and rename it into it; a kill leaves the old one or the new one."""
    tensors = {
        f"{part}/{name}": value.detach().contiguous().cpu()
        for part in PARTS
        for name, value in getattr(checkpoint, part).items()
    }
    put_made(path, lambda beside: save_file(tensors, beside, metadata={"record": json.dumps(checkpoint.record)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint, read from a file or the folder of a run.

    Raises
    ------
    ConfigError
        If there is none, or it cannot be read.
    """
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise ConfigError(f"There is no checkpoint {path}; give the folder of a run that has written one.")
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    try:
        with safe_open(path, framework="pt") as stored:
            record = json.loads((stored.metadata() or {})["record"])
            for key in stored.keys():  # noqa: SIM118 (the file is no dict)
                part, _, name = key.partition("/")
                parts[part][name] = stored.get_tensor(key)
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} is no checkpoint of discovery train, or it is damaged ({type(error).__name__}).") from None
    return Checkpoint(**parts, record=record)


def load_into(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict; another architecture is one clear error.

    Raises
    ------
    ConfigError
        If a weight is missing, unknown or of another shape.
    """
    own = module.state_dict()
    odd = sorted(own.keys() ^ state.keys()) or sorted(n for n in own if own[n].shape != state[n].shape)
    if odd:
        raise ConfigError(
            f"{what} is of another architecture: {len(odd)} weights do not fit, the first is {odd[0]}; "
            "use the configuration it was made with, or another folder."
        )
    module.load_state_dict(dict(state))


def optimizer_state(optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]) -> dict[str, Tensor]:
    """Return the optimizer's tensors by the names of the parameters."""
    return {
        f"{names[parameter]}/{key}": value  # type: ignore[index]
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor], names: Mapping[nn.Parameter, str]) -> None:
    """Put back what `optimizer_state` took."""
    parameters = {name: parameter for parameter, name in names.items()}
    for key, value in state.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        keep = value if entry == "step" and value.ndim == 0 and not parameter.is_cuda else value.to(parameter.device)
        optimizer.state[parameter][entry] = keep.clone()
