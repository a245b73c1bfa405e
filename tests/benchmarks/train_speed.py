"""Stamps a second and MFU of pretraining and of embedding: model only and from shards on disk, eager and compiled.

Run ``python tests/benchmarks/train_speed.py --config tiny --batch 32``; on a GPU
``python tests/benchmarks/train_speed.py --device cuda --config tiny base --precision bfloat16 float32 --batch 512 --mode eager compiled --seconds 10``.

MFU is counted FLOP (2 a multiply-add, forward and backward, of matrix products, convolutions and attention) a second over
the dense peak: that of a large matrix product measured in the same run, and that of the datasheet where it is known. FLOPs
are counted by torch's counter and, forward, by arithmetic; the two must agree. Pretraining is that of the recipe (or of
``--objective``): several views a stamp, loss, backward, update.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from attention import cpu_name, timed
from embed import write_survey
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from discovery.encoders.lvm import LVM, PATCH, LVMConfig
from training.data.shard_packer import pack
from training.data.stamps import Stamps, load_stamps
from training.data.stream import batches
from training.loop.config import LoopConfig
from training.loop.loop import _autocast
from training.loop.optimizer import make_optimizer
from training.loop.processes import Place
from training.pretraining.pretrain import Pretraining, pretrain, views
from training.pretraining.recipes import PretrainConfig, read_config

DATASHEET_TFLOPS = {"A100": 312.0, "H100": 989.4, "H200": 989.4, "V100": 125.0, "A10": 125.0, "L4": 121.0, "RTX 4090": 165.2}
"""Dense bfloat16 (V100: float16) peak with tensor cores, from the makers' datasheets."""
FIELDS = ("config", "work", "path", "mode", "precision", "batch", "stamps_per_s", "gflop", "mfu_measured", "mfu_datasheet", "wait")


