"""The model against the golden numbers."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import EncoderError

TINY = LVMConfig(embed_dim=16, depths=(2, 2, 2, 2), heads=(2, 2, 2, 2), attention_scale=8.0)


def test_full_size_counts_the_published_parameters():
    with torch.device("meta"):
        model = LVM(LVMConfig())
    assert sum(p.numel() for p in model.parameters()) == 99_670_155
    assert sum(value.numel() for value in model.encoder_state().values()) == 77_104_288


@pytest.mark.parametrize("threads", [1, 2])
def test_released_names_load_and_give_the_golden_answer(shared_reference, threads):
    path = shared_reference / "released_lvm_tiny.safetensors"
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["embed_dim"]) == TINY.embed_dim
    model = LVM(TINY).eval()
    model.load_weights(load_file(path))
    golden = load_file(shared_reference / "released_lvm_tiny_io.safetensors")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            tokens, skips = model.encode(golden["image"])
            picture = model.decode(tokens, skips)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(tokens, golden["features"], atol=1e-4, rtol=0)
    np.testing.assert_allclose(picture, golden["reconstruction"], atol=1e-5, rtol=0)


def test_the_usual_scale_differs_from_the_released_one(shared_reference):
    state = load_file(shared_reference / "released_lvm_tiny.safetensors")
    golden = load_file(shared_reference / "released_lvm_tiny_io.safetensors")
    model = LVM(LVMConfig(embed_dim=16, depths=(2, 2, 2, 2), heads=(2, 2, 2, 2))).eval()
    model.load_weights(state)
    with torch.inference_mode():
        assert (model.encode(golden["image"])[0] - golden["features"]).abs().max() > 5e-4


def test_weights_that_do_not_fit_are_one_clear_error():
    state = LVM(TINY).state_dict()
    state.pop("norm.weight")
    with pytest.raises(EncoderError, match=r"missing norm.weight"):
        LVM(TINY).load_weights(state)
    with pytest.raises(EncoderError, match="other shape"):
        LVM(LVMConfig(embed_dim=32, depths=(2, 2, 2, 2), heads=(2, 2, 2, 2))).load_weights(LVM(TINY).state_dict())


@pytest.mark.parametrize("wrong", [{"embed_dim": 20}, {"image_size": 100}, {"depths": (2, 2)}, {"image_size": 96}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(EncoderError):
        LVMConfig(**wrong)


def test_stamps_of_another_size_are_refused():
    with pytest.raises(EncoderError, match="128"):
        LVM(TINY).encode(torch.zeros(1, 3, 64, 64))
