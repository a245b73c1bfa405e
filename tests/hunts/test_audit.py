"""Audits: intervals that hold what they promise, samples that stay valid, stamps that never teach."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, hypergeom

from discovery.cli import main
from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelRequest, move_hunt, new_hunt
from discovery.hunts.audits.audit import draw_audit, plot_report, report
from discovery.hunts.audits.design import (
    OUTSIDE,
    AuditDesign,
    allocated,
    design_audit,
    draw_strata,
    read_design,
    sample_of,
    strata_bounds,
    strata_of,
)
from discovery.hunts.audits.estimates import (
    AuditSample,
    Evidence,
    count_interval,
    plain_interval,
    targets_among,
)
from discovery.hunts.audits.report import AuditProgress, make_report
from discovery.hunts.audits.report_text import text_lines
from discovery.hunts.simulation.simulate import ArrayEmbeddings, play_hunt

pytestmark = pytest.mark.slow

MANY = 10**6


# -- intervals against independent oracles


@pytest.mark.parametrize(("drawn", "positive"), [(300, 0), (300, 2), (300, 31), (40, 39), (25, 25)])
def test_a_single_stratum_gives_the_mid_p_interval(drawn: int, positive: int) -> None:
    def tail(rate: float, upper: bool) -> float:
        more = binom.sf(positive, drawn, rate) if upper else binom.cdf(positive - 1, drawn, rate)
        return float(more + 0.5 * binom.pmf(positive, drawn, rate)) - 0.025

    low = 0.0 if not positive else brentq(tail, 1e-9, 1 - 1e-9, args=(True,))
    high = 1.0 if positive == drawn else brentq(tail, 1e-9, 1 - 1e-9, args=(False,))
    interval = plain_interval(MANY, drawn, positive)
    assert interval.low / MANY == pytest.approx(low, rel=0.03, abs=2e-5)
    assert interval.high / MANY == pytest.approx(high, rel=0.03, abs=2e-5)
    exact = binomtest(positive, drawn).proportion_ci(method="exact")
    assert exact.low <= interval.low / MANY + 1e-3 and interval.high / MANY <= exact.high + 1e-3


@pytest.mark.parametrize(("size", "drawn"), [(60, 20), (500, 100)])
def test_a_finite_set_is_covered_whatever_it_holds(size: int, drawn: int) -> None:
    intervals = [plain_interval(size, drawn, positive) for positive in range(drawn + 1)]
    held = []
    for targets in range(0, size + 1, max(size // 60, 1)):
        positive = np.arange(drawn + 1)
        chances = hypergeom.pmf(positive, size, targets, drawn)
        holds = [one.low <= targets <= one.high for one in intervals]
        held.append(float(chances @ np.array(holds)))
    assert min(held) > 0.91 and np.mean(held) > 0.95


def sample_in_one_stratum(frame: np.ndarray, known: np.ndarray, drawn: np.ndarray, positive: np.ndarray) -> AuditSample:
    """A plain random sample of a frame, all by their scores."""
    return AuditSample(
        frame=frame,
        strata=np.zeros(len(frame), dtype=np.int64),
        known=known,
        scores=drawn,
        drawn_strata=np.zeros(len(drawn), dtype=np.int64),
        positive=positive,
        weights=np.array([len(frame) / len(drawn)]),
    )


def test_everything_judged_is_known_exactly() -> None:
    scores, truth = np.arange(50.0), np.arange(50) % 7 == 0
    sample = sample_in_one_stratum(scores, scores[truth], scores, truth)
    interval = count_interval([Evidence(np.empty(0), [sample]).piece(-np.inf, np.inf)], known=int(truth.sum()))
    assert interval.low == interval.high == interval.estimate == truth.sum()


def test_objects_that_no_audit_speaks_for_may_all_be_targets() -> None:
    scores = np.arange(100.0)
    sample = sample_in_one_stratum(scores[50:], np.empty(0), scores[90:], np.zeros(10, bool))
    evidence = Evidence(scores[:90], [sample], blind=scores[:50])
    interval = count_interval([evidence.piece(-np.inf, np.inf)])
    assert interval.low == 0 and interval.high >= 50
    assert count_interval([evidence.piece(-np.inf, 50), evidence.piece(50, np.inf)]).high >= 50
    assert count_interval([Evidence(scores, []).piece(-np.inf, np.inf)]).high == 100


def test_a_sample_without_a_target_never_says_that_one_is_left() -> None:
    scores = np.arange(300.0)
    hunted = scores[-20:]  # all targets, found by the hunt after the audit was drawn
    sample = sample_in_one_stratum(scores, hunted, scores[:260:65], np.zeros(4, dtype=bool))
    left = np.setdiff1d(scores, [*hunted, *scores[:260:65]])
    for bounds in ((-np.inf, np.inf), (-np.inf, 150, np.inf)):
        pieces = [Evidence(left, [sample]).piece(low, high) for low, high in itertools.pairwise(bounds)]
        interval = count_interval(pieces, known=20)
        assert interval.low == interval.estimate == 20 and interval.high > 100


def test_two_samples_of_one_set_are_worth_one_of_their_size() -> None:
    scores, truth = np.arange(2000.0), np.arange(2000) % 20 == 0
    order = np.random.default_rng(2).permutation(2000)
    first, second = order[:100], order[100:300]
    known = np.isin(np.arange(2000), order[:300]) & truth

    def sample(rows: np.ndarray, frame: np.ndarray) -> AuditSample:
        return sample_in_one_stratum(scores[frame], scores[frame][known[frame]], scores[rows], truth[rows])

    left = scores[np.sort(order[300:])]
    two = Evidence(left, [sample(first, order), sample(second, order[100:])]).piece(-np.inf, np.inf)
    one = Evidence(left, [sample(order[:300], order)]).piece(-np.inf, np.inf)
    assert two.expected == pytest.approx(one.expected, rel=0.02)
    assert np.quantile(targets_among([two]), [0.025, 0.975]) == pytest.approx(np.quantile(targets_among([one]), [0.025, 0.975]), rel=0.05)


# -- coverage at a small size; tests/benchmarks/audit_coverage.py does it at full size


@cache
def played(prevalence: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, truth and labels of a hunt among 6,000 objects."""
    rng = np.random.default_rng(seed)
    truth = np.arange(6000) < 6000 * prevalence
    vectors = rng.normal(size=(6000, 16))
    vectors[truth] += 1.2 * rng.normal(size=(2, 16))[rng.integers(0, 2, int(truth.sum()))]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hunt = play_hunt(ArrayEmbeddings(vectors), truth, strategy="similarity", examples=3, rounds=3, page_size=10, seed=seed)
    labelled = np.zeros(6000, dtype=bool)
    labelled[hunt.shown] = labelled[hunt.examples] = True
    return hunt.ranking.astype(np.float64), truth, labelled