def main() -> None:
    """Measure everything that was asked for and print the table."""
    options = parse()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else cpu_name()
    print(f"machine: {name}, {os.cpu_count()} cores, torch {torch.__version__}, threads {torch.get_num_threads()}, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    peaks = {precision: matrix_product(device, precision) for precision in options.precision}
    known = options.datasheet_tflops or next((v for k, v in DATASHEET_TFLOPS.items() if device.type == "cuda" and k in name), None)
    for precision, peak in peaks.items():
        print(f"peak, {precision}: {peak / 1e12:.3f} TFLOP/s by a matrix product here; datasheet {known or 'not known'}")
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        shards = Path(folder) / "shards"
        pack([str(write_survey(Path(folder) / "made.h5", options.stamps, 152))], shards)
        stamps = load_stamps(str(shards), Path(folder))
        print(f"\n{'  '.join(FIELDS)}")
        for which in options.config:
            config = chosen(which, options)
            flops = check_flops(config.model)
            for precision in options.precision:
                for mode in options.mode:
                    measured = Measured(config, stamps, device, precision, mode, options)
                    for line in measured.lines(flops[0]):
                        rate = line["gflop"] * 1e9 * line["stamps_per_s"]
                        line |= {"config": which, "mode": mode, "precision": precision, "mfu_measured": rate / peaks[precision]}
                        line["mfu_datasheet"] = rate / known / 1e12 if known else None
                        lines.append({field: line.get(field) for field in FIELDS})
                        print("  ".join(shown(line.get(field)) for field in FIELDS), flush=True)
    if options.json:
        found = {"machine": name, "command": " ".join(sys.argv), "peaks_tflops": {k: v / 1e12 for k, v in peaks.items()}, "datasheet_tflops": known}
        options.json.write_text(json.dumps({**found, "lines": lines}, indent=1) + "\n")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", default=["tiny"], help="recipes or TOML files")
    parser.add_argument("--objective", nargs="*", default=None, help="NAME=WEIGHT instead of the recipe's (reconstruct=1: the paper's)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--mode", nargs="+", default=["eager"], choices=["eager", "compiled"])
    parser.add_argument("--work", nargs="+", default=["embed", "pretrain"], choices=["embed", "pretrain"])
    parser.add_argument("--path", nargs="+", default=["model", "end to end"], choices=["model", "end to end"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--stamps", type=int, default=256, help="stamps in the shards")
    parser.add_argument("--steps", type=int, default=6, help="steps of pretraining, end to end")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement, model only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--datasheet-tflops", type=float, default=None, help="dense peak from the maker's datasheet")
    parser.add_argument("--dir", default=None, help="folder for the shards and the run")
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures")
    return parser.parse_args()


def chosen(which: str, options: argparse.Namespace) -> PretrainConfig:
    """Return a recipe with the batch and objectives that were asked for; nothing in it needs labels."""
    config = read_config(which)
    given = dict(text.split("=") for text in options.objective) if options.objective else config.objectives
    objectives = {name: float(weight) for name, weight in given.items() if name != "classify"}
    return dataclasses.replace(config, batch=options.batch, objectives=objectives, loop=dataclasses.replace(config.loop, accumulate=1))


def shown(value: object) -> str:
    """Return a value for the table."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def matrix_product(device: torch.device, precision: str) -> float:
    """Return the FLOP a second of a large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(side, side, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    return 2 * side**3 / timed(lambda: one @ other, device, 1.0)


def arithmetic(config: LVMConfig) -> tuple[int, int]:
    """Return the FLOPs of a stamp's forward pass, the encoder's and the whole model's, by hand."""
    levels, first = len(config.depths), config.side(0)
    stem = 2 * first**2 * 3 * (PATCH + 2) ** 2 * config.embed_dim
    stem += 2 * 3 * 9 * config.embed_dim**2 * PATCH**2  # one composed kernel a batch, counted for a batch of one
    stem += 2 * config.embed_dim * config.embed_dim  # and its bias
    blocks = []
    for level in range(levels):
        side, width = config.side(level), config.channels(level)
        tokens = min(config.window, side) ** 2
        blocks.append(config.depths[level] * side**2 * (24 * width**2 + 4 * tokens * width))
    merging = sum(config.side(level + 1) ** 2 * 16 * config.channels(level) ** 2 for level in range(levels - 1))
    joining = sum(config.side(level) ** 2 * 4 * config.channels(level) ** 2 for level in range(levels - 1))
    doubling = sum(config.side(level) ** 2 * 16 * config.channels(level) ** 2 for level in range(1, levels))
    last = first**2 * config.embed_dim**2 * (32 + 32 + 2 + 32 + 64) + (PATCH * first) ** 2 * 6 * config.embed_dim
    encoder = stem + sum(blocks) + merging
    return encoder, encoder + sum(blocks[:-1]) + joining + doubling + last


def check_flops(config: LVMConfig) -> tuple[int, int]:
    """Return the counted FLOPs of a stamp's forward pass (encoder, whole); stop if the arithmetic disagrees."""
    network, image = LVM(config).eval(), torch.zeros(1, 3, config.image_size, config.image_size)
    counted = tuple(count(lambda run=run: run(image)) for run in (network.features, network))  # type: ignore[misc]
    by_hand = arithmetic(config)
    for what, one, other in zip(("encoder", "whole model"), counted, by_hand, strict=True):
        print(f"{what}: {one / 1e9:.3f} GFLOP a stamp counted, {other / 1e9:.3f} by arithmetic")
        if abs(one - other) > 0.01 * other:
            raise SystemExit("The two counts differ by more than 1 %.")
    return counted[0], counted[1]


def count(act: Callable[[], object]) -> int:
    """Return the FLOPs of a call by torch's counter; fused attention, which it does not see on CPUs, is taken apart."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        act()
    return counter.get_total_flops()


class Measured:
    """One configuration, precision and mode."""

    def __init__(self, config: PretrainConfig, stamps: Stamps, device: torch.device, precision: str, mode: str, options: argparse.Namespace) -> None:
        loop = dataclasses.replace(config.loop, precision=precision, compile=mode == "compiled", steps=options.steps, warmup=0, evaluate_every=0)
        if mode == "compiled" and device.type == "cpu" and shutil.which("g++") is None:
            raise SystemExit("torch.compile needs a C++ compiler on a CPU, and there is none: use --mode eager.")
        self.config, self.options = dataclasses.replace(config, loop=loop), options
        self.stamps, self.device, self.loop = stamps, device, loop

    def lines(self, embedding_flops: int) -> Iterator[dict[str, Any]]:
        """Give what is measured, without MFU."""
        if "embed" in self.options.work:
            network = LVM(self.config.model).to(self.device).eval()
            forward = torch.compile(network.features, dynamic=False) if self.loop.compile else network.features
            about = {"work": "embed", "batch": self.config.batch, "gflop": embedding_flops / 1e9}
            if "model" in self.options.path:
                yield {**about, "path": "model", "stamps_per_s": self.embed_model(forward)}
            if "end to end" in self.options.path:
                yield {**about, "path": "end to end", "stamps_per_s": self.embed_shards(forward)}
        if "pretrain" in self.options.work:
            flops, rate = self.pretrain_model()
            about = {"work": "pretrain", "batch": self.config.batch, "gflop": flops / 1e9}
            if "model" in self.options.path:
                yield {**about, "path": "model", "stamps_per_s": rate}
            if "end to end" in self.options.path:
                yield {**about, "path": "end to end", **self.pretrain_shards()}

    def embed_model(self, forward: Callable[[Tensor], Tensor]) -> float:
        """Return stamps a second of the network on stamps that lie on the device."""
        size = self.config.model.image_size
        image = torch.rand(self.config.batch, 3, size, size, device=self.device)
        with torch.inference_mode(), self.autocast():
            return self.config.batch / timed(lambda: forward(image), self.device, self.options.seconds)

    @torch.inference_mode()
    def embed_shards(self, forward: Callable[[Tensor], Tensor]) -> float:
        """Return stamps a second from shards on disk to features in memory, whole batches."""
        size, batch, times = self.config.model.image_size, self.config.batch, []
        for start in range(0, len(self.stamps.pixels) - batch + 1, batch):
            began = time.perf_counter()
            pixels = torch.from_numpy(self.stamps.pixels[start : start + batch]).to(self.device).float() / 255
            if pixels.shape[-1] != size:
                pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="area")
            with self.autocast():
                forward(pixels).float().cpu()
            times.append(time.perf_counter() - began)
        return batch / statistics.median(times)

    def pretrain_model(self) -> tuple[float, float]:
        """Return the FLOPs of a training stamp, and stamps a second of loss, backward and update on views made before."""
        config = self.config
        module = Pretraining(config, [0]).to(self.device).train()
        feed = batches([self.stamps], config.batch, 0, 0)
        taken = {name: value.to(self.device) for name, value in next(feed).items()}
        feed.close()  # type: ignore[attr-defined]
        batch = views(taken, config)
        optimizer = make_optimizer(module, config.loop)
        forward = torch.compile(module, dynamic=False) if self.loop.compile else module

        def step(run: Callable[[Any], Any] = forward, what: dict[str, Tensor] = batch) -> None:
            with self.autocast():
                loss, _ = run(what)
            loss.backward()

        two = {name: value[:2] if value.ndim else value for name, value in batch.items()}
        flops = count(lambda: step(module, two)) / 2
        optimizer.zero_grad(set_to_none=True)

        def update() -> None:
            step()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        if "model" not in self.options.path:
            return flops, 0.0
        return flops, config.batch / timed(update, self.device, self.options.seconds)

    def pretrain_shards(self) -> dict[str, float]:
        """Return stamps a second of `training.pretraining.pretrain` from shards on disk, and the share of time that it waits for them."""
        with tempfile.TemporaryDirectory(dir=self.options.dir) as run:
            pretrain(self.config, [self.stamps], Path(run), place=Place(device=self.device))
            lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
        later = lines[2:] or lines[-1:]  # the first steps warm up
        return {name: statistics.median(line[key] for line in later) for name, key in (("stamps_per_s", "stamps_per_s"), ("wait", "wait"))}

    def autocast(self) -> Any:
        """Return the autocast of the training loop."""
        loop = LoopConfig(steps=1, learning_rate=1.0, precision=self.loop.precision)
        return _autocast(loop, Place(device=self.device))


if __name__ == "__main__":
    main()
