"""Embeddings in bfloat16, compiled, or of a GPU are those of float32 on the CPU, to a cosine above 0.999."""

import numpy as np
import pytest
import torch

from discovery.encoders.encoder import load_encoder
from discovery.stamps.stamp import Stamp

ENOUGH = 0.999
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(device="cpu")


@pytest.fixture(scope="module")
def inputs(encoder):
    """Galaxies of many shapes and brightnesses, and pure noise."""
    rng, made = np.random.default_rng(0), []
    y, x = np.mgrid[:152, :152] - 76
    for number in range(12):
        shape = np.exp(-np.hypot(x, y / rng.uniform(0.3, 1)) / rng.uniform(2, 12))
        flux = shape * rng.uniform(0, 2, (3, 1, 1)) * (number > 0) + rng.normal(0, 0.004, (3, 152, 152))
        made.append(encoder.prepare(Stamp(object_id=str(number), pixels=flux.astype(np.float32), kind="nmgy")).inputs)
    return np.stack(made)


@pytest.fixture(scope="module")
def exact(encoder, inputs):
    return encoder.embed_inputs(inputs)


def test_bfloat16_on_the_cpu(inputs, exact):
    other = load_encoder(device="cpu")
    assert other.precision == "float32"
    other.precision = "bfloat16"
    found = other.embed_inputs(inputs)
    assert not np.array_equal(found, exact)
    assert cosines(found, exact).min() > ENOUGH


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu(inputs, exact, precision, compiled):
    other = load_encoder(device="cuda")
    assert other.precision == "bfloat16"
    other.precision, other.compiled = precision, compiled
    assert cosines(other.embed_inputs(inputs), exact).min() > ENOUGH
    assert cosines(other.embed_inputs(inputs[:3]), exact[:3]).min() > ENOUGH


def cosines(one, other):
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
