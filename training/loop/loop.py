"""The training loop that every program of `training` shares: resumable to the step, on one process or many."""

from __future__ import annotations

import copy
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from discovery.errors import ConfigError, TrainingError
from discovery.storage.atomic import put
from training.loop.checkpoint import (
    NAME,
    Checkpoint,
    load_checkpoint,
    load_into,
    optimizer_state,
    restore_optimizer,
    save_checkpoint,
)
from training.loop.config import LoopConfig
from training.loop.optimizer import make_optimizer, rate
from training.loop.processes import Place, total
from training.loop.run_log import RunLog

Batch = dict[str, Tensor]


def train(
    module: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    config: LoopConfig,
    run: Path,
    *,
    record: dict[str, Any],
    prepare: Callable[[Batch], Batch] | None = None,
    evaluate: Callable[[nn.Module, int], dict[str, float]] | None = None,
    place: Place | None = None,
    start: dict[str, Tensor] | None = None,
) -> Path:
    """Return the checkpoint of a run, trained now or gone on with where it stopped.

    Parameters
    ----------
    module
        ``module(batch)`` gives the loss and its parts, ``(Tensor, {name: Tensor})``; over several processes the
        mean of the losses is the loss of the whole batch.
    batches
        Gives this process's batches from a step on, the same ones each time.
    run
        Folder for ``config.json``, ``metrics.jsonl``, ``tensorboard/`` and ``checkpoint.safetensors``.
    record
        What the run is (JSON-able); a run that is gone on with must have the same.
    prepare
        Applied to each batch on the device, without gradient (augmentation).
    evaluate
        Given the averaged (or last) module in evaluation mode and the step; its figures join the log. Only the
        first process calls it.
    start
        Weights to start from, when the run has none of its own yet.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    ConfigError
        If the run's folder holds another configuration or architecture.
    TrainingError
        If the loss is not finite; the last good checkpoint stays.
    """
    place = place or Place()
    if place.first:
        _write_record(run, record)
    torch.manual_seed(config.seed)
    if start is not None:
        load_into(module, start, "The start")
    module.to(place.device).train()
    state = _State(module, config, run, place)
    state.resume()
    if state.step < config.steps:
        with RunLog(run, state.step, config.steps, config.log_every, place.first) as log, _stop_on_sigterm(place) as stopping:
            _run(state, batches, prepare, evaluate, log, stopping)
    return run / NAME


class _State:
    """The module with its optimizer, average and step."""

    def __init__(self, module: nn.Module, config: LoopConfig, run: Path, place: Place) -> None:
        self.module, self.config, self.place, self.step = module, config, place, 0
        self.path = run / NAME
        self.names = {parameter: name for name, parameter in module.named_parameters()}
        self.optimizer = make_optimizer(module, config)
        self.ema: dict[str, Tensor] = {}

    def resume(self) -> None:
        if self.path.exists():
            saved = load_checkpoint(self.path)
            load_into(self.module, saved.model, str(self.path))
            restore_optimizer(self.optimizer, saved.optimizer, self.names)
            self.step = saved.record["step"]
            self.ema = {name: value.to(self.place.device) for name, value in saved.ema.items()}
        elif self.config.ema:
            self.ema = {name: value.detach().clone() for name, value in self.averages()}

    def averages(self) -> Iterator[tuple[str, Tensor]]:
        """Give what is averaged: the trained weights, and the statistics of batch norms, which belong to them."""
        yield from ((name, parameter) for parameter, name in self.names.items() if parameter.requires_grad)
        statistics = ("running_mean", "running_var")
        yield from ((name, value) for name, value in self.module.named_buffers() if name.endswith(statistics))

    def average(self) -> None:
        if self.ema:
            decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
            pairs = [(self.ema[name], value.detach()) for name, value in self.averages() if name in self.ema]
            torch._foreach_lerp_([one for one, _ in pairs], [other for _, other in pairs], 1 - decay)

    def averaged(self) -> nn.Module:
        module = copy.deepcopy(self.module)
        module.load_state_dict({**module.state_dict(), **self.ema})
        return module.eval()

    def save(self) -> None:
        if self.place.first:
            taken = optimizer_state(self.optimizer, self.names)
            save_checkpoint(self.path, Checkpoint(model=self.module.state_dict(), ema=self.ema, optimizer=taken, record={"step": self.step}))