def audit_by_truth(
    scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray, draws: tuple[int, ...], seed: int
) -> tuple[list[AuditSample], np.ndarray, tuple[float, ...]]:
    """Draw and judge audits by one ranking; the samples, what is labelled now, and the strata."""
    taken: list[tuple[AuditDesign, np.ndarray]] = []
    bounds = strata_bounds(scores[~labelled])
    for number, labels in enumerate(draws):
        earlier = Evidence(scores[~labelled], samples_of(taken, scores, truth & labelled))
        design = design_audit(scores, ~labelled, labels, share=0.5, bounds=bounds, earlier=earlier)
        taken.append((design, draw_strata(design.members, np.array(design.drawn), seed + number)))
        labelled = labelled.copy()
        labelled[taken[-1][1]] = True
    return samples_of(taken, scores, truth & labelled), labelled, bounds


def samples_of(taken: list[tuple[AuditDesign, np.ndarray]], scores: np.ndarray, known: np.ndarray) -> list[AuditSample]:
    """What audits say by some scores."""
    return [sample_of(design, rows, scores, known, np.ones(len(scores), dtype=bool))[0] for design, rows in taken]


def reported(samples: list[AuditSample], scores: np.ndarray, truth: np.ndarray, labelled: np.ndarray, bounds: tuple[float, ...]) -> Any:
    return make_report(
        Evidence(scores[~labelled], samples),
        known=int((truth & labelled).sum()),
        objects=len(truth),
        bounds=bounds,
        progress=AuditProgress(audits=1, drawn=1, judged=1, skipped=0, waiting=0),
        requested=0.9,
    )


