"""Catalogue parameters: measures and photometry by hand, heads that learn, what is saved and applied, clear errors."""

import csv
import dataclasses
import json

import h5py
import numpy as np
import pyarrow as pa
import pytest
import torch
from astropy.table import Table

from discovery.encoders.encoder import load_encoder, make_encoder
from discovery.encoders.lvm import LVM, LVMConfig
from discovery.errors import ConfigError, EncoderMismatch
from discovery.readers import open_survey
from discovery.stamps.preprocess import CropConfig
from discovery.stamps.stamp import Stamp
from training.commands.finetune_parameters import parameters
from training.finetuning.parameters.apertures import (
    CROP_SIDE,
    RADII_ARCSEC,
    aperture_fluxes,
    asinh_magnitude,
    side_features,
    side_names,
)
from training.finetuning.parameters.baselines import boosted, catalogue_features, holds
from training.finetuning.parameters.config import ParametersConfig
from training.finetuning.parameters.data import Objects, read_objects
from training.finetuning.parameters.fit import HeadPlan, ParameterModel, apply, embed, encoder_of, fit
from training.finetuning.parameters.head import ParameterHead, sigma_factors
from training.finetuning.parameters.measures import kind_of, measures
from training.finetuning.parameters.targets import Targets, exclude, join_table, numbers, read_targets

pytestmark = pytest.mark.slow

SCALE = 0.262
TINY = LVMConfig(embed_dim=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), image_size=64)
COUNT = 160


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    config = dataclasses.asdict(TINY)
    return make_encoder(
        LVM(TINY), name="trial", architecture="lvm", config=config, convention="dr2_rgb", crop=CropConfig(), input_size=64, device="cpu"
    )


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """A file of round galaxies of known flux and width, with a catalogue that has holes."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:64, :64] - 31.5
    mag, width = rng.uniform(15, 19, COUNT), rng.uniform(2.5, 6, COUNT)
    flux = 10 ** (0.4 * (22.5 - mag))
    light = np.exp(-(x**2 + y**2) / (2 * width[:, None, None] ** 2)) / (2 * np.pi * width[:, None, None] ** 2)
    images = (flux[:, None, None] * light)[:, None] * np.array([0.5, 1.0, 1.5])[:, None, None]
    images += rng.normal(0, 0.003, images.shape)
    z_spec = np.where(rng.random(COUNT) < 0.3, -99.0, 0.1 + 0.05 * (mag - 15))
    path = tmp_path_factory.mktemp("stamps") / "stamps.h5"
    with h5py.File(path, "w") as file:
        file["images"] = images.astype("f4")
        file["inds"] = np.arange(COUNT)
        file["ra"], file["dec"] = np.linspace(0, 10, COUNT), np.zeros(COUNT)
        file["flux"] = (flux[:, None] * [0.5, 1.0, 1.5]).astype("f4")
        file["width"], file["z_spec"] = width.astype("f4"), z_spec.astype("f4")
        file["shape_e1"] = file["shape_e2"] = rng.uniform(-0.3, 0.3, COUNT).astype("f4")
        file["kind"] = np.array([b"round", b"square"])[np.arange(COUNT) % 2]
    return path


@pytest.fixture(scope="module")
def objects(stamps, encoder):
    return read_objects(stamps, encoder, pixel_scale_arcsec=SCALE, keep_inputs=True)


def known(count=400, seed=0, **changes):
    """Objects whose embeddings and side features are noise, but for the first side feature."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(count, 8)).astype(np.float32)
    parts = {
        "object_ids": tuple(f"o{i}" for i in range(count)),
        "embeddings": embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        "side": rng.normal(size=(count, 3)).astype(np.float32),
        "side_names": ("one", "two", "three"),
        "colours": np.ones((count, 3), np.float32),
        "inputs": None,
        "catalogue": pa.table({"object_id": [f"o{i}" for i in range(count)]}),
        "damaged": 0,
    }
    return Objects(**{**parts, **changes})


def as_targets(**columns):
    return Targets(names=tuple(columns), values=np.stack([np.asarray(v, float) for v in columns.values()], 1))