def _run(state: _State, batches: Any, prepare: Any, evaluate: Any, log: RunLog, stopping: Callable[[], bool]) -> None:
    config, place = state.config, state.place
    forward = _forward(state.module, config, place)
    feed = iter(batches(state.step))
    saved = time.monotonic()
    try:
        while state.step < config.steps:
            began = time.monotonic()
            values, waited, count = _update(state, forward, feed, prepare, stopping())
            stop = values.pop("stop") > 0
            seconds = time.monotonic() - began
            last = state.step == config.steps
            values |= {"stamps_per_s": count * place.world / seconds, "wait": waited / seconds, "seconds": seconds}
            due = last or bool(config.evaluate_every and state.step % config.evaluate_every == 0)
            if due and evaluate is not None and place.first:
                values |= evaluate(state.averaged(), state.step)
            log.write(state.step, values, due)
            if last or stop or time.monotonic() - saved > 60 * config.checkpoint_minutes:
                state.save()
                saved = time.monotonic()
            if stop:
                raise TrainingError(f"Stopped on request at step {state.step}; run the same command to go on.")
    finally:
        if hasattr(feed, "close"):
            feed.close()


def _update(state: _State, forward: nn.Module, feed: Iterator[Batch], prepare: Any, stop: bool) -> tuple[dict[str, float], float, int]:
    config, place, waited, count = state.config, state.place, 0.0, 0
    torch.manual_seed(config.seed * 1_000_003 + state.step)  # drop path
    for group in state.optimizer.param_groups:
        group["lr"] = rate(config, state.step) * group.get("share", 1.0)
    sums: dict[str, Tensor] = {}
    for turn in range(config.accumulate):
        before = time.monotonic()
        batch = next(feed)
        waited += time.monotonic() - before
        batch = {name: value.to(place.device, non_blocking=True) for name, value in batch.items()}
        count += len(next(iter(batch.values())))
        with torch.no_grad():
            batch = prepare(batch) if prepare else batch
        last = turn == config.accumulate - 1
        with nullcontext() if last or place.world == 1 else forward.no_sync():  # type: ignore[operator]
            with _autocast(config, place):
                loss, parts = forward(batch)
            (loss / config.accumulate).backward()
        for name, value in {"loss": loss, **parts}.items():
            sums[name] = sums.get(name, 0) + value.detach().float() / config.accumulate
    norm = nn.utils.clip_grad_norm_(state.module.parameters(), config.clip)
    sent = total(torch.stack([*sums.values(), norm.float(), sums["loss"].new_tensor(float(stop))])) / place.world
    values = dict(zip([*sums, "grad_norm", "stop"], sent.tolist(), strict=True))
    if not (math.isfinite(values["loss"]) and math.isfinite(values["grad_norm"])):
        raise TrainingError(
            f"The loss is not finite at step {state.step + 1}. The last good checkpoint, {state.path}, is kept if there is one: "
            "lower the learning rate, lengthen the warm-up, or look for damaged stamps."
        )
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    state.average()
    return {"lr": rate(config, state.step - 1), **values}, waited, count


def _forward(module: nn.Module, config: LoopConfig, place: Place) -> nn.Module:
    """Return the module compiled and shared among processes, as configured."""
    forward = module
    if config.compile:
        if place.device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "c++", "clang++")):
            raise ConfigError("compile needs a C++ compiler on a CPU, and there is none; set compile = false.")
        forward = torch.compile(forward, dynamic=False)  # type: ignore[assignment]
    if place.world > 1:
        ids = [place.device.index] if place.device.type == "cuda" else None
        forward = DistributedDataParallel(forward, device_ids=ids)
    return forward


def _autocast(config: LoopConfig, place: Place) -> Any:
    wanted = config.precision == "bfloat16" or (config.precision == "auto" and place.device.type == "cuda")
    return torch.autocast(place.device.type, torch.bfloat16, enabled=wanted)


@contextmanager
def _stop_on_sigterm(place: Place) -> Iterator[Callable[[], bool]]:
    """Yield whether the run is to end: a queue's SIGTERM ends it after its step, with a checkpoint."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        yield stopping.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_record(run: Path, record: dict[str, Any]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    record = json.loads(json.dumps(record))
    path = run / "config.json"
    if path.exists() and (known := json.loads(path.read_text())) != record:
        different = sorted(key for key in known.keys() | record.keys() if known.get(key) != record.get(key))
        raise ConfigError(
            f"{run} holds a run of another configuration ({', '.join(different)} differ); "
            "give another folder, or the same options to go on."
        )
    put(path, json.dumps(record, indent=1).encode())
