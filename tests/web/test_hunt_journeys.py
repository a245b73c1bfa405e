"""Kinds of negative, notes, history, several people, known objects and pages made ahead, in a real browser."""

import re
import threading
import time

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from discovery.hunts import Hunt
from discovery.hunts.audits.audit import report
from web.stamps.pictures import PictureCache


def open_page(page, server, hunt, *more: str):
    page.goto("/".join([server.address, "hunts", hunt.path.stem, *more]))
    if not more:
        expect(page.locator("[data-candidate]:focus")).to_have_count(1)


def candidates(page) -> list[int]:
    return [int(card.get_attribute("id")[5:]) for card in page.locator("[data-candidate]").all()]


def settled(page) -> None:
    expect(page.locator(".saving")).to_have_count(0)


def test_a_kind_of_negative_is_typed_once_and_then_a_key(page, server, small_hunt):
    open_page(page, server, small_hunt)
    rows, cards = candidates(page), page.locator("[data-candidate]")
    page.keyboard.press("b")
    expect(page.locator("#negative-class")).to_be_focused()
    page.keyboard.type("ring")
    page.keyboard.press("Enter")
    expect(cards.nth(1)).to_be_focused()
    expect(page.locator("#classes li")).to_have_text(re.compile(r"1\s+ring\s+1"))
    page.keyboard.press("n")
    page.keyboard.press("1")
    page.keyboard.press("Shift+Digit1")
    page.keyboard.press("2")
    settled(page)
    expect(cards.nth(4)).to_be_focused()
    expect(page.locator(f"#state-{rows[2]} .verdict")).to_have_text("negative: ring")
    given = {row: (state.verdict, state.negative_class) for row, state in small_hunt.labels().items()}
    ring = ("negative", "ring")
    assert given == {rows[0]: ring, rows[1]: ("negative", None), rows[2]: ring, rows[3]: ring}

    page.locator("#negative-class").fill("star trail")
    page.locator("#negative-class").press("Enter")
    expect(page.locator("#classes li")).to_have_count(2)
    page.keyboard.press("2")
    page.get_by_role("button", name="star trail").click()
    settled(page)
    assert small_hunt.negative_classes() == {"ring": 3, "star trail": 3}
    page.reload()
    expect(page.locator("[data-key='1']")).to_contain_text("ring")