def test_redshift_measures_by_hand():
    true, estimate = np.array([0.0, 1.0, 0.5, 0.25]), np.array([0.1, 1.0, 0.44, 0.75])
    # dz: 0.1, 0, -0.04, 0.4; median 0.05; deviations 0.05, 0.05, 0.09, 0.35
    found = measures(estimate, true, "redshift", sigma=np.array([0.2, 0.1, 0.01, 0.1]))
    assert found["bias"] == pytest.approx(0.05)
    assert found["nmad"] == pytest.approx(1.4826 * 0.07, abs=1e-5)
    assert (found["outliers"], found["within_sigma"], found["n"]) == (0.25, 0.5, 4)
    assert found["rmse"] == pytest.approx(np.sqrt((0.01 + 0 + 0.0016 + 0.16) / 4), abs=1e-5)
    assert found["r2"] == pytest.approx(1 - (0.01 + 0.0036 + 0.25) / np.square(true - 0.4375).sum(), abs=1e-5)


def test_other_measures_by_hand():
    error = np.array([-1.0, 0, 0, 1, 1, 2, 40])
    found = measures(10 + error, np.full(7, 10.0), "other")
    assert (found["bias"], found["nmad"]) == (1.0, 1.4826)  # deviations 2 1 1 0 0 1 39
    assert found["outliers"] == pytest.approx(1 / 7, abs=1e-5)
    assert found["r2"] is None and "within_sigma" not in found
    assert [kind_of(name) for name in ("z_spec", "Z_PHOT", "z_phot_mean", "redshift", "mag_z", "z")] == ["redshift"] * 4 + ["other"] * 2


def test_aperture_fluxes_of_known_light():
    y, x = np.mgrid[:152, :152] - 75.5
    flux, sigma_arcsec = 30.0, 1.5
    one = flux * np.exp(-(x**2 + y**2) * SCALE**2 / (2 * sigma_arcsec**2)) * SCALE**2 / (2 * np.pi * sigma_arcsec**2)
    found = aperture_fluxes(np.stack([one, 2 * one, np.ones_like(one)]), SCALE)
    radii = np.array(RADII_ARCSEC)
    np.testing.assert_allclose(found[0], flux * (1 - np.exp(-(radii**2) / (2 * sigma_arcsec**2))), rtol=0.03)
    np.testing.assert_allclose(found[1], 2 * found[0])
    np.testing.assert_allclose(found[2], np.pi * (radii / SCALE) ** 2, rtol=0.03)
    assert aperture_fluxes(np.ones((3, 8, 8)), SCALE)[0, -1] == 64  # the stamp ends first


def test_asinh_magnitudes_exist_for_any_flux():
    assert asinh_magnitude(100.0) == pytest.approx(17.5, abs=1e-5)
    assert asinh_magnitude(0.0) == pytest.approx(25.0)
    falling = asinh_magnitude(np.array([-5.0, -0.1, 0.0, 0.1, 5.0]))
    assert np.isfinite(falling).all() and (np.diff(falling) < 0).all()


def test_side_features_are_those_of_the_stamp(stamps, encoder, objects):
    assert objects.side_names[0] == CROP_SIDE and len(objects.side_names) == 1 + 3 * len(RADII_ARCSEC)
    survey = open_survey([stamps], pixel_scale_arcsec=SCALE)
    (stamp,) = survey.read(5, 6)
    prepared = encoder.prepare(stamp)
    row = objects.side[5]
    assert row[0] == pytest.approx(np.log10((prepared.box[1] - prepared.box[0]) * SCALE))
    assert row[1 + len(RADII_ARCSEC) + 3] == pytest.approx(asinh_magnitude(aperture_fluxes(stamp.pixels, SCALE))[1, 3], abs=1e-4)
    bare = dataclasses.replace(stamp, pixel_scale_arcsec=None)
    picture = Stamp(object_id="p", pixels=np.clip(stamp.pixels, 0, 1), kind="rgb", pixel_scale_arcsec=0.4)
    assert side_names(bare) == () and side_names(picture) == (CROP_SIDE,)
    with pytest.raises(ConfigError, match="do not go together"):
        side_features(picture, encoder.prepare(picture), objects.side_names)


