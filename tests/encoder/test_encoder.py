"""Encoders: unit vectors, cards, checksums, and every way to load one."""

import dataclasses

import cv2
import msgspec
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from discovery.encoders.encoder import load_encoder, lvm_encoder, make_encoder, read_card, timm_encoder
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import EncoderError, StampError
from discovery.stamps.preprocess import CropConfig, to_colours
from discovery.stamps.stamp import Stamp

TINY = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)


def tiny_encoder(**changes):
    torch.manual_seed(0)
    parts = {"convention": "dr2_rgb", "crop": CropConfig(), "input_size": 64, **changes}
    return make_encoder(LVM(TINY), name="tiny", architecture="lvm", config=dataclasses.asdict(TINY), **parts)


def stamps(count=5, side=90):
    rng, made = np.random.default_rng(0), []
    y, x = np.mgrid[:side, :side] - side / 2
    for i in range(count):
        round_, width = rng.uniform(0.3, 1), rng.uniform(20, 120)
        shape = np.exp(-(x**2 + (y / round_) ** 2) / width)
        flux = shape * rng.uniform(0.05, 0.4, (3, 1, 1)) + rng.normal(0, 0.002, (3, side, side))
        made.append(Stamp(object_id=str(i), pixels=flux.astype(np.float32), kind="nmgy", pixel_scale_arcsec=0.262))
    return made


def test_embeddings_are_unit_vectors_whatever_the_batch():
    encoder = tiny_encoder()
    together, apart = encoder.embed(stamps()), encoder.embed(stamps(), batch_size=1)
    assert together.shape == (5, encoder.dimension) and together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert encoder.embed([]).shape == (0, encoder.dimension)


def test_save_then_load_is_identity(tmp_path):
    encoder = tiny_encoder()
    encoder.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert again.card == encoder.card
    np.testing.assert_array_equal(again.embed(stamps()), encoder.embed(stamps()))


def test_a_changed_weight_or_card_is_noticed(tmp_path):
    tiny_encoder().save(tmp_path)
    state = load_file(tmp_path / "encoder.safetensors")
    state["norm.bias"][0] += 1
    save_file(state, tmp_path / "encoder.safetensors")
    with pytest.raises(EncoderError, match="checksum"):
        load_encoder(tmp_path)
    (tmp_path / "encoder.json").write_text('{"name": "x", "surprise": 1}')
    with pytest.raises(EncoderError, match="not valid"):
        load_encoder(tmp_path)


def test_another_crop_is_another_encoder(tmp_path):
    tiny_encoder().save(tmp_path)
    plain = load_encoder(tmp_path)
    both = load_encoder(tmp_path, crop=CropConfig(mode="both", fixed_arcsec=15.0))
    assert both.checksum != plain.checksum
    assert both.dimension == 2 * plain.dimension
    vectors = both.embed(stamps())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:, : plain.dimension] * 2**0.5, plain.embed(stamps()), atol=1e-5)


def test_released_weights_load_as_an_encoder(shared_reference, tmp_path):
    path = shared_reference / "released_lvm_tiny.safetensors"
    encoder = load_encoder(f"lvm:{path}")
    config = msgspec.convert(encoder.card.config, LVMConfig)
    assert (config.embed_dim, config.depths, config.heads, config.window) == (16, (2,) * 4, (2,) * 4, 8)
    assert (encoder.card.convention, config.attention_scale) == ("nmgy", 8.0)
    golden = load_file(shared_reference / "released_lvm_tiny_io.safetensors")
    wanted = golden["features"].mean(1).numpy()
    vectors = encoder.embed_inputs(golden["image"][:, None].numpy())
    np.testing.assert_allclose(vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-4)
    torch.save({"model": load_file(path)}, tmp_path / "released.pth")
    assert lvm_encoder(tmp_path / "released.pth").embed(stamps()).shape == (5, 128)
    with pytest.raises(StampError, match="nanomaggies"):
        encoder.embed([dataclasses.replace(stamps(1)[0], kind="rgb")])


@pytest.mark.slow
def test_a_timm_model_loads_from_a_local_checkpoint(tmp_path):
    network = timm.create_model("resnet18", num_classes=7)
    save_file(network.state_dict(), tmp_path / "galaxies.safetensors")
    encoder = load_encoder(f"timm:resnet18:{tmp_path / 'galaxies.safetensors'}")
    assert encoder.card.channel_order == "zrg" and encoder.dimension == 512
    inputs = np.random.default_rng(0).random((2, 1, 3, 224, 224), np.float32)
    settings = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(settings[name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        features = network.eval().forward_head(
            network.forward_features((torch.from_numpy(inputs[:, 0, ::-1].copy()) - mean) / std), pre_logits=True
        )
    np.testing.assert_allclose(encoder.embed_inputs(inputs), torch.nn.functional.normalize(features), atol=1e-5)
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").checksum == encoder.checksum


@pytest.mark.slow
def test_untrained_timm_models_are_seeded():
    assert timm_encoder("resnet18").checksum == timm_encoder("resnet18").checksum
    assert timm_encoder("resnet18", seed=1).checksum != timm_encoder("resnet18").checksum


@pytest.mark.parametrize("source", ["nowhere", "timm:no_such_model", "lvm:nowhere.safetensors"])
def test_encoders_that_are_not_there_are_one_clear_error(source):
    with pytest.raises(EncoderError, match=r"nowhere|no_such_model"):
        load_encoder(source)


def test_files_that_hold_no_weights_are_refused(tmp_path):
    for name in ("junk.safetensors", "junk.pth"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(EncoderError, match=name):
            load_encoder(f"lvm:{tmp_path / name}")
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(EncoderError, match="not an LVM"):
        load_encoder(f"lvm:{tmp_path / 'other.safetensors'}")


def test_the_shipped_encoder_is_small_and_says_what_it_is():
    card, encoder = read_card("default"), load_encoder()
    assert card == encoder.card and card.convention == "dr2_rgb"
    assert 1_000_000 < card.parameters < 25_000_000
    measured = card.training["measured"]["knn"]
    accuracy = {line["space"]: line["accuracy"]["median"] for line in measured["lines"]}
    assert measured["counts"]["k"] == 20 and measured["counts"]["held out"] > 1000
    assert accuracy["encoder"] > accuracy["PCA-64 of the pixels"] + 0.1 and len(accuracy) == 4
    assert measured["encoder"]["checksum"] == card.checksum
    assert card.training["steps"] > 0 and len(card.training["loss_curve"]) > 5 and "seed" in card.training


def test_flux_and_the_jpeg_of_its_rendering_meet():
    encoder = load_encoder()
    flux = stamps(8)
    pictures = []
    for stamp in flux:
        bgr = np.rint(to_colours(stamp).transpose(1, 2, 0) * 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
        decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR).astype(np.float32).transpose(2, 0, 1) / 255
        pictures.append(dataclasses.replace(stamp, pixels=decoded, kind="rgb"))
    cosine = (encoder.embed(flux) * encoder.embed(pictures)).sum(1)
    assert cosine.min() > 0.95, cosine


def test_encoders_that_ship_have_names_and_a_folder_goes_before_them(tmp_path, monkeypatch):
    shipped = load_encoder("detail", device="cpu")
    assert (shipped.card.architecture, shipped.card.config["model"]) == ("timm", "tf_efficientnet_lite0")
    found = shipped.embed(stamps())
    assert found.shape == (5, shipped.dimension) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    tiny_encoder().save(tmp_path / "detail")
    monkeypatch.chdir(tmp_path)
    assert read_card("detail").name == "tiny"
