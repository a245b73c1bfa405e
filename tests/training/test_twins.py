"""Twins: the same galaxy in two surveys, cut and coloured differently."""

import cv2
import numpy as np
import pytest

from discovery.cli import main
from training.data.stamps import Stamps, is_training
from training.data.twins import find_twins, fine_correlation, left_out

pytestmark = pytest.mark.slow


def galaxies(count, seed):
    """Stamps (count, 3, 128, 128) of inclined disks with knots and stars of their own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128] - 63.5
    made = []
    for _ in range(count):
        light = 180 * np.exp(-np.hypot(x, y / 0.5) / 14)
        for _ in range(14):
            a, b = rng.uniform(-40, 40), rng.uniform(-25, 25)
            light = light + rng.uniform(30, 120) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / rng.uniform(3, 12))
        made.append(light)
    return np.clip(np.stack(made)[:, None] * np.array([0.5, 0.8, 1.0])[:, None, None], 0, 255).astype(np.uint8)


def stamps(name, pixels, ids):
    trains = np.array([is_training(one) for one in ids])
    return Stamps(name=name, pixels=pixels, object_ids=ids, labels=None, classes=(), trains=trains, validates=np.zeros(len(ids), bool))


def recut(pixels):
    """Return stamps as another survey shows them: smaller, brighter, in JPEG."""
    out = []
    for one in pixels:
        matrix = np.array([[0.8, 0, 12.7], [0, 0.8, 12.7]], np.float32)
        picture = cv2.warpAffine(one.transpose(1, 2, 0), matrix, (128, 128), flags=cv2.INTER_AREA)
        picture = np.clip(picture * 1.2 + 6, 0, 255).astype(np.uint8)
        out.append(cv2.imdecode(cv2.imencode(".jpg", picture)[1], cv2.IMREAD_COLOR).transpose(2, 0, 1))
    return np.stack(out)


@pytest.fixture(scope="module")
def parts():
    first, others = galaxies(12, 0), galaxies(12, 1)
    one = stamps("one", first, [f"a{i}" for i in range(12)])
    other = stamps("other", np.concatenate([others, recut(first[:6])]), [f"b{i}" for i in range(18)])
    return [one, other]


def test_twins_are_found_and_nothing_else(parts):
    found = find_twins(parts)
    assert {(twin.one, twin.other) for twin in found} == {(f"a{i}", f"b{12 + i}") for i in range(6)}
    assert [twin.correlation for twin in found] == sorted((twin.correlation for twin in found), reverse=True)
    assert fine_correlation(parts[0].pixels[0], parts[1].pixels[0]) < 0.6


def test_what_trains_and_has_a_twin_held_out_is_left_out(parts):
    found = find_twins(parts)
    expected = set()
    for twin in found:
        if is_training(twin.one) != is_training(twin.other):
            expected.add(twin.one if is_training(twin.one) else twin.other)
    assert left_out(found, parts) == expected != set()


def test_the_command_writes_pairs_and_what_to_leave_out(survey, cache, tmp_path, capsys):
    verb = ["train", "twins", str(survey), str(survey), "--cache", str(cache), "--pairs", str(tmp_path / "pairs.csv")]
    assert main([*verb, "--out", str(tmp_path / "out.txt"), "--json"]) == 0
    assert '"twins": ' in capsys.readouterr().out
    assert (tmp_path / "pairs.csv").read_text().splitlines()[0] == "one,other,survey,other_survey,correlation"
    assert main(["train", "twins", str(survey)]) == 1