def test_targets_leave_out_and_derive(objects, stamps):
    with h5py.File(stamps) as file:
        flux, z_spec, e1 = file["flux"][:], file["z_spec"][:], file["shape_e1"][:]
        first = float(file["width"][0])
    found = read_targets(objects.catalogue, ["z_spec", "mag_r", "ellipticity", "width"], {"width": first})
    z, mag, e, width = found.values.T
    assert np.isnan(z).sum() == (z_spec == -99).sum() > 0
    np.testing.assert_allclose(mag, 22.5 - 2.5 * np.log10(flux[:, 1]), atol=1e-5)
    np.testing.assert_allclose(e, np.sqrt(2) * np.abs(e1), rtol=1e-6)
    assert np.isnan(width[0]) and np.isfinite(width[1:]).all()
    assert exclude(objects.catalogue, {"kind": ["square"]}).tolist() == [bool(i % 2) for i in range(COUNT)]


def test_a_table_beside_the_survey_brings_columns(objects, tmp_path):
    path = tmp_path / "more.csv"
    with path.open("w") as file:
        lines = csv.writer(file)
        lines.writerow(["object_id", "mass", "z_spec"])
        lines.writerows([[str(i), 9 + i / 100, 0.5] for i in reversed(range(0, COUNT, 2))])
    joined, matched = join_table(objects.catalogue, path, None)
    mass, z = read_targets(joined, ["mass", "z_spec"], {}).values.T
    assert matched == COUNT // 2 and joined["object_id"].to_pylist() == list(objects.object_ids)
    np.testing.assert_allclose(mass[::2], 9 + np.arange(0, COUNT, 2) / 100)
    assert np.isnan(mass[1::2]).all() and (z[::2] == 0.5).all()
    path.write_text("object_id,mass\nnobody,1\n")
    with pytest.raises(ConfigError, match=r"No line of .*more\.csv names any"):
        join_table(objects.catalogue, path, None)


@pytest.mark.parametrize(("unit", "mag_of_one"), [("", 22.5), ("nJy", 31.4), ("adu", None)])
def test_magnitudes_of_a_table_follow_the_unit_of_its_fluxes(tmp_path, unit, mag_of_one):
    table = Table({"object_id": ["a", "b"], "flux_r": 10 ** (0.4 * ((mag_of_one or 20.0) - np.array([17.5, 18.5])))})
    if unit:
        table["flux_r"].unit = unit
    table.write(tmp_path / "t.fits")
    joined, _ = join_table(pa.table({"object_id": ["a", "b"]}), tmp_path / "t.fits", None)
    assert numbers(joined, "mag_r") == pytest.approx([17.5, 18.5] if mag_of_one else [np.nan] * 2, nan_ok=True)


@pytest.mark.parametrize(
    ("names", "missing", "words"),
    [
        (["colour"], {}, "no column colour; columns of numbers are .*width"),
        (["kind"], {}, "holds string such as 'round'"),
        (["flux"], {}, "not single numbers"),
        ([], {}, "--target"),
        (["width", "width"], {}, "twice"),
        (["width"], {"z_spec": 0.0}, "no target"),
    ],
)
def test_wrong_targets_are_one_clear_line(objects, names, missing, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_targets(objects.catalogue, names, missing)
    assert "\n" not in str(caught.value)


def test_the_head_starts_from_scales_and_leaves_out_what_is_not_known():
    some = known(50)
    values = np.stack([np.arange(50.0), np.where(np.arange(50) % 2, np.nan, 7.0 + np.arange(50))], 1)
    head = ParameterHead(8, 3, 2, inputs="both", hidden=16).eval()
    embedding, side, targets = (torch.from_numpy(np.asarray(v, np.float32)) for v in (some.embeddings, some.side, values))
    head.fit_scales(embedding, side, targets)
    np.testing.assert_allclose(head.target_centre.numpy(), np.nanmean(values, 0), rtol=1e-5)
    np.testing.assert_allclose(head.target_width.numpy(), np.nanstd(values, 0), rtol=1e-5)
    losses = head.loss(embedding, side, targets)
    mean, log_sigma = (v.detach().numpy() for v in head(embedding, side))
    y = (values - np.nanmean(values, 0)) / np.nanstd(values, 0)
    np.testing.assert_allclose(losses.detach().numpy(), np.nanmean(log_sigma + (y - mean) ** 2 / (2 * np.exp(2 * log_sigma)), 0), rtol=1e-4)
    assert torch.isfinite(head.loss(embedding, side, torch.full((50, 2), np.nan))).all()


def test_training_steps_lower_the_loss(objects, encoder):
    values = torch.from_numpy(objects.catalogue["width"].to_numpy().astype(np.float32))[:, None]
    embedding, side = torch.from_numpy(objects.embeddings), torch.from_numpy(objects.side)
    for tuned in (False, True):
        torch.manual_seed(0)
        head = ParameterHead(objects.embeddings.shape[1], objects.side.shape[1], 1, inputs="both", hidden=32, dropout=0.0)
        head.fit_scales(embedding, side, values)
        model = ParameterModel(head, encoder if tuned else None).eval()
        batch = {"embedding": embedding[:32], "side": side[:32], "targets": values[:32]} | (
            {"inputs": torch.from_numpy(objects.inputs[:32])} if tuned else {}
        )
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        before = model(batch)[0]
        before.backward()
        assert torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) > 0
        optimizer.step()
        assert model(batch)[0].item() < before.item()
        if tuned:
            assert model.network.conv_first.weight.grad.abs().max() > 0
    assert not encoder.network.conv_first.weight.requires_grad