@pytest.mark.parametrize("prevalence", [0.001, 0.01, 0.1])
def test_intervals_hold_the_truth_by_good_and_by_bad_rankings(prevalence: float) -> None:
    held, purity = [], []
    for number in range(60):
        scores, truth, labelled = played(prevalence, number % 3)
        scores = (scores, np.random.default_rng(number).permutation(scores), -scores)[number // 3 % 3]
        samples, labelled, bounds = audit_by_truth(scores, truth, labelled, (80, 80), 10 * number)
        made = reported(samples, scores, truth, labelled, bounds)
        held.append(made.targets.low <= truth.sum() <= made.targets.high)
        known = (truth & labelled).sum()
        for cut in made.curve:
            share = (known + (truth & ~labelled & (scores >= cut.score)).sum()) / (known + cut.objects)
            purity.append(cut.purity.low - 1e-9 <= share <= cut.purity.high + 1e-9)
    assert np.mean(held) >= 0.89  # 0.95 less two standard deviations of 60 audits
    assert np.mean(purity) >= 0.93


def test_samples_stay_valid_while_the_hunt_goes_on() -> None:
    held = []
    for number in range(40):
        rng = np.random.default_rng(number)
        scores, truth, labelled = played(0.05, number % 4)
        taken: list[tuple[AuditDesign, np.ndarray]] = []
        for audit in range(2):
            design = design_audit(scores, ~labelled, 80, share=0.5)
            taken.append((design, draw_strata(design.members, np.array(design.drawn), 10 * number + audit)))
            labelled = labelled.copy()
            labelled[taken[-1][1]] = True
            labelled[np.argsort(-np.where(labelled, -np.inf, scores))[:60]] = True  # the hunt labels its best
            scores = scores + scores.std() * (0.5 * truth + 0.3 * rng.normal(size=len(scores)))  # and learns from it
        samples = samples_of(taken, scores, truth & labelled)
        made = reported(samples, scores, truth, labelled, strata_bounds(scores[~labelled]))
        held.append(made.targets.low <= truth.sum() <= made.targets.high)
    assert np.mean(held) >= 0.88


def test_a_good_ranking_narrows_the_interval() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(20_000) < 2000
    scores = rng.normal(size=20_000) + 4.0 * truth
    widths = []
    for seed in range(9):
        samples, labelled, bounds = audit_by_truth(scores, truth, np.zeros(20_000, bool), (100, 100, 100), 10 * seed)
        made = reported(samples, scores, truth, labelled, bounds)
        plain = plain_interval(20_000, 300, int(rng.choice(truth, 300, replace=False).sum()))
        widths.append((made.targets.high - made.targets.low) / (plain.high - plain.low))
    assert np.median(widths) < 0.6


# -- designs


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=7), st.integers(1, 400), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_an_allocation_adds_up_and_fits(sizes: list[int], labels: int, seed: int) -> None:
    whole = np.array(sizes)
    if not whole.sum():
        whole[0] = 1
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 30, len(whole)).astype(float)
    counts = allocated(whole, rng.random(len(whole)) * 0.9, labels, before)
    assert counts.sum() == min(labels, whole.sum()) and (counts >= 0).all() and (counts <= whole).all()


