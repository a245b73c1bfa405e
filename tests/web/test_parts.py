"""The parts of the app that need no server: wording, sessions, cache, curve, overlay."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discovery.hunts.audits.estimates import Interval
from discovery.hunts.audits.report import AuditProgress, AuditReport, CutEstimate
from discovery.hunts.choosers import DIVERSE, LIKELY, RANDOM, UNCERTAIN, UNLIKELY
from discovery.hunts.log.records import AUDIT
from discovery.hunts.strategies import STRATEGIES
from discovery.stamps.render import upright
from discovery.stamps.stamp import Stamp
from web.access.middleware import host_name
from web.access.sessions import Sessions, clean_name
from web.hunt_rules import REASON_MEANINGS, STRATEGY_MEANINGS, consensus_rules, stopper_rules, strategy_rules
from web.hunts.audits.plot import draw_cuts
from web.hunts.curve import Total, draw_curve
from web.layout.problems import without_paths
from web.layout.text_format import figure
from web.login.pages import local_address
from web.objects.overlay import make_overlay
from web.search.form import SearchForm, form_from_address
from web.stamps.pictures import PictureCache, StampPicture
from web.stamps.stamps import displayed_box

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/work/data/x.h5 is damaged", "x.h5 is damaged"),
        ("cannot open '/home/me/a b/c.fits'", "cannot open 'c.fits'"),
        ("the filter mag_g/mag_r < 2 / 3", "the filter mag_g/mag_r < 2 / 3"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        (r"C:\data\survey\x.h5 is gone", "x.h5 is gone"),
        ("10:00:24, +02:12:00", "10:00:24, +02:12:00"),
    ],
)
def test_messages_lose_their_paths(message, shown):
    assert without_paths(message) == shown


@given(who=st.text(), signed_in=st.booleans())
@example(who="0" * 63 + " 0", signed_in=False)
def test_a_session_comes_back_from_its_cookie(who, signed_in):
    sessions = Sessions.create(token="t", port=1, who="nobody")
    session = sessions.open(who=who, signed_in=signed_in)
    assert sessions.unseal(sessions.seal(session)) == session
    assert len(session.who) <= 64
    assert session.who == clean_name(session.who) or session.who == "nobody"


@given(at=st.integers(0, 200), letter=st.sampled_from("abcXYZ019-_."))
def test_a_changed_cookie_is_no_session(at, letter):
    sessions = Sessions.create(token="t", port=1, who="nobody")
    cookie = sessions.seal(sessions.open())
    at %= len(cookie)
    changed = cookie[:at] + letter + cookie[at + 1 :]
    assert changed == cookie or sessions.unseal(changed) is None
    assert Sessions.create(token="t", port=1, who="nobody").unseal(cookie) is None


@given(
    form=st.builds(
        SearchForm,
        like=st.lists(TEXT, max_size=3, unique=True).map(tuple),
        unlike=st.lists(TEXT, max_size=3, unique=True).map(tuple),
        where=TEXT | st.just(""),
        include_flagged=st.booleans(),
        truth=st.booleans(),
        columns=st.lists(TEXT, max_size=3, unique=True).map(tuple),
    )
)
def test_a_search_comes_back_from_its_address(form):
    assert form_from_address(form.query_string()) == form


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\nb", "javascript:1"])
def test_after_login_nobody_is_sent_elsewhere(address):
    assert local_address(address) == "/"


def test_after_login_one_comes_back():
    assert local_address("/hunts/a?b=c") == "/hunts/a?b=c"


@pytest.mark.parametrize(
    ("header", "name"),
    [("LOCALHOST:80", "localhost"), ("[::1]:8000", "[::1]"), ("[::1]", "[::1]"), ("a:b", ""), ("", "")],
)
def test_host_names(header, name):
    assert host_name(header) == name


def picture(row: int) -> StampPicture:
    return StampPicture(release="r", version="v", row=row, view="crop")


@given(sizes=st.lists(st.integers(1, 400), max_size=40))
def test_the_cache_stays_within_its_memory_and_gives_what_was_rendered(sizes):
    cache = PictureCache(1000)
    for row, size in enumerate(sizes):
        assert cache.get(picture(row), lambda size=size: bytes(size)) == bytes(size)
        assert cache.bytes_in_memory <= 1000
    if sizes:
        held = cache.get(picture(len(sizes) - 1), lambda: pytest.fail("rendered twice"))
        assert len(held) == sizes[-1]


def test_the_cache_is_shared_by_threads():
    cache = PictureCache(5000)

    def ask():
        for row in range(200):
            assert cache.get(picture(row % 37), lambda row=row: bytes(row % 37 + 1)) == bytes(row % 37 + 1)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.bytes_in_memory == sum(range(1, 38))


def test_every_part_of_a_picture_is_in_its_etag():
    tags = {picture(1).etag, picture(2).etag, StampPicture(release="r", version="w", row=1, view="crop").etag}
    assert len(tags) == 3


def stamp(kind: str) -> Stamp:
    pixels = np.random.default_rng(1).random((3, 9, 9), dtype=np.float32)
    return Stamp(object_id="a", pixels=pixels, kind=kind, pixel_scale_arcsec=0.5)


@pytest.mark.parametrize("kind", ["nmgy", "rgb"])
@given(top=st.integers(0, 4), side=st.integers(1, 5), left=st.integers(0, 4))
def test_a_crop_box_covers_the_same_pixels_when_displayed(kind, top, side, left):
    whole, box = stamp(kind), (top, top + side, left, left + side)
    cut = whole.pixels[:, box[0] : box[1], box[2] : box[3]]
    row0, row1, column0, column1 = displayed_box(whole, box)
    shown = upright(whole).pixels[:, row0:row1, column0:column1]
    assert np.array_equal(np.sort(cut, axis=None), np.sort(shown, axis=None))


def test_fluxes_are_shown_with_their_last_row_on_top():
    whole = stamp("nmgy")
    assert np.array_equal(upright(whole).pixels[:, 0], whole.pixels[:, -1])


def test_the_overlay_has_a_bar_of_its_stated_length():
    overlay = make_overlay(stamp("nmgy"), (2, 7, 2, 7), "context", "bricks")
    assert float(overlay.bar_label.rstrip("″")) == pytest.approx(overlay.bar_length * 0.5)
    assert overlay.box == (2, 2, 5, 5)
    assert overlay.north_up
    assert make_overlay(stamp("rgb"), (2, 7, 2, 7), "crop", "images").side == 5


@given(st.lists(st.booleans(), max_size=300))
def test_the_curve_lies_in_its_frame_and_never_falls(found):
    positives = np.concatenate([[0], np.cumsum(found)]).astype(int).tolist()
    curve = draw_curve(list(range(len(positives))), positives)
    points = [tuple(map(float, pair.split(","))) for pair in curve.line.split()]
    assert all(curve.left <= x <= curve.width and 0 <= y <= curve.bottom for x, y in points)
    assert all(after[1] <= before[1] for before, after in pairwise(points))
    assert len(curve.x_ticks) <= 6


@given(
    found=st.lists(st.booleans(), min_size=1, max_size=300),
    estimate=st.floats(0, 1e5),
    below=st.floats(0, 1),
    above=st.floats(1, 100),
)
def test_the_total_and_the_ideal_lie_in_the_frame_of_the_curve(found, estimate, below, above):
    positives = np.concatenate([[0], np.cumsum(found)]).astype(int).tolist()
    total = Total(estimate=max(estimate, positives[-1]), low=max(estimate * below, positives[-1]), high=max(estimate, positives[-1]) * above)
    curve = draw_curve(list(range(len(positives))), positives, total)
    assert 0 <= curve.total.top <= curve.total.y <= curve.total.bottom <= curve.bottom
    ideal = [tuple(map(float, pair.split(","))) for pair in curve.ideal.split()]
    points = [tuple(map(float, pair.split(","))) for pair in curve.line.split()]
    assert ideal[-1][0] == curve.right
    assert all(curve.left <= x <= curve.right and 0 <= y <= curve.bottom for x, y in [*ideal, *points])
    assert all(np.interp(x, *zip(*ideal, strict=True)) <= y + 0.11 for x, y in points)  # nobody beats the ideal; SVG's y goes down


def share(estimate: float) -> Interval:
    return Interval(estimate=estimate, low=estimate / 2, high=(1 + estimate) / 2)


@pytest.mark.parametrize("lower", [False, True])
@given(sizes=st.lists(st.integers(1, 10**7), min_size=1, max_size=30, unique=True).map(sorted), known=st.integers(0, 50))
def test_the_plot_of_purity_and_completeness_keeps_its_order_and_its_frame(sizes, known, lower):
    cuts = tuple(
        CutEstimate(score=1 / size, objects=size, purity=share(1 / (1 + place)), completeness=share(1 - 0.5**place))
        for place, size in enumerate(sizes)
    )
    plot = draw_cuts(audit_report(cuts, known, lower))
    for band, shares in ((plot.purity, [cut.purity for cut in cuts]), (plot.completeness, [cut.completeness for cut in cuts])):
        xs = [x for x, _ in band.marks]
        assert xs == sorted(xs) and xs[0] == plot.left and (len(xs) == 1 or xs[-1] == plot.right)
        shown = [one.low if lower and band is plot.completeness else one.estimate for one in shares]
        heights = [(plot.bottom - y) / (plot.bottom - plot.top) for _, y in band.marks]
        assert heights == pytest.approx(shown, abs=1e-3)
    assert all(plot.left <= x <= plot.right for x, _ in plot.x_ticks)


def audit_report(cuts: tuple[CutEstimate, ...], known: int, lower: bool) -> AuditReport:
    whole = share(0.5)
    return AuditReport(
        progress=AuditProgress(audits=1, drawn=5, judged=5, skipped=0, waiting=0),
        objects=10**7,
        known=known,
        unlabelled=5,
        targets=whole,
        completeness=whole,
        lower_bound_only=lower,
        curve=cuts,
        next_labels=100,
        expected=whole,
        wished=0.9,
        advice="continue",
        labels_needed=None,
        why="",
    )


def test_the_words_for_strategies_and_reasons_are_of_those_there_are():
    """Where a strategy's parts change, its sentence has to be read again."""
    parts = {"alpha": "mlp+alpha", "top": "mlp+highest", "linear": "linear+highest", "similarity": "similarity+highest", "random": "chance+random"}
    assert {name: STRATEGIES[name] for name in parts} == parts
    assert set(STRATEGY_MEANINGS) == {"auto", *parts}
    assert set(REASON_MEANINGS) == {LIKELY, UNLIKELY, UNCERTAIN, DIVERSE, RANDOM, AUDIT}
    for rule in (*strategy_rules("mlp+random"), *consensus_rules("arbiter:jo", ("kim",)), *stopper_rules("dry:2")):
        assert rule.meaning.endswith(".")
    assert [rule.name for rule in strategy_rules("mlp+random") if rule.chosen] == ["mlp+random"]
    assert [rule.name for rule in consensus_rules("arbiter:jo", ("kim",))][-2:] == ["arbiter:kim", "arbiter:jo"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (True, "yes"), (15.2071234, "15.2071"), (3, "3"), ([1.0, 2.0], "1, 2"), (b"SER", "SER")],
)
def test_figures(value, shown):
    assert figure(value) == shown
