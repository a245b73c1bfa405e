"""Questions: what a TOML file asks, answers with gaps, and each loss."""

import math

import numpy as np
import pytest
import torch

from discovery.errors import ConfigError
from training.pretraining.answers import Answers, Unit, answer_loss, units_of
from training.pretraining.questions import answers, read_questions

pytestmark = pytest.mark.slow

FILE = """
[repeats]
a = 2

[[question]]
name = "smooth"
kind = "votes"
columns = ["smooth", "featured"]
surveys = { a = "a.csv" }

[[question]]
name = "shape"
kind = "attributes"
columns = ["bar", "ring"]
missing = -1
surveys = { a = "a.csv" }

[[question]]
name = "kind"
kind = "classes"
columns = ["label"]
surveys = { a = "a.csv", b = "b.csv" }

[[question]]
name = "type"
kind = "numbers"
columns = ["T"]
weight = 2.0
surveys = { b = "b.csv" }
"""
A = "object_id,smooth,featured,bar,ring,label\n1,0.75,0.25,0.5,-1,spiral\n2,0,0,1,0,\n3,0.2,,,0.25,round\n"
B = "object_id,label,T\n7,spiral,4\n8,disk,-2\n"


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "asked.toml").write_text(FILE)
    (tmp_path / "a.csv").write_text(A)
    (tmp_path / "b.csv").write_text(B)
    return tmp_path / "asked.toml"


def test_answers_have_gaps_where_a_survey_says_nothing(asked):
    file = read_questions(asked)
    assert file.repeats == {"a": 2} and file.question[2].classes == ("disk", "round", "spiral")
    nan = math.nan
    expected = [
        [0.75, 0.25, 0.5, nan, 0, 0, 1, nan],
        [nan, nan, 1, 0, nan, nan, nan, nan],  # no votes at all, no class
        [nan, nan, nan, 0.25, 0, 1, 0, nan],  # half of the votes are missing
        [nan] * 8,  # not in the table
    ]
    np.testing.assert_array_equal(answers(file.question, "a", ["1", "2", "3", "4"]), np.array(expected, np.float32))
    of_b = answers(file.question, "b", ["8", "7"])
    np.testing.assert_array_equal(of_b, np.array([[nan] * 4 + [1, 0, 0, -2], [nan] * 4 + [0, 0, 1, 4]], np.float32))
    assert np.isnan(answers(file.question, "another", ["1"])).all()


def all_answers(path):
    questions = read_questions(path).question
    return [answers(questions, survey, ["1", "7"]) for survey in ("a", "b")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("votes", "guesses"), "Invalid enum value 'guesses'"),
        (('["bar", "ring"]', '["bar", "halo"]'), "no column 'halo'"),
        (("missing = -1", ""), "values from -1 to 0.5"),
        (('name = "type"', 'name = "kind"'), "two questions named 'kind'"),
        (('["T"]', '["label"]'), "'label' of .* holds no numbers"),
        (('["label"]', '["label", "T"]'), "2 columns"),
    ],
)
def test_a_file_that_cannot_be_asked_is_one_clear_error(asked, change, message):
    asked.write_text(FILE.replace(*change))
    with pytest.raises(ConfigError, match=message):
        all_answers(asked)


def test_a_table_of_other_stamps_is_an_error(asked):
    with pytest.raises(ConfigError, match=r"No line of .*a\.csv names a stamp of a"):
        answers(read_questions(asked).question, "a", ["x", "y"])


def unit(kind, width, **more):
    return Unit(name="u", kind=kind, place=slice(0, width), share=0.5, weight=1.0, **more)


def test_votes_are_a_soft_cross_entropy_weighted_by_who_was_asked():
    called = torch.tensor([[1.0, -1.0], [0.3, 0.2]])
    target = torch.tensor([[0.3, 0.1], [math.nan, math.nan]])
    chances = torch.softmax(called[0], 0)
    expected = -(0.3 * chances[0].log() + 0.1 * chances[1].log())
    torch.testing.assert_close(answer_loss(unit("votes", 2), called, target), expected)


def test_attributes_are_a_binary_cross_entropy_of_the_number():
    called, target = torch.tensor([[0.7], [5.0]]), torch.tensor([[0.25], [math.nan]])
    p = torch.sigmoid(called[0, 0])
    even = answer_loss(unit("attributes", 1, mean=0.5), called, target)
    torch.testing.assert_close(even, -(0.25 * p.log() + 0.75 * (1 - p).log()))
    rare = answer_loss(unit("attributes", 1, mean=0.1), called, target)  # sqrt(0.9 / 0.1) = 3
    torch.testing.assert_close(rare, -(3 * 0.25 * p.log() + 0.75 * (1 - p).log()))


def test_numbers_are_standardised():
    loss = answer_loss(unit("numbers", 1, mean=4.0, std=2.0), torch.tensor([[0.0]]), torch.tensor([[8.0]]))
    assert loss.item() == pytest.approx(1.5)  # 2 deviations, beyond 1 the loss is |d| - 0.5


def test_units_are_balanced_by_the_root_of_their_answers(asked):
    file = read_questions(asked)
    known = answers(file.question, "a", ["1", "2", "3", "4"])
    learned = np.concatenate([known, known, answers(file.question, "b", ["7", "8"])])
    units = {one.name: one for one in units_of(file.question, learned)}
    assert list(units) == ["smooth", "shape.bar", "shape.ring", "kind", "type.T"]
    assert sum(one.weight for one in units.values()) == pytest.approx(1)
    assert units["kind"].share == pytest.approx(6 / 10) and units["smooth"].share == pytest.approx(2 / 10)
    assert units["kind"].weight / units["smooth"].weight == pytest.approx(3**0.5)
    assert units["type.T"].weight / units["smooth"].weight == pytest.approx(2.0)
    assert units["shape.ring"].mean == pytest.approx(0.125) and units["type.T"].std == pytest.approx(3.0)


def test_missing_answers_leave_no_gradient():
    """A head's row learns from those who answer it alone; a stamp without any answer moves no feature."""
    torch.manual_seed(0)
    module = Answers(4, 3, [unit("votes", 2), Unit(name="v", kind="attributes", place=slice(2, 3), share=0.5, weight=1.0)])
    features = torch.randn(3, 4, requires_grad=True)
    targets = torch.tensor([[0.5, 0.5, math.nan], [math.nan] * 3, [1.0, 0.0, math.nan]])
    loss, kinds = module(features, targets)
    loss.backward()
    assert torch.isfinite(loss) and set(kinds) == {"votes", "attributes"} and kinds["attributes"] == 0
    assert not features.grad[1].any() and features.grad[0].any() and features.grad[2].any()
    assert module.head.weight.grad[:2].any() and not module.head.weight.grad[2].any()
    nothing, _ = module(features, torch.full((3, 3), math.nan))
    assert nothing.item() == 0 and nothing.requires_grad