def test_notes_by_keyboard_and_a_kind_from_the_card(page, server, small_hunt):
    open_page(page, server, small_hunt)
    rows, cards = candidates(page), page.locator("[data-candidate]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("w")
    page.keyboard.type("a <b>tail</b> to the north")
    page.keyboard.press("Enter")
    expect(page.locator(f"#notes-{rows[1]} li")).to_contain_text("a <b>tail</b> to the north vera")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("w")
    page.keyboard.press("Escape")
    expect(cards.nth(1)).to_be_focused()
    cards.nth(2).get_by_text("kind or note").click()
    page.locator(f"#kind-{rows[2]}").fill("artefact")
    page.locator(f"#kind-{rows[2]}").press("Enter")
    expect(page.locator(f"#state-{rows[2]} .verdict")).to_have_text("negative: artefact")
    settled(page)
    (note,) = small_hunt.notes()
    assert (note.row, note.text, note.who) == (rows[1], "a <b>tail</b> to the north", "vera")
    assert small_hunt.labels()[rows[2]].negative_class == "artefact"


def test_any_label_is_undone_in_the_history(page, server, small_hunt):
    rows = [int(row) for row in small_hunt.round().rows]
    first = small_hunt.label(rows[0], "positive", who="henrietta")
    for row in rows[1:]:
        small_hunt.label(row, "negative", who="vera")
    for _ in range(60):
        small_hunt.label(rows[1], "unsure", who="vera")
    open_page(page, server, small_hunt)
    page.get_by_role("link", name="History").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(18)
    line = page.locator(f"#event-{first}")
    expect(line).to_contain_text("henrietta")
    line.get_by_role("button").click()
    expect(line).to_contain_text("undone by 69")
    expect(line.get_by_role("button")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("tbody tr").first).to_contain_text(f"undoes {first}")
    assert rows[0] not in small_hunt.labels()
    assert small_hunt.history()[0].who == "vera"


def test_two_people_disagree_until_one_of_them_changes_their_mind(page, server, small_hunt):
    rows = [int(row) for row in small_hunt.round().rows]
    small_hunt.label(rows[0], "positive", who="henrietta")
    small_hunt.label(rows[1], "negative", who="henrietta")
    open_page(page, server, small_hunt)
    expect(page.get_by_role("link", name="Disagreements (0)")).to_be_visible()
    page.locator("[data-candidate]").first.focus()
    for key in "nn":
        page.keyboard.press(key)
    settled(page)
    page.locator("#consensus").focus()
    with page.expect_response("**/rules"):
        page.locator("#consensus").select_option("arbiter:henrietta")
    expect(page.locator(f"#state-{rows[0]} .verdict")).to_have_text("positive")
    expect(page.locator("#consensus")).to_be_focused()
    expect(page.locator("#consensus-meaning")).to_contain_text("henrietta")
    page.get_by_role("link", name="Disagreements (1)").click()
    card = page.locator(f"#differ-{rows[0]}")
    expect(card.locator(".opinions div")).to_have_text(
        [re.compile(r"henrietta\s*positive"), re.compile(r"vera\s*negative"), re.compile(r"counts as\s*positive")]
    )
    card.get_by_role("button", name="positive").click()
    expect(page.locator("main")).to_contain_text("No two people judge an object differently")
    assert small_hunt.disagreements() == []
    assert small_hunt.labels()[rows[0]].verdict == "positive"


def test_known_objects_are_flagged_and_left_out_where_asked(page, server, small_hunt):
    shown = [int(row) for row in small_hunt.round().rows]
    assert len({row % 2 for row in shown}) == 2
    open_page(page, server, small_hunt)
    for row in shown:
        flag = page.locator(f"#card-{row} .known")
        expect(flag).to_have_text([] if row % 2 else [f"known as EVEN {row}, 0.4 arcsec"])
    for key in "pnpnpnpn":
        page.keyboard.press(key)
    settled(page)
    page.get_by_label("new objects only").first.check()
    page.locator("[data-next-round]").click()
    expect(page.locator(".page-head .tag")).to_have_text("round 2")
    assert {row % 2 for row in candidates(page)} == {1}
    expect(page.get_by_label("new objects only").first).to_be_checked()
    page.goto(f"{server.address}/releases/demo/objects/4")
    expect(page.locator(".page-head .known")).to_have_text("known as EVEN 4, 0.4 arcsec")


def test_the_next_page_is_ready_before_it_is_asked_for(page, server, small_hunt, monkeypatch):
    made, taken, drawn = [], [], []
    prepare, next_round, get = Hunt.prepare, Hunt.next_round, PictureCache.get

    def seen_prepare(hunt, *args, **options):
        made.append(prepare(hunt, *args, **options))
        return made[-1]

    def seen_next_round(hunt, who, page_size=None, prepared=None, **options):
        taken.append(prepared)
        return next_round(hunt, who, page_size, prepared, **options)

    def seen_get(pictures, picture, draw):
        data = get(pictures, picture, draw)
        if threading.current_thread().name.startswith("job"):
            drawn.append(picture.row)
        return data

    monkeypatch.setattr(Hunt, "prepare", seen_prepare)
    monkeypatch.setattr(Hunt, "next_round", seen_next_round)
    monkeypatch.setattr(PictureCache, "get", seen_get)
    open_page(page, server, small_hunt)
    for key in "pnnnnnnn":
        page.keyboard.press(key)
    settled(page)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (made and made[-1].last_event == 8 and made[-1].round.rows[-1] in drawn):
        time.sleep(0.05)
    page.keyboard.press("Enter")
    expect(page.locator(".page-head .tag")).to_have_text("round 2")
    assert len(taken) == 1 and taken[0] is made[-1]
    assert candidates(page) == made[-1].round.rows.tolist()
    assert set(candidates(page)) <= set(drawn)
    assert small_hunt.replay(2) == small_hunt.round()


def test_what_fails_in_the_background_is_told_on_the_next_click(page, server, small_hunt):
    open_page(page, server, small_hunt)
    small_hunt.label(1, "unsure", who="vera")  # the only example: nothing is left to rank by
    page.keyboard.press("u")
    settled(page)
    page.keyboard.press("Enter")
    expect(page.locator("#notices .notice")).to_contain_text("no example to start from")
    assert len(small_hunt.rounds()) == 1
    page.said[:] = [text for text in page.said if "Content Security" in text]


def test_an_audit_from_the_draw_to_the_report(page, server, small_hunt, release):
    wanted = set(release.catalogue.where("truth_class = 'merger'").nonzero()[0].tolist())
    open_page(page, server, small_hunt, "audit")
    page.locator("#labels").fill("8")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_text("0 of 8 drawn stamps judged")).to_be_visible()
    expect(page.get_by_role("button", name="Draw")).to_have_count(0)
    page.get_by_role("link", name="Label them").click()
    drawn = list(small_hunt.state().drawn)
    for number in range(1, 4):
        expect(page.locator(".page-head .tag")).to_have_text(f"round {number}")
        expect(page.locator("[data-candidate]:focus")).to_have_count(1)
        for row in candidates(page):
            card = page.locator(f"#card-{row}")
            expect(card.locator(".reason.audit")).to_have_count(int(row in drawn))
            expect(card.locator(".score")).to_have_count(int(row not in drawn))
            page.keyboard.press("p" if row in wanted else "n")
        settled(page)
        if small_hunt.state().waiting:
            page.keyboard.press("Enter")
        else:
            break
    assert small_hunt.state().waiting == []

    page.reload()
    told = report(small_hunt)
    expect(page.locator("#audit-brief")).to_contain_text("completeness")
    expect(page.locator("#audit-brief")).not_to_contain_text("Counting anew")
    expect(page.locator("#standing .band")).to_have_count(1)
    page.get_by_role("link", name="The audit in full").click()
    expect(page.get_by_text("8 of 8 drawn stamps judged")).to_be_visible()
    expect(page.locator(".figures")).to_contain_text(f"Targets among {told.objects} objects")
    if told.lower_bound_only:
        expect(page.locator(".figures")).to_contain_text("at least")
        expect(page.get_by_text("Only a lower bound of the completeness can be given")).to_be_visible()
    expect(page.locator(".cuts circle")).to_have_count(len(told.curve))
    expect(page.locator("tbody tr")).to_have_count(len(told.curve))
    page.get_by_label("Requested completeness, %").fill("1")
    page.get_by_role("button", name="Advise").click()
    expect(page.get_by_role("status")).to_contain_text(f"At a requested completeness of 1 %: {report(small_hunt, completeness=0.01).advice}")
    expect(page.get_by_role("button", name="Draw")).to_be_visible()
