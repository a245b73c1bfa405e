"""Embeddings a second: the network alone, preparing alone, and `discovery index`'s own path through both.

Run ``python tests/benchmarks/embed.py --stamps 512 --encoder default --workers 0 2``. Stamps are made galaxies in an
ssl-legacysurvey file.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.readers import open_survey
from discovery.stamps.stamp import Survey
from index.embed.ingest import InputForm, read_batch
from index.embed.shards import embed_survey
from index.plan import make_plan


def main() -> None:
    """Measure each step and print the table."""
    options = parse()
    encoder = load_encoder(options.encoder, device=options.device)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, torch threads {torch.get_num_threads()}, device {encoder.device}, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}")
    print(f"encoder: {encoder.card.name}, {encoder.card.parameters} parameters, D = {encoder.dimension}, input {encoder.card.input_size}")
    print(f"{'step':36}{'stamps':>8}{'a second':>10}")
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        path = write_survey(Path(folder) / "made.h5", options.stamps, options.side)
        survey = open_survey([path])
        step("network", options.stamps, run_network(encoder, options.stamps, options.batch))
        step("read, prepare and measure", options.stamps, run_preparing(encoder, survey))
        for turn, workers in enumerate(options.workers):
            step(f"index, {workers} workers", options.stamps, run_index(encoder, survey, path, Path(folder) / str(turn), workers))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=int, default=512)
    parser.add_argument("--side", type=int, default=152, help="pixels a side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--device", default=None, help="cpu or cuda")
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--dir", default=None, help="folder for the survey")
    return parser.parse_args()


def step(name: str, stamps: int, seconds: float) -> None:
    """Print a line of the table."""
    print(f"{name:36}{stamps:8}{stamps / seconds:10.1f}")


def run_network(encoder: Encoder, stamps: int, batch: int) -> float:
    """Return the seconds that the network takes."""
    size, views = encoder.card.input_size, encoder.card.crop.views
    inputs = np.random.default_rng(0).random((batch, views, 3, size, size), np.float32)
    encoder.embed_inputs(inputs)
    start = time.perf_counter()
    for first in range(0, stamps, batch):
        encoder.embed_inputs(inputs[: min(batch, stamps - first)])
    return time.perf_counter() - start


def run_preparing(encoder: Encoder, survey: Survey) -> float:
    """Return the seconds that reading and preparing take in one process."""
    form = InputForm(convention=encoder.card.convention, crop=encoder.card.crop, size=encoder.card.input_size)
    start = time.perf_counter()
    for first in range(0, len(survey), 64):
        read_batch(survey, form, first, min(first + 64, len(survey)))
    return time.perf_counter() - start


def run_index(encoder: Encoder, survey: Survey, path: Path, building: Path, workers: int) -> float:
    """Return the seconds that ``discovery index`` takes to make the shards."""
    plan = make_plan(survey, [path], name="made", encoder=encoder, memory_bytes=2**30)
    start = time.perf_counter()
    embed_survey(building, plan, survey, encoder, workers)
    return time.perf_counter() - start


def write_survey(path: Path, count: int, side: int) -> Path:
    """Write made galaxies in the ssl-legacysurvey layout."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side / 2
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (count, 3, side, side), np.float32)
        for number in range(count):
            light = np.exp(-np.hypot(x, y / rng.uniform(0.3, 1)) / rng.uniform(3, 12))
            images[number] = light * rng.uniform(0.05, 0.5, (3, 1, 1)) + rng.normal(0, 0.004, (3, side, side))
        file["inds"] = np.arange(count)
        file["ra"], file["dec"] = rng.uniform(0, 360, count), rng.uniform(-30, 30, count)
    return path


if __name__ == "__main__":
    main()