@given(st.integers(1, 300), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_strata_part_the_scores_from_the_top(count: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 40, count).astype(float)  # with equal scores
    bounds = strata_bounds(scores)
    strata = strata_of(scores, bounds)
    assert (np.diff(strata[np.argsort(-scores, kind="stable")]) >= 0).all()
    assert set(strata.tolist()) == set(range(len(bounds) + 1))


def test_a_design_survives_its_file_and_damage_is_found() -> None:
    scores = np.random.default_rng(1).normal(size=500)
    design = design_audit(scores, scores < 2.0, 40, share=0.5, strategy="linear", model={"name": "linear"})
    assert (design.members == OUTSIDE).sum() == (scores >= 2.0).sum() and sum(design.drawn) == 40
    document = json.loads(json.dumps(design.document()))
    again = read_design(document, 500)
    assert np.array_equal(again.members, design.members)
    for field in dataclasses.fields(AuditDesign):
        if field.name != "members":
            assert getattr(again, field.name) == getattr(design, field.name)
    for broken in ({**document, "members": "no"}, {**document, "strata": document["strata"][1:]}, {"bounds": []}):
        with pytest.raises(HuntError, match="damaged"):
            read_design(broken, 500)
    with pytest.raises(HuntError, match="not for 499 objects"):
        read_design(document, 499)


# -- audits of hunts


@pytest.fixture
def hunt(release: Any, prompts: Callable, tmp_path: Path) -> Hunt:
    """A hunt with 20 labels: obj-0000 to obj-0039 are targets, obj-0399 is obj-0000 again."""
    started = new_hunt(tmp_path / "a.hunt", release, positives=prompts(0, 1), strategy="linear", page_size=10, where="mag_r < 22", who="ann")
    for _ in range(2):
        judge(started, started.next_round("ann").rows)
    return started


def judge(hunt: Hunt, rows: Any) -> None:
    """Label rows by the truth."""
    hunt.label_many([LabelRequest(row=int(row), verdict="positive" if row < 40 else "negative") for row in rows], who="ann")


def test_what_is_drawn_is_new_counts_once_and_never_teaches(hunt: Hunt) -> None:
    before = hunt.training()
    seen = set(hunt.labels()) | {0, 1}
    audit = draw_audit(hunt, 40, who="ann")
    rows = audit.rows.tolist()
    assert len(set(rows)) == 40 and not set(rows) & seen and 399 not in rows and hunt.allowed[rows].all()
    assert list(hunt.state().drawn) == rows == hunt.state().waiting
    judge(hunt, rows[:5])
    assert hunt.state().waiting == rows[5:]
    played = hunt.next_round("ann")
    shown = [row for row, reason in zip(played.rows.tolist(), played.reasons, strict=True) if reason == "audit"]
    assert shown == rows[5:10] and np.isnan(played.scores[np.array(played.reasons) == "audit"]).all()
    judge(hunt, rows[5:])
    assert hunt.state().waiting == []
    after = hunt.training()
    assert np.array_equal(before.positives, after.positives) and np.array_equal(before.negatives, after.negatives)
    later = hunt.next_round("ann")
    assert not set(later.rows.tolist()) & set(rows)


def test_a_hunt_of_which_everything_is_judged_is_known_exactly(hunt: Hunt) -> None:
    draw_audit(hunt, 1000, who="ann")
    judge(hunt, hunt.state().waiting)
    made = report(hunt)
    true = int(hunt.allowed[:40].sum())
    assert made.objects == hunt.allowed.sum() and made.unlabelled == 0 and made.known == true
    assert made.targets.low == made.targets.high == true and made.completeness.low == 1.0
    assert made.advice == "stop" and made.curve == () and made.expected.high == 0


def test_a_report_is_the_same_twice_and_says_what_is_known(hunt: Hunt) -> None:
    draw_audit(hunt, 60, who="ann")
    judge(hunt, hunt.state().waiting)
    made, again = report(hunt), report(hunt)
    assert made == again
    true = int(hunt.allowed[:40].sum())
    assert made.known <= made.targets.low <= true <= made.targets.high <= made.objects
    assert made.completeness.low == pytest.approx(made.known / made.targets.high)
    assert made.progress == AuditProgress(audits=1, drawn=60, judged=60, skipped=0, waiting=0)
    objects = [cut.objects for cut in made.curve]
    assert objects == sorted(objects) and objects[-1] == made.unlabelled
    lows = [cut.completeness.low for cut in made.curve]
    assert lows == sorted(lows)
    ranking = hunt.ranking()
    left = hunt.allowed.copy()
    left[[*hunt.labels(), 0, 1]] = False
    for cut in made.curve:
        assert (ranking.shown(np.flatnonzero(left)) >= np.float32(cut.score)).sum() == cut.objects
    json.dumps(dataclasses.asdict(made), allow_nan=False)
    assert len(text_lines(made)) == 5


def test_audits_add_up_and_outlive_further_rounds(hunt: Hunt) -> None:
    first = draw_audit(hunt, 30, who="ann")
    with pytest.raises(HuntError, match="30 stamps of the audit still wait"):
        draw_audit(hunt, 30, who="ann")
    judge(hunt, first.rows)
    one = report(hunt)
    second = draw_audit(hunt, 30, who="ann", seed=5)
    assert second.design.bounds == first.design.bounds and not set(first.rows) & set(second.rows)
    judge(hunt, second.rows)
    two = report(hunt)
    assert two.progress.judged == 60 and two.targets.high - two.targets.low < one.targets.high - one.targets.low
    judge(hunt, hunt.next_round("ann").rows)
    three = report(hunt)
    true = int(hunt.allowed[:40].sum())
    assert three.progress.judged == 60 and three.known >= two.known
    assert all(made.targets.low <= true <= made.targets.high for made in (one, two, three))
    assert [line.number for line in hunt.state().current_audits] == [1, 2]


def test_unsure_is_no_target_skipped_says_nothing_and_cleared_waits_again(hunt: Hunt) -> None:
    rows = draw_audit(hunt, 20, who="ann").rows.tolist()
    hunt.label_many([LabelRequest(row=row, verdict="unsure") for row in rows[:10]], who="ann")
    hunt.label_many([LabelRequest(row=row, verdict="skipped") for row in rows[10:19]], who="ann")
    made = report(hunt)
    assert made.progress == AuditProgress(audits=1, drawn=20, judged=10, skipped=9, waiting=1)
    assert made.unlabelled == int(hunt.allowed.sum()) - 22 - 10
    hunt.label(rows[0], "cleared", who="ann")
    assert hunt.state().waiting == [rows[0], rows[19]] and report(hunt).progress.waiting == 2


def test_a_stratum_of_which_nothing_is_judged_may_hold_anything(hunt: Hunt) -> None:
    audit = draw_audit(hunt, 40, who="ann")
    strata = audit.design.members[audit.rows]
    judge(hunt, audit.rows[strata < strata.max()])
    assert report(hunt).targets.high >= report(hunt).known + audit.design.sizes[-1]
    judge(hunt, audit.rows)
    assert report(hunt).targets.high < report(hunt).known + audit.design.sizes[-1]


def test_a_moved_hunt_begins_its_audits_anew(
    hunt: Hunt, build_release: Callable, build_vectors: Callable, tmp_path: Path
) -> None:
    judge(hunt, draw_audit(hunt, 40, who="ann").rows)
    elsewhere = build_release(tmp_path, "elsewhere", build_vectors(seed=6))
    moved, _ = move_hunt(hunt.path, elsewhere, tmp_path / "moved.hunt", "ann")
    with pytest.raises(HuntError, match="no audit has been drawn"):
        report(moved)
    judge(moved, draw_audit(moved, 40, who="ann").rows)
    assert report(moved).progress == AuditProgress(audits=1, drawn=40, judged=40, skipped=0, waiting=0)


def test_before_anything_is_judged_nothing_is_claimed(hunt: Hunt) -> None:
    with pytest.raises(HuntError, match="no audit has been drawn"):
        report(hunt)
    draw_audit(hunt, 20, who="ann")
    made = report(hunt)
    assert made.targets.low == made.known and made.targets.high == made.known + made.unlabelled
    assert made.advice == "cannot be said yet" and made.lower_bound_only and made.curve == ()
    assert "only this lower bound" in " ".join(text_lines(made))


def test_bad_requests_are_refused(hunt: Hunt, tmp_path: Path) -> None:
    for labels in (0, -3, 10**6):
        with pytest.raises(HuntError, match="give 1 to"):
            draw_audit(hunt, labels, who="ann")
    with pytest.raises(HuntError, match="must lie between 0 and 1"):
        report(hunt, completeness=1.0)
    draw_audit(hunt, 1000, who="ann")
    with pytest.raises(HuntError, match="no curve yet"):
        plot_report(report(hunt), tmp_path / "a.png")
    judge(hunt, hunt.state().waiting)
    with pytest.raises(HuntError, match="nothing is left to audit"):
        draw_audit(hunt, 5, who="ann")
    with pytest.raises(HuntError, match=r"no picture's name"):
        plot_report(report(hunt), tmp_path / "a.txt")


def test_advice_follows_the_interval() -> None:
    scores = np.arange(10_000.0)

    def advise(targets: int, known: int, wished: float) -> Any:
        truth = np.zeros(10_000, dtype=bool)
        truth[np.random.default_rng(3).choice(9_000, targets - known, replace=False)] = True
        truth[10_000 - known :] = True
        labelled = np.arange(10_000) >= 10_000 - known
        samples, labelled, bounds = audit_by_truth(scores, truth, labelled, (400,), 4)
        made = reported(samples, scores, truth, labelled, bounds)
        return make_report(
            Evidence(scores[~labelled], samples), known=made.known, objects=10_000, bounds=bounds, progress=made.progress, requested=wished
        )

    assert advise(900, 900, 0.8).advice == "stop"
    assert advise(2000, 200, 0.9).advice == "continue"
    unsure = advise(60, 50, 0.8)
    assert unsure.advice == "cannot be said yet" and 100 < unsure.labels_needed < 10_000
    assert advise(4, 3, 0.99).labels_needed is None or advise(4, 3, 0.99).labels_needed > 5000


# -- the verb and the picture


def test_the_verb_draws_reports_and_draws_a_picture(
    hunt: Hunt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, release: Any
) -> None:
    (release.path / "manifest.json").write_text("{}")
    monkeypatch.setattr("discovery.release.release.open_release", lambda path, survey_roots=None: release)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, status: int = 0) -> str:
        assert main(["hunt", "audit", "a.hunt", *words]) == status
        out, err = capsys.readouterr()
        return err if status else out

    assert "no audit has been drawn" in run(status=1)
    document = json.loads(run("--draw", "50", "--who", "ann", "--json"))
    assert len(document["drawn"]["object_ids"]) == 50 and sum(one["drawn"] for one in document["drawn"]["strata"]) == 50
    assert document["report"]["progress"]["waiting"] == 50
    judge(hunt, hunt.state().waiting)
    text = run("--completeness", "0.8", "--curve", "--plot", "audit.png")
    assert "at a completeness of 80%" in text and "score from" in text and "50 of 50 drawn stamps judged" in text
    with Image.open(tmp_path / "audit.png") as picture:
        assert picture.width > 600 and len(picture.convert("RGB").getcolors(2**20)) > 100
    assert "does not exist" in run("--plot", "nowhere/audit.png", status=1)