def test_embeddings_with_gradient_are_the_encoders(objects, encoder):
    inputs = torch.from_numpy(objects.inputs[:8]).float()
    np.testing.assert_allclose(embed(encoder.network, encoder.card, inputs).numpy(), encoder.embed_inputs(inputs.numpy()), atol=1e-6)


def test_what_only_the_side_features_know_is_learned_from_them(encoder, tmp_path):
    some = known(800)
    rng = np.random.default_rng(1)
    truth = 20 + 2 * some.side[:, 0] + rng.normal(0, 0.2, len(some.side))
    truth[::5] = np.nan
    targets = as_targets(mag=truth)
    plan = HeadPlan(steps=250, batch=64, hidden=32, learning_rate=3e-3)
    held_out = some.parts()[2] & np.isfinite(truth)
    figures = {}
    for inputs in ("both", "embedding", "side"):
        estimate, sigma = fit(some, targets, encoder, plan, tmp_path / inputs, inputs=inputs, record={})
        figures[inputs] = measures(estimate[held_out, 0], truth[held_out], "other", sigma[held_out, 0])
    assert figures["both"]["r2"] > 0.9 and figures["side"]["r2"] > 0.9 and figures["embedding"]["r2"] < 0.1
    assert 0.55 < figures["both"]["within_sigma"] < 0.82
    assert boosted(some.side, targets, some.parts()[0], 0)[held_out, 0].std() > 1
    again, _ = fit(some, targets, encoder, plan, tmp_path / "both", inputs="both", record={})
    table = apply(tmp_path / "both", some)
    assert table.column_names == ["object_id", "mag", "mag_sigma"]
    np.testing.assert_allclose(table["mag"], again[:, 0], rtol=1e-6)
    with pytest.raises(ConfigError, match="another configuration"):
        fit(some, targets, encoder, dataclasses.replace(plan, seed=1), tmp_path / "both", inputs="both", record={})
    with pytest.raises(ConfigError, match="needs 3 side features and these stamps give 0"):
        apply(tmp_path / "both", known(side_names=(), side=np.empty((400, 0), np.float32)))


def test_sigmas_are_scaled_to_cover():
    rng = np.random.default_rng(0)
    true = np.full((5000, 2), np.nan)
    true[:, 0] = rng.normal(0, 3, 5000)
    true[:10, 1] = 0.0
    first, second = sigma_factors(np.zeros_like(true), np.ones_like(true), true)
    assert first == pytest.approx(3, rel=0.05) and second == 1


def test_catalogue_baseline_knows_what_it_is_told(objects):
    features, name = catalogue_features(objects, ())
    assert name == "g-r, r-z, r" and np.allclose(features[:, 0], 2.5 * np.log10(2), atol=1e-5)
    assert holds("mag_r", ()) and holds("flux_g", ()) and not holds("width", ()) and holds("width", ("width",))
    assert catalogue_features(known(), ()) is None


