"""What a person does, in a real browser."""

import json
import re

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from discovery.hunts import open_hunt


def mergers(release) -> set[int]:
    return set(release.catalogue.where("truth_class = 'merger'").nonzero()[0].tolist())


def candidates(page) -> list[int]:
    return [int(card.get_attribute("id")[5:]) for card in page.locator("[data-candidate]").all()]


def settled(page) -> None:
    expect(page.locator(".saving")).to_have_count(0, timeout=120_000)


def labelled_by_keyboard(page, wanted: set[int]) -> dict[int, str]:
    """Label the whole page without lifting the hands from the keyboard."""
    given = {}
    for number, row in enumerate(candidates(page)):
        verdict = "positive" if row in wanted else "unsure" if number % 7 == 6 else "negative"
        page.keyboard.press(verdict[0])
        given[row] = verdict
    settled(page)
    return given


def test_a_search_then_three_rounds_of_a_hunt_for_mergers(page, server, release):
    wanted = mergers(release)
    example, *others = [release.catalogue.rows([row])["object_id"][0].as_py() for row in sorted(wanted)[:3]]
    page.goto(server.address)
    page.get_by_role("link", name="Search this release").click()
    page.locator("#like").fill(example)
    page.get_by_role("button", name="Search", exact=False).first.click()
    expect(page.locator("#results .card").first).to_be_visible()
    assert "like=" in page.url
    page.locator("#like").fill("\n".join([example, *others]))
    page.locator("#search button.primary").click()
    expect(page.locator(".thumbs .thumb")).to_have_count(3)

    page.locator("[data-tick]").first.check()
    expect(page.locator("[data-picked-count]")).to_have_text("1")
    page.locator("#name").fill("mergers")
    page.locator("#page_size").select_option("10")
    page.get_by_role("button", name="Start a hunt").click()
    expect(page.locator("[data-candidate]")).to_have_count(10)

    given = {}
    for number in (1, 2, 3):
        expect(page.locator(".page-head .tag")).to_have_text(f"round {number}", timeout=300_000)
        expect(page.locator(".why")).not_to_be_empty()
        given |= labelled_by_keyboard(page, wanted)
        expect(page.locator("[data-count=positive]")).to_have_text(str(list(given.values()).count("positive")))
        expect(page.locator("[data-count=negative]")).to_have_text(str(list(given.values()).count("negative")))
        if number < 3:
            page.keyboard.press("Enter")
    hunt = open_hunt(server.config.hunts / "mergers.hunt", release)
    assert {row: state.verdict for row, state in hunt.labels().items()} == given
    assert {state.who for state in hunt.labels().values()} == {"vera"}
    assert [made.number for made in hunt.rounds()] == [1, 2, 3]

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    lines = download.value.path().read_text().splitlines()
    assert download.value.suggested_filename == "mergers.csv"
    assert sum(",positive," in line for line in lines) >= list(given.values()).count("positive")


def open_page(page, server, hunt):
    page.goto(f"{server.address}/hunts/{hunt.path.stem}")
    expect(page.locator("[data-candidate]").first).to_be_focused()


def verdict_of(page, row: int):
    return page.locator(f"#state-{row} .verdict")


def test_clicks_undo_and_clearing(page, server, small_hunt):
    open_page(page, server, small_hunt)
    rows = candidates(page)
    page.locator(f"#card-{rows[3]} button[value=negative]").click()
    expect(verdict_of(page, rows[3])).to_have_text("negative")
    page.locator(f"#card-{rows[0]} .stamp").click()
    expect(verdict_of(page, rows[0])).to_have_text("positive")
    page.keyboard.press("z")
    expect(verdict_of(page, rows[0])).to_have_text("")
    expect(verdict_of(page, rows[3])).to_have_text("negative")
    page.locator(f"#card-{rows[3]}").focus()
    page.keyboard.press("c")
    expect(verdict_of(page, rows[3])).to_have_text("")
    settled(page)
    assert small_hunt.labels() == {}
    assert len(small_hunt.log()) == 4
    page.reload()
    expect(page.locator("[data-count=negative]")).to_have_text("0")


def test_the_cursor_moves_by_arrows_and_letters_and_keys_are_silent_while_typing(page, server, small_hunt):
    open_page(page, server, small_hunt)
    cards = page.locator("[data-candidate]")
    for key, place in (("l", 1), ("ArrowRight", 2), ("h", 1), ("j", 7), ("k", 1), ("ArrowDown", 7), ("ArrowUp", 1)):
        page.keyboard.press(key)
        expect(cards.nth(place)).to_be_focused()
    field = page.locator("#negative-class")
    field.click()
    page.keyboard.type("spun zebra")
    expect(field).to_have_value("spun zebra")
    assert small_hunt.labels() == {}
    page.keyboard.press("Escape")
    expect(cards.nth(1)).to_be_focused()
    expect(field).to_have_value("")


