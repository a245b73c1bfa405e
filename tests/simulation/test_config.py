"""How many of each class a survey holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.errors import ConfigError
from discovery.simulation import CLASSES, SurveyPlan

fractions = st.floats(0, 0.2)


def test_default_survey_has_the_published_rare_fractions() -> None:
    plan = SurveyPlan()
    assert plan.galaxies == 4000
    assert (plan.counts["merger"], plan.counts["ring"], plan.counts["lens"]) == (80, 20, 20)


@given(galaxies=st.integers(45, 20_000), mergers=fractions, rings=fractions, lenses=fractions)
def test_counts_are_complete_and_never_below_five(
    galaxies: int, mergers: float, rings: float, lenses: float
) -> None:
    rare = sum(max(5, round(galaxies * fraction)) for fraction in (mergers, rings, lenses))
    if rare + 30 > galaxies:
        with pytest.raises(ConfigError, match="lower the fractions"):
            SurveyPlan(galaxies=galaxies, mergers=mergers, rings=rings, lenses=lenses)
        return
    plan = SurveyPlan(galaxies=galaxies, mergers=mergers, rings=rings, lenses=lenses)
    assert tuple(plan.counts) == CLASSES
    assert sum(plan.counts.values()) == galaxies
    assert min(plan.counts.values()) >= 5
    assert plan.counts["lens"] == max(5, round(galaxies * lenses))


@pytest.mark.parametrize("galaxies", [45, 300])
def test_small_surveys_hold_every_class(galaxies: int) -> None:
    assert min(SurveyPlan(galaxies=galaxies).counts.values()) >= 5


@pytest.mark.parametrize(
    ("given_wrong", "says"),
    [
        ({"galaxies": 44}, "at least 45"),
        ({"galaxies": 0}, "at least 45"),
        ({"mergers": 1.5}, "class merger"),
        ({"rings": -0.1}, "class ring"),
        ({"lenses": float("nan")}, "class lens"),
        ({"mergers": 0.6, "rings": 0.6}, "lower the fractions"),
        ({"seed": -1}, "negative"),
    ],
)
def test_impossible_plans_are_refused(given_wrong: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SurveyPlan(**given_wrong)
