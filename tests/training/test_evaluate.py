"""The tables of `discovery train evaluate` against oracles, on a tiny network."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, ndcg_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from discovery.cli import main
from discovery.encoders.encoder import load_encoder, timm_encoder
from discovery.errors import ConfigError
from discovery.stamps.preprocess import CropConfig
from training.data.labels import labelled_stamps
from training.data.stamps import load_stamps
from training.evaluation.invariance import invariance, mean_cosine_of_others, turned_copies
from training.evaluation.neighbours import knn, knn_accuracy
from training.evaluation.probe import probe
from training.evaluation.retrieval import EXAMPLES, class_measures, examples, retrieval
from training.evaluation.runs import PAPER, detection_table, multitask_tables
from training.evaluation.tables import spread, text
from training.finetuning.classes.classification import STRENGTHS, fit_linear
from training.spaces import EncoderSpace, PixelSpace, Vectors, draws


@pytest.fixture(scope="module")
def galaxies(survey, tmp_path_factory):
    """The shared pictures, with a number (column narrow; -1: not known) beside the kind."""
    folder = tmp_path_factory.mktemp("galaxies")
    shutil.copy(survey / "stamps.zip", folder)
    rows = list(csv.DictReader((survey / "labels.csv").read_text().splitlines()))
    with (folder / "labels.csv").open("w") as table:
        lines = csv.DictWriter(table, [*rows[0], "narrow"])
        lines.writeheader()
        for at, row in enumerate(rows):
            lines.writerow({**row, "narrow": -1.0 if at % 10 == 0 else 0.75 if at % 2 else 0.25})
    return folder


@pytest.fixture
def stamps(galaxies, cache):
    return load_stamps(f"{galaxies}@kind", cache)


def unit(rng, *shape):
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run(capsys, *arguments):
    status = main(["train", "evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err.strip().splitlines()[-1] if status else ""


def test_knn_accuracy_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    train, test = unit(rng, 200, 8), unit(rng, 80, 8)
    labels, truth = ((part[:, 0] > 0).astype(int) + (part[:, 1] > 0.3) for part in (train, test))
    oracle = KNeighborsClassifier(20, metric="cosine").fit(train, labels)
    assert knn_accuracy(train, labels, test, truth) == pytest.approx(oracle.score(test, truth))


def test_draws_keep_to_their_parts(stamps):
    drawn = list(draws(stamps, seeds=3, limit=1000, held_out=10))
    for one in drawn:
        assert stamps.trains[one.train].all() and not stamps.trains[one.test].any()
        assert len(one.train) == int(0.8 * stamps.trains.sum()) and len(set(one.train)) == len(one.train)
        np.testing.assert_array_equal(one.test, drawn[0].test)
    assert len(drawn[0].test) == 10
    assert not np.array_equal(drawn[0].train, drawn[1].train)


@pytest.mark.slow
def test_the_knn_table_is_what_scikit_learn_finds(encoder, stamps):
    result = knn(encoder, stamps, k=5, seeds=2)
    vectors = Vectors(EncoderSpace("e", encoder), stamps)
    found = []
    for one in draws(stamps, seeds=2, limit=4000):
        oracle = KNeighborsClassifier(5, metric="cosine").fit(vectors.at(one.train), stamps.labels[one.train])
        found.append(oracle.score(vectors.at(one.test), stamps.labels[one.test]))
    assert result["lines"][0]["accuracy"] == spread(found)
    assert [line["space"] for line in result["lines"]] == [
        "encoder", "same network, untrained", "ResNet18, untrained", "PCA-64 of the pixels",
    ]  # fmt: skip
    assert result["encoder"]["checksum"] == encoder.checksum and result["seeds"] == 2
    assert "ResNet18" in text(result) and "lowest - highest" in text(result)


def test_vectors_are_the_encoders_own(encoder, stamps):
    vectors = Vectors(EncoderSpace("e", encoder), stamps)
    rows = np.array([5, 3, 5, 70])
    small = torch.nn.functional.avg_pool2d(torch.from_numpy(stamps.pixels[rows]).float() / 255, 2)
    np.testing.assert_allclose(vectors.at(rows), encoder.embed_inputs(small[:, None].numpy()), atol=2e-6)
    np.testing.assert_array_equal(vectors.at(np.arange(10))[[5, 3]], vectors.at(rows)[:2])


def test_pixel_components_are_orthogonal_directions(stamps):
    space = PixelSpace(stamps.pixels[:80])
    np.testing.assert_allclose(np.linalg.norm(space.embed(stamps.pixels[80:90]), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_head_is_logistic_regression(classes):
    rng = np.random.default_rng(1)
    vectors = unit(rng, 150, 6)
    labels = np.digitize(vectors[:, 0] + rng.normal(0, 0.1, 150), [-0.1, 0.3][: classes - 1])
    head = fit_linear(vectors, labels, classes)
    answers = head.probabilities(vectors)
    oracles = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000, tol=1e-3)).fit(
            vectors, labels
        )
        for strength in STRENGTHS
    ]
    assert min(np.abs(oracle.predict_proba(vectors) - answers).max() for oracle in oracles) < 2e-3


def test_the_linear_head_never_answers_an_unseen_class():
    rng = np.random.default_rng(2)
    vectors = unit(rng, 40, 4)
    head = fit_linear(vectors, np.where(vectors[:, 0] > 0, 3, 1), 5)
    assert set(head.probabilities(vectors).argmax(1)) == {1, 3}


def test_the_probe_tells_the_kinds_apart(encoder, stamps):
    result = probe(encoder, stamps, seeds=2, baselines=False)
    (line,) = result["lines"]
    assert line["accuracy"]["low"] > 0.8 and len(line["f1"]["values"]) == 2


def test_recall_and_gain_of_a_class_against_brute_force():
    rng = np.random.default_rng(3)
    vectors, labels = unit(rng, 30, 4), (rng.random(30) < 0.3).astype(int)
    found = class_measures(vectors, labels, 1)
    recalls, gains = [], []
    for query in np.flatnonzero(labels == 1):
        rest = np.delete(np.arange(30), query)
        scores, truth = vectors[rest] @ vectors[query], labels[rest] == 1
        recalls.append(truth[np.argsort(-scores)[:10]].sum() / truth.sum())
        gains.append(ndcg_score(truth[None], scores[None], k=10))
    assert found["recall@10"] == pytest.approx(np.mean(recalls))
    assert found["nDCG@10"] == pytest.approx(np.mean(gains))
    assert found["recall@100"] == 1


def test_the_retrieval_table_against_brute_force(encoder, stamps):
    result = retrieval(encoder, stamps, seeds=1, baselines=False)
    rows = np.flatnonzero(~stamps.trains)
    drawn = np.sort(
        np.random.default_rng([2, 0]).permutation(np.sort(np.random.default_rng(0).permutation(rows)))[
            : int(0.8 * len(rows))
        ]
    )
    vectors, labels = Vectors(EncoderSpace("e", encoder), stamps).at(drawn), stamps.labels[drawn]
    gains = {0: [], 1: []}
    for query in range(len(drawn)):
        rest = np.arange(len(drawn)) != query
        truth = labels[rest] == labels[query]
        gains[labels[query]].append(ndcg_score(truth[None], (vectors[rest] @ vectors[query])[None], k=10))
    by_class = {line["class"]: line for line in result["lines"]}
    for at, name in enumerate(stamps.classes):
        assert by_class[name]["nDCG@10"]["median"] == pytest.approx(np.mean(gains[at]), abs=1e-5)
        assert by_class[name]["recall@100"]["median"] == 1  # fewer than 100 there
    means = [by_class[name]["nDCG@10"]["median"] for name in stamps.classes]
    assert by_class["mean of classes"]["nDCG@10"]["median"] == pytest.approx(np.mean(means), abs=1e-4)


def test_found_from_examples_against_scikit_learn(encoder, galaxies, cache):
    stamps = labelled_stamps(f"{galaxies}@narrow>=0.5", cache, missing=-1)
    result = examples(encoder, [("narrow", stamps)], seeds=2)
    rows = np.flatnonzero(~stamps.trains & (stamps.labels >= 0))
    vectors, truth = Vectors(EncoderSpace("e", encoder), stamps).at(rows), stamps.labels[rows] == 1
    found = []
    for seed in range(2):
        given = np.random.default_rng([3, seed]).choice(np.flatnonzero(truth), EXAMPLES, replace=False)
        rest = np.setdiff1d(np.arange(len(rows)), given)
        found.append(average_precision_score(truth[rest], vectors[rest] @ vectors[given].mean(0)))
    line = result["lines"][0]
    np.testing.assert_allclose(line["average_precision"]["values"], found, atol=1e-4)
    assert line["mean"] == pytest.approx(np.mean(found), abs=1e-4)
    pixels = next(line for line in result["lines"] if line["space"].startswith("PCA"))
    assert pixels["times_PCA"] == 1 and line["times_PCA"] == pytest.approx(
        line["mean"] / pixels["mean"], abs=0.01
    )


class Brightness:
    """A space that no turn can change: the sorted pixel values."""

    name = "brightness"

    def embed(self, stored):
        flat = np.sort(stored.reshape(len(stored), -1).astype(np.float32), axis=1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_invariance_of_what_cannot_change_and_of_pixels(encoder, stamps):
    class Pixels(Brightness):
        name = "pixels"

        def embed(self, stored):
            flat = stored.reshape(len(stored), -1).astype(np.float32)
            flat = flat - flat.mean(1, keepdims=True)
            return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    result = invariance(
        encoder, stamps, seeds=2, count=12, vectors=[Vectors(Brightness(), stamps), Vectors(Pixels(), stamps)]
    )
    lines = {(line["space"], line["copy"]): line for line in result["lines"]}
    assert len(lines) == 12
    for angle in (90, 180, 270):
        assert lines["brightness", f"turned by {angle}"]["kept"]["low"] == pytest.approx(1, abs=1e-5)
    quarter, half = (lines["pixels", f"turned by {angle}"]["same_stamp"]["median"] for angle in (90, 180))
    assert quarter + 0.05 < half  # an ellipse looks the same from the other side


def test_turned_copies_turn(stamps):
    one = stamps.pixels[1:3]
    copies = turned_copies(one, np.random.default_rng(0))
    np.testing.assert_array_equal(copies["turned by 90"][0, 1], np.rot90(one[0, 1]))
    np.testing.assert_array_equal(copies["mirrored up-down"][1, 2], one[1, 2, ::-1])
    any_angle = copies["turned by any angle"]
    assert any_angle.shape == one.shape and any_angle.dtype == one.dtype
    centre = slice(48, 80)
    assert abs(any_angle[..., centre, centre].mean() - one[..., centre, centre].mean()) < 20
    assert not np.array_equal(any_angle, one)


def test_the_mean_cosine_of_others_is_that_of_all_pairs():
    vectors = unit(np.random.default_rng(5), 9, 4)
    pairs = [vectors[i] @ vectors[j] for i in range(9) for j in range(9) if i != j]
    assert mean_cosine_of_others(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_labels_from_a_condition_and_from_a_file(galaxies, cache, tmp_path):
    stamps = labelled_stamps(f"{galaxies}@narrow >= 0.5", cache, missing=-1.0)
    number = [int(name[1:]) for name in stamps.object_ids]
    np.testing.assert_array_equal(stamps.labels, [-1 if n % 10 == 0 else n % 2 for n in number])
    assert stamps.classes == ("no", "yes")
    assert (labelled_stamps(f"{galaxies}@narrow>=0.5", cache).labels >= 0).all()
    table = tmp_path / "mine.csv"
    table.write_text("object_id,verdict\ng3,odd\ng4,even\nelsewhere,odd\n")
    joined = labelled_stamps(f"{galaxies}@verdict", cache, labels=table)
    assert joined.classes == ("even", "odd")
    known = {
        joined.object_ids[row]: joined.classes[joined.labels[row]]
        for row in np.flatnonzero(joined.labels >= 0)
    }
    assert known == {"g3": "odd", "g4": "even"}


def test_wrong_labels_are_one_clear_error(galaxies, cache, tmp_path):
    table = tmp_path / "others.csv"
    table.write_text("object_id,verdict\nx1,odd\nx2,even\n")
    with pytest.raises(ConfigError, match=r"No line of .*others\.csv names a stamp"):
        labelled_stamps(f"{galaxies}@verdict", cache, labels=table)
    with pytest.raises(ConfigError, match="no column 'colour'"):
        labelled_stamps(f"{galaxies}@colour", cache)
    with pytest.raises(ConfigError, match="no column 'colour'"):
        labelled_stamps(f"{galaxies}@colour", cache, labels=table)
    with pytest.raises(ConfigError, match="no number"):
        labelled_stamps(f"{galaxies}@kind>=0.5", cache)
    with pytest.raises(ConfigError, match="PATH@COLUMN"):
        labelled_stamps(str(galaxies), cache)


def test_encoders_of_other_input_are_refused(stamps):
    other = timm_encoder("resnet18", input_size=64, crop=CropConfig(mode="fixed", fixed_arcsec=20.0))
    with pytest.raises(ConfigError, match="fixed crop"):
        knn(other, stamps)


@pytest.mark.slow
def test_verbs_print_a_table_or_one_document(galaxies, cache, folder, tmp_path, capsys):
    common = ("--encoder", folder, "--cache", cache, "--seeds", 2, "--no-baselines", "--device", "cpu")
    status, out, _ = run(
        capsys, "knn", f"{galaxies}@kind", *common, "--out", tmp_path / "deep" / "knn.json", "--json"
    )
    kept = json.loads((tmp_path / "deep" / "knn.json").read_text())
    assert status == 0 and json.loads(out) == kept
    assert kept["options"]["seeds"] == 2 and kept["encoder"]["checksum"] == load_encoder(folder).checksum
    status, out, _ = run(capsys, "invariance", galaxies, *common, "--stamps", 8)
    assert status == 0 and "turned by any angle" in out
    status, out, _ = run(
        capsys,
        "all",
        f"{galaxies}@kind",
        *common,
        "--kinds",
        f"{galaxies}@narrow>=0.5",
        "--missing",
        -1,
        "--sizes",
        5,
        "--json",
    )
    document = json.loads(out)
    assert set(document) == {
        "options",
        "knn",
        "probe",
        "few_shot",
        "retrieval",
        "invariance",
        "from_examples",
    }
    assert document["knn"]["lines"] == kept["lines"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("knn", "{survey}"), "PATH@COLUMN"),
        (("knn", "{survey}@colour"), "no column"),
        (("knn", "{survey}@kind", "--k", "500"), "--k"),
        (("knn", "{survey}@kind", "--seeds", "0"), "seeds"),
        (("probe", "{survey}@kind", "--encoder", "/nowhere"), "No encoder at"),
        (("from-examples", "{survey}@narrow"), "NUMBER"),
        (("from-examples",), "at least one kind"),
        (("from-examples", "{survey}@narrow>=2"), "0 of"),
        (("invariance", "{survey}", "--stamps", "1"), "needs two"),
        (("few-shot", "{survey}@kind", "--variants", "huge"), "no variant 'huge'"),
        (("few-shot", "{survey}@kind", "--networks", "lenet"), "no network 'lenet'"),
        (("few-shot", "{survey}@kind", "--weights", "vgg16"), "NAME=FILE"),
        (("few-shot", "{survey}@kind", "--image-size", "32"), "64 pixels"),
        (("multitask", "/nowhere"), "multitask.json is missing"),
        (("detection", "/nowhere"), "detection.json is missing"),
        (("detection",), "at least one folder"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, galaxies, cache, folder, capsys):
    given = [one.format(survey=galaxies) for one in arguments]
    if given[0] not in ("multitask", "detection"):
        given += [
            "--cache",
            str(cache),
            "--device",
            "cpu",
            *([] if "--encoder" in given else ["--encoder", str(folder)]),
        ]
    status, out, line = run(capsys, *given)
    assert status == 1 and not out and line.startswith("discovery: error: ") and message in line


def test_multitask_tables_stand_beside_the_papers(tmp_path):
    rng = np.random.default_rng(0)
    runs = []
    for strategy, seed in (("active", 0), ("active", 1), ("frozen", 0)):
        pictures = {
            f"{which}{name}": float(rng.random())
            for which in ("", "input_")
            for name in ("mse", "psnr", "ssim")
        }
        test = {"classification": dict.fromkeys(("accuracy", "precision", "recall", "f1"), 0.5 + 0.1 * seed)}
        document = {"strategy": strategy, "encoder": "tiny", "survey": "gz2", "classes": ["a"], "stamps": {}, "test": {
            **test, "restoration": pictures, "reconstruction": pictures}}  # fmt: skip
        runs.append(tmp_path / f"{strategy}{seed}")
        runs[-1].mkdir()
        (runs[-1] / "multitask.json").write_text(json.dumps(document))
    tables = multitask_tables(runs)["tables"]
    assert [line[""] for line in tables["restoration"]] == [
        "input",
        "frozen",
        "active",
        "gain, frozen",
        "gain, active",
    ]
    assert tables["classification"][1]["f1"]["values"] == [0.5, 0.6]
    gain = tables["restoration"][-1]
    first = json.loads((runs[0] / "multitask.json").read_text())["test"]["restoration"]
    assert gain["psnr"]["values"][0] == pytest.approx(first["psnr"] - first["input_psnr"], abs=1e-5)
    assert gain["paper_psnr"] == pytest.approx(PAPER["restoration"]["active"][1] - 31.11)
    (runs[1] / "multitask.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(ConfigError, match="holds no result of discovery train multitask"):
        multitask_tables(runs)
    (runs[1] / "multitask.json").write_text(json.dumps(document))
    (runs[0] / "multitask.json").write_text(json.dumps({**document, "survey": "efigi"}))
    with pytest.raises(ConfigError, match="differ in their survey"):
        multitask_tables(runs)


def test_the_detection_table_gathers_runs(tmp_path):
    rows = [{"backbone": name, "start": "x", "fields": 100, "parameters": 5, "box_ap50": ap, "box_ap": 0.3, "mask_ap50": 0.4, "mask_ap": 0.2}
            for name, ap in (("lvm", 0.6), ("resnet50", 0.5))]  # fmt: skip
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        document = {"sources": {"held_out": {"lenses": 4}}, "plan": {"size": 256, "seed": seed}, "rows": rows}
        (tmp_path / str(seed) / "detection.json").write_text(json.dumps(document))
    result = detection_table([tmp_path / "0", tmp_path / "1"])
    assert [line["backbone"] for line in result["lines"]] == ["lvm", "resnet50"]
    assert result["lines"][0]["box_ap50"]["values"] == [0.6, 0.6] and "0.600" in text(result)