def test_fast_labels_are_all_kept_in_order(page, server, small_hunt):
    open_page(page, server, small_hunt)
    rows = candidates(page)
    for key in "pnuspnus":
        page.keyboard.press(key)
    page.keyboard.press("z")
    settled(page)
    expect(verdict_of(page, rows[7])).to_have_text("")
    expected = ["positive", "negative", "unsure", "skipped", "positive", "negative", "unsure"]
    assert {row: state.verdict for row, state in small_hunt.labels().items()} == dict(zip(rows, expected, strict=False))


def test_a_label_that_was_not_saved_says_so_and_stays(page, server, small_hunt):
    page.route("**/labels", lambda route: route.abort())  # before the page: a route may take effect late in a busy browser
    open_page(page, server, small_hunt)
    rows = candidates(page)
    page.keyboard.press("p")
    expect(page.locator(f"#card-{rows[0]}")).to_have_class(re.compile("failed"))
    expect(page.locator("#notices")).to_contain_text("did not answer")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("not saved")
    assert small_hunt.round().number == 1
    page.unroute("**/labels")
    page.locator(f"#card-{rows[0]}").focus()
    page.keyboard.press("p")
    expect(verdict_of(page, rows[0])).to_have_text("positive")
    expect(page.locator(".failed")).to_have_count(0)
    assert small_hunt.labels()[rows[0]].verdict == "positive"
    page.said[:] = [text for text in page.said if "Content Security" in text]


def test_the_servers_refusal_of_a_label_is_shown(page, server, small_hunt):
    open_page(page, server, small_hunt)
    small_hunt.path.rename(small_hunt.path.with_suffix(".away"))
    page.keyboard.press("p")
    expect(page.locator("#notices .notice")).to_contain_text("start from the list of releases")
    expect(page.locator(".failed")).to_have_count(1)
    page.said[:] = [text for text in page.said if "Content Security" in text]


def test_alpha_shows_with_its_strategy_and_is_kept(page, server, small_hunt):
    open_page(page, server, small_hunt)
    expect(page.locator("#alpha")).to_be_hidden()
    page.locator("#strategy").select_option("alpha")
    expect(page.locator("#strategy-meaning")).to_contain_text("published rule")
    expect(page.locator("#alpha")).to_be_visible()
    expect(page.locator(".htmx-added")).to_have_count(0)  # until then nothing listens to the new form
    with page.expect_response("**/rules"):
        page.locator("#alpha").fill("0.9")
    expect(page.locator("#alpha-value")).to_have_text("0.90")
    assert small_hunt.alpha == pytest.approx(0.9)
    assert small_hunt.strategy == "alpha"


def test_signing_in_by_the_page_puts_the_name_on_the_labels(page, guarded, release, small_hunt):
    page.goto(f"{guarded.address}/hunts/{small_hunt.path.stem}")
    expect(page).to_have_url(re.compile("/login"))
    page.locator("#who").fill("Henrietta")
    page.locator("#token").fill(guarded.config.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("[data-candidate]").first).to_be_focused()
    page.keyboard.press("p")
    settled(page)
    (state,) = small_hunt.labels().values()
    assert state.who == "Henrietta"
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))


def test_a_filter_error_stays_on_the_page(page, server):
    page.goto(f"{server.address}/releases/demo/search")
    page.locator("#where").fill("mag_r <")
    page.locator("#search button.primary").click()
    expect(page.locator("#results [role=alert]")).to_contain_text("cannot be answered")
    expect(page.locator("#where")).to_have_value("mag_r <")
    page.said[:] = [text for text in page.said if "Content Security" in text]


def test_one_object_and_its_neighbours(page, server):
    page.goto(f"{server.address}/releases/demo/objects/3")
    page.get_by_role("link", name="Crop").click()
    expect(page.locator(".portrait .frame")).to_have_count(0)
    page.get_by_role("link", name="Deep").click()
    expect(page.get_by_role("link", name="Deep")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Crop")).to_have_attribute("aria-current", "true")
    page.locator(".grid .card .stamp").first.click()
    expect(page.locator(".portrait img")).to_be_visible()


def test_an_upload_goes_with_what_the_search_form_holds(page, server, release, tmp_path):
    example, other = (release.catalogue.rows([row])["object_id"][0].as_py() for row in (2, 5))
    (tmp_path / "known.csv").write_text(f"object_id\n{other}\n")
    page.goto(f"{server.address}/releases/demo/search")
    page.locator("#like").fill(example)
    page.locator("#where").fill("mag_r < 21")
    page.locator("#file").set_input_files(tmp_path / "known.csv")
    page.get_by_role("button", name="Upload and search").click()
    expect(page.locator(".thumbs .thumb")).to_have_count(2)
    expect(page.locator("#like")).to_have_value(example)
    expect(page.locator("#where")).to_have_value("mag_r < 21")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save this search").click()
    assert json.loads(saved.value.path().read_text())["like"] == [example, other]