def test_the_verb_trains_reports_and_applies(stamps, encoder, tmp_path, capsys):
    encoder.save(tmp_path / "encoder")
    options = {"encoder": str(tmp_path / "encoder"), "pixel_scale": SCALE, "device": "cpu"}
    common = {"target": ("mag_r", "z_spec"), "out": tmp_path / "run", "steps": 400, "batch": 32, "hidden": 32, "learning_rate": 3e-3}
    parameters(stamps, config=ParametersConfig(**common, **options, leave_out=("inds=7",)), json_output=True)
    report = json.loads(capsys.readouterr().out)
    assert report["objects"] == COUNT - 1 and report["excluded"] == 1
    rows = report["targets"]["mag_r"]["rows"]
    assert rows["boosting, catalogue g-r, r-z, r"] is None and list(rows)[-1] == "head, embedding + side features"
    assert rows["head, embedding + side features"]["nmad"] < 0.3 * rows["constant (training median)"]["nmad"]
    z = report["targets"]["z_spec"]
    assert z["kind"] == "redshift" and z["missing"] > 0
    assert z["training"] + z["validation"] + z["held_out"] + z["missing"] == COUNT - 1
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"head", "side", "embedding", "parameters.json", "parameters.png"}
    parameters(config=ParametersConfig(out=tmp_path / "run", predict=stamps, predictions=tmp_path / "new.csv", **options))
    assert f"{COUNT} objects" in capsys.readouterr().out
    with (tmp_path / "new.csv").open() as new, (tmp_path / "run" / "held_out.csv").open() as old:
        estimated = {line["object_id"]: line for line in csv.DictReader(new)}
        held_out = list(csv.DictReader(old))
    assert len(held_out) > 20 and all(float(line["z_spec_sigma"]) > 0 for line in estimated.values())
    for line in held_out:
        assert float(estimated[line["object_id"]]["mag_r"]) == pytest.approx(float(line["mag_r"]), abs=1e-4)
    with pytest.raises(EncoderMismatch, match="was trained on the encoder trial"):
        encoder_of(tmp_path / "run" / "head", "default")


def test_a_finetuned_encoder_lies_beside_its_head(stamps, encoder, objects, tmp_path):
    targets = read_targets(objects.catalogue, ["width"], {})
    plan = HeadPlan(steps=4, batch=16, hidden=16, evaluations=2)
    estimate, sigma = fit(objects, targets, encoder, plan, tmp_path / "head", inputs="both", finetune=True, record={})
    own = encoder_of(tmp_path / "head", "default")
    assert own.checksum != encoder.checksum == load_encoder(_saved(encoder, tmp_path), device="cpu").checksum
    table = apply(tmp_path / "head", read_objects(stamps, own, pixel_scale_arcsec=SCALE))
    np.testing.assert_allclose(table["width"], estimate[:, 0], atol=2e-3)  # inputs are float16 in training
    np.testing.assert_allclose(table["width_sigma"], sigma[:, 0], rtol=1e-2)


def test_wrong_uses_are_one_clear_line(stamps, encoder, objects, tmp_path):
    wrong = [
        ({}, "Name a survey"),
        ({"predict": stamps}, "go together"),
        ({"predict": stamps, "predictions": tmp_path / "x.doc"}, "no table's name"),
        ({"predict": stamps, "predictions": tmp_path / "x.csv"}, "no head in"),
    ]
    for options, words in wrong:
        with pytest.raises(Exception, match=words) as caught:
            parameters(config=ParametersConfig(out=tmp_path / "run", **options))
        assert "\n" not in str(caught.value)
    few = as_targets(width=np.where(np.arange(COUNT) < 8, 1.0, np.nan))
    with pytest.raises(ConfigError, match="width is known for too few objects"):
        fit(objects, few, encoder, HeadPlan(), tmp_path / "few", inputs="both", record={})
    with pytest.raises(ConfigError, match="no side features"):
        ParameterHead(8, 0, 1, inputs="side")
    with pytest.raises(ConfigError, match="no object has this value; some have round, square"):
        exclude(objects.catalogue, {"kind": ["star"]})


def _saved(encoder, folder):
    encoder.save(folder / "saved")
    return folder / "saved"
