"""The mock interview: a question and a clock, a rubric to compare with, follow-ups, and what to read."""
import json
import re
import sys
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import BROKEN, DAY_1, ROOT, listen, until
from playwright.sync_api import expect
from test_book import CHAPTERS
from test_browser import RULES

sys.path.append(str(ROOT / "_ext"))
import items  # noqa: E402

pytestmark = pytest.mark.xdist_group("book")  # one worker builds the book and keeps it
READ = {f"{chapter}.html": items.read(ROOT / f"{chapter}.ipynb") for chapter in CHAPTERS}
DAY_2 = "2027-03-02T07:00:00"
TAUGHT = """Object.entries(localStorage).every(([key, value]) =>
    !key.includes('/interview/') || value.split('"marked"').length === value.split('"kept"').length)"""  # all marks are with their cards


@pytest.fixture
def reader(reader):
    """It opens the interview."""
    return lambda at=DAY_1, address="", **options: reader(f"interview.html{address}", at, **options)


def room(page):
    return page.locator("#practice")


def begin(page, which="All", number="1"):
    page.get_by_label(re.compile(f"^{which}")).check()
    page.get_by_label(number, exact=True).check()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("timer")).to_be_visible()


def answer(page, text=""):
    if text:
        page.get_by_label("Your answer").fill(text)
    page.get_by_role("button", name="I have answered").click()


def compare(page, points=6, traps=0):
    """Tick the first points and traps, and go on."""
    for group, number in ((0, points), (1, traps)):
        for box in page.locator("fieldset").nth(group).get_by_role("checkbox").all()[:number]:
            box.check()
    page.get_by_role("button", name="Go on").click()


def follow_ups(page, *grades):
    for grade in grades:
        answer(page)
        page.get_by_label(grade, exact=True).check()
        page.get_by_role("button", name="Go on").click()


def interview(page, points=6, traps=0, grades=("I knew it", "I knew it"), **choices):
    """A whole interview about one question, to its result; the record that is kept of it."""
    begin(page, **choices)
    answer(page, "My answer")
    compare(page, points, traps)
    follow_ups(page, *grades)
    expect(page.get_by_role("button", name="Another interview")).to_be_visible()
    until(page, TAUGHT)
    return records(page)[-1]


def records(page):
    """What is kept of all interviews, in the order of their beginning."""
    kept = page.evaluate("Object.entries(localStorage).filter(([key]) => key.startsWith('prove-it/interview/'))")
    return [json.loads(value) for _, value in sorted(kept)]


def grades(page):
    """{id of a card: the grades it was given}"""
    kept = page.evaluate("Object.entries(localStorage).filter(([key]) => key.startsWith('prove-it/cards/'))")
    return {key.split("/")[-1]: [grade for _, grade in json.loads(value)["reviews"]] for key, value in kept}


def again(page):
    page.get_by_role("button", name="Another interview").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()


# --- one interview -------------------------------------------------------------------------------------

def test_a_whole_interview_from_the_keyboard(reader):
    page = reader()
    press, tab = page.keyboard.press, lambda: page.keyboard.press("Tab")
    page.get_by_label(re.compile("^All")).focus()
    tab()
    for key in ("ArrowLeft", "ArrowLeft"):  # from three questions to one
        press(key)
    tab()
    press("Enter")
    question = room(page).get_by_role("heading", level=2)
    expect(question).to_be_focused()
    chapter = READ[records(page)[0]["questions"][0]["chapter"]]
    expect(question).to_have_text(chapter.title)
    tab()
    page.keyboard.type("First.")
    press("Enter")
    page.keyboard.type("Second.")
    page.clock.set_fixed_time("2027-03-01T20:01:05")
    press("Control+Enter")
    expect(page.get_by_role("heading", name="Compare")).to_be_focused()
    expect(room(page)).to_contain_text("You took 1:05; the answer below is said in about 30 seconds.")
    expect(page.locator(".practice-typed")).to_have_text("First.\nSecond.")
    expect(page.locator("fieldset").nth(0).get_by_role("checkbox")).to_have_count(len(chapter.rubric))
    expect(page.locator("fieldset").nth(1).get_by_role("checkbox")).to_have_count(len(chapter.traps))
    tab()
    for _ in chapter.rubric[1:]:  # all but the last
        press("Space")
        tab()
    tab()
    press("Space")  # the first trap
    while page.evaluate("document.activeElement.textContent") != "Go on":
        tab()
    press("Enter")
    for number, arrows in ((1, ["Space"]), (2, ["ArrowUp"])):  # I knew it; No
        expect(room(page).get_by_role("heading", level=2)).to_be_focused()
        expect(room(page)).to_contain_text(f"Question 1 of 1, follow-up {number} of 2")
        tab()
        page.keyboard.type("It depends.")
        press("Control+Enter")
        expect(page.get_by_role("heading", name="Compare")).to_be_focused()
        while page.evaluate("document.activeElement.type") != "radio":
            tab()
        for key in arrows:
            press(key)
        press("Enter")
    expect(page.get_by_role("heading", name=f"You made {len(chapter.rubric) - 1} of {len(chapter.rubric)} points")).to_be_focused()
    expect(page.locator(".practice-result")).to_contain_text(
        f"{len(chapter.rubric) - 1} of {len(chapter.rubric)} points · 1 trap · 1 of 2 follow-ups · 1:05")
    asked = [followup["id"] for followup in records(page)[0]["questions"][0]["followups"]]
    expected = {point.id: [3] for point in chapter.rubric[:-1]} | {chapter.rubric[-1].id: [1]} | dict(zip(asked, ([3], [1])))
    until(page, "number => Object.keys(localStorage).filter(key => key.includes('/cards/')).length === number", arg=len(expected))
    assert grades(page) == expected


def test_while_a_question_is_asked_nothing_gives_its_answer_away(reader):
    page = reader()
    begin(page)
    chapter = next(chapter for chapter in page.evaluate("proveIt.chapters") if chapter["page"] == records(page)[0]["questions"][0]["chapter"])
    shown = room(page).inner_html()
    assert chapter["title"] in shown
    assert not [text for text in [chapter["spoken"], *(point["html"] for point in chapter["rubric"] + chapter["traps"])] if text in shown]
    for other in (".bd-sidebar-primary", ".prev-next-footer", ".bd-header-article", ".bd-article h1 + p"):
        expect(page.locator(other)).not_to_be_visible()
    assert page.get_by_role("timer").get_attribute("aria-live") is None  # it is not read aloud every second


def test_the_clock_goes_on_over_a_reload_and_waits_for_who_leaves(reader):
    page = reader()
    page.clock.install(time=DAY_1)
    page.reload()
    page.clock.pause_at("2027-03-01T20:10:00")
    begin(page)
    clock = page.get_by_role("timer")
    page.clock.run_for(42_000)
    expect(clock).to_have_text("0:42")
    page.reload()
    expect(clock).to_have_text("0:42")
    page.clock.run_for(60_000)
    expect(clock).to_have_text("1:42")
    page.go_back()
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.clock.run_for(3_600_000)
    page.go_forward()
    expect(clock).to_have_text("1:42")
    page.clock.run_for(2_000)
    answer(page)
    expect(room(page)).to_contain_text("You took 1:44;")


def test_what_is_typed_is_text(reader):
    page, text = reader(), "<img src=x onerror=alert(1)> & <b>bold</b>\n  \U0001f600"
    begin(page)
    answer(page, text)
    assert page.locator(".practice-typed").text_content() == text
    compare(page)
    follow_ups(page, "Partly", "No")
    page.get_by_text("What you wrote").click()
    assert page.locator(".practice-typed").text_content() == text


def test_a_follow_up_needs_a_mark(reader):
    page = reader()
    begin(page)
    answer(page)
    compare(page)
    answer(page)
    page.get_by_role("button", name="Go on").click()
    assert page.evaluate("document.querySelector('form input:invalid').type") == "radio"
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()


def test_a_whole_line_can_be_pressed(reader):
    page = reader()
    begin(page)
    answer(page)
    line = room(page).locator("label").first
    line.click(position={"x": line.bounding_box()["width"] - 4, "y": 4})
    expect(line.get_by_role("checkbox")).to_be_checked()


# --- which questions -----------------------------------------------------------------------------------

def test_questions_by_part(reader):
    page = reader()
    parts = {}
    for chapter in page.evaluate("proveIt.chapters"):
        parts.setdefault(chapter["part"], set()).add(chapter["page"])
    assert len(parts) > 1
    for part, expected in parts.items():
        begin(page, part, "all")
        drawn = [question["chapter"] for question in records(page)[-1]["questions"]]
        assert set(drawn) == expected and len(drawn) == len(expected)
        expect(room(page)).to_contain_text(f"Question 1 of {len(expected)}")
        page.go_back()
        page.clock.set_fixed_time(DAY_2)


def test_questions_whose_cards_are_begun(reader):
    page = reader()
    expect(page.get_by_label("Those whose cards you have begun")).to_be_disabled()
    followup = page.evaluate("proveIt.chapters[1].cards.at(-1).id")
    page.evaluate("id => proveIt.progress.review(id, 1)", followup)
    page.reload()
    begin(page, "Those whose cards you have begun", "3")
    assert [question["chapter"] for question in records(page)[0]["questions"]] == [page.evaluate("proveIt.chapters[1].page")]


def test_questions_not_asked_lately_come_first(reader):
    page = reader()
    for number in range(2 * len(READ)):
        page.clock.set_fixed_time(f"2027-03-01T20:{number:02}:00")
        begin(page)
        page.go_back()
    asked = [record["questions"][0]["chapter"] for record in records(page)]
    assert sorted(asked[:len(READ)]) == sorted(READ)
    assert asked[len(READ):] == asked[:len(READ)]


def test_the_order_is_another_each_time(reader):
    page = reader()
    orders = set()
    for number in range(5):  # of 720 orders
        page.clock.set_fixed_time(f"2027-03-01T20:{number:02}:00")
        begin(page, number="all")
        orders.add(tuple(question["chapter"] for question in records(page)[0]["questions"]))
        page.evaluate("localStorage.clear()")
        page.go_back()
    assert len(orders) > 1


@pytest.mark.parametrize("failure", [{"points": 3}, {"traps": 1}])
def test_those_that_went_badly_come_again_until_they_go_well(reader, failure):
    page = reader()
    bad = page.get_by_label("Those that went badly")
    expect(bad).to_be_disabled()
    expect(room(page)).to_contain_text("None so far")
    failed = interview(page, **failure)["questions"][0]["chapter"]
    again(page)
    page.clock.set_fixed_time("2027-03-01T21:00:00")
    interview(page)  # another question goes well
    again(page)
    expect(bad).to_be_enabled()
    page.clock.set_fixed_time(DAY_2)
    assert [question["chapter"] for question in interview(page, which="Those that went badly", number="3")["questions"]] == [failed]
    again(page)
    expect(bad).to_be_disabled()


def test_follow_ups_touch_what_was_missed_then_what_was_not_known(reader):
    """The first point, which is missed, is read in the section of the last follow-up; all others but one are known."""
    page = reader()
    chapter = page.evaluate("""() => {
        for (const chapter of proveIt.chapters) {
            const cards = chapter.cards.filter(card => card.kind === 'follow-up');
            for (const point of [...chapter.rubric, ...chapter.traps]) point.read = [[chapter.page, chapter.title]];
            chapter.rubric.at(-1).read = cards.at(-1).read = [[chapter.page + '#here', 'Here']];
            for (const [i, card] of cards.entries())
                localStorage.setItem(`prove-it/cards/${card.id}`, `{"due": 9e15, "reviews": [[1, ${i === 1 ? 1 : 3}]]}`);
        }
    }""")
    begin(page)
    answer(page)
    compare(page, points=5)
    question = records(page)[0]["questions"][0]
    cards = [card.id for card in READ[question["chapter"]].cards if card.kind == "follow-up"]
    assert [followup["id"] for followup in question["followups"]] == [cards[-1], cards[1]], chapter


# --- the result ----------------------------------------------------------------------------------------

def test_the_result_leads_to_what_was_missed(reader, book):
    page = reader()
    page.evaluate("proveIt.chapters.forEach(({ rubric, page, title }) => rubric.at(-1).read = [[page, title]])")  # to be read in no one section
    begin(page, number="all")
    for _ in READ:
        answer(page)
        compare(page, points=1, traps=2)
        follow_ups(page, "Partly", "No")
    expect(page.locator(".practice-result > li")).to_have_count(len(READ))
    links = page.locator(".practice-reading a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(set(links)) == len(links)
    assert set(READ) <= set(links)
    built = {name: (book / name).read_text(encoding="utf-8") for name in READ}
    assert any("#" in link for link in links)
    for link in links:
        name, _, anchor = link.partition("#")
        assert f'id="{anchor}"' in built[name] or not anchor, link
    said = page.locator(".practice-reading").inner_text()
    for question in records(page)[0]["questions"]:
        cards = {card.id: card for card in READ[question["chapter"]].cards}
        for followup in question["followups"]:
            assert re.sub(r"\$.*", "", cards[followup["id"]].front) in said
        for trap in READ[question["chapter"]].traps[:2]:
            quoted = re.match('"[^"$*`]+"', trap.text)
            assert not quoted or quoted[0] in said
    assert page.locator(".practice-reading small > *:not(math, strong, em, code)").count() == 0
    expect(room(page)).to_contain_text("What you missed is among your cards, and the first comes back tomorrow.")
    page.get_by_role("link", name="your cards").click()
    expect(page).to_have_url(re.compile("review.html$"))


def test_who_missed_nothing_is_told_so(reader):
    page = reader()
    interview(page)
    expect(room(page)).to_contain_text("You missed nothing: there is nothing to read again.")
    expect(page.get_by_text("Read next")).to_have_count(0)


# --- nothing is lost, nothing counts twice --------------------------------------------------------------

def test_a_reload_in_each_step_loses_nothing_and_doubles_nothing(reader):
    page = reader()
    begin(page)
    page.get_by_label("Your answer").fill("Half an ans")
    page.reload()
    expect(page.get_by_label("Your answer")).to_have_value("Half an ans")
    answer(page)
    page.get_by_role("checkbox").nth(2).check()
    page.get_by_role("checkbox").last.check()
    page.reload()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    expect(page.locator(".practice-typed")).to_have_text("Half an ans")
    expect(page.get_by_role("checkbox").nth(2)).to_be_checked()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    page.get_by_role("button", name="Go on").click()
    for number, grade in enumerate(("Partly", "No"), 1):
        heading = room(page).get_by_role("heading", level=2)
        expect(page.get_by_role("timer")).to_be_visible()
        asked = heading.inner_text()
        page.get_by_label("Your answer").fill(f"Follow-up {number}")
        page.reload()
        expect(heading).to_have_text(asked)
        expect(page.get_by_label("Your answer")).to_have_value(f"Follow-up {number}")
        answer(page)
        page.get_by_label(grade, exact=True).check()
        page.reload()
        expect(page.get_by_label(grade, exact=True)).to_be_checked()
        page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="You made 1 of 6 points")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="You made 1 of 6 points")).to_be_visible()
    expect(room(page)).to_contain_text("the first comes back tomorrow")
    question = records(page)[0]["questions"][0]
    points = [point.id for point in READ[question["chapter"]].rubric]
    assert grades(page) == {id: [3 if id == points[2] else 1] for id in points} | {
        followup["id"]: [grade] for followup, grade in zip(question["followups"], (2, 1), strict=True)}


def test_marks_that_could_not_become_cards_do_so_at_the_next_visit(reader):
    page = reader()
    page.route("**/fsrs.js", lambda route: route.abort())
    begin(page)
    answer(page)
    compare(page)
    expect(room(page).get_by_role("status").first).to_have_text("A part of this page could not be fetched: check the connection and "
                                                               "try again. Your marks wait here until they become cards.")
    expect(page.get_by_role("timer")).to_be_visible()  # the interview goes on
    assert not grades(page)
    page.unroute("**/fsrs.js")
    page.said.clear()  # the browser's own words on a failed request
    page.clock.set_fixed_time(DAY_2)
    page.goto(page.url.partition("#")[0] + "?")
    until(page, "Object.keys(localStorage).filter(key => key.includes('/cards/')).length === 6")
    reviews = page.evaluate("proveIt.chapters.flatMap(chapter => chapter.rubric).flatMap(({id}) => proveIt.progress.card(id).reviews)")
    assert reviews == [[page.evaluate(f"+new Date('{DAY_1}')"), 3]] * 6  # of the day they were made


def test_marks_are_given_to_the_cards_once_only(reader):
    """Even if the page was closed after the cards were told and before that was noted."""
    page = reader()
    interview(page)
    before = grades(page)
    page.evaluate("""() => {
        const key = Object.keys(localStorage).find(key => key.includes('/interview/')), record = JSON.parse(localStorage[key]);
        for (const ask of [record.questions[0], ...record.questions[0].followups]) delete ask.kept;
        localStorage[key] = JSON.stringify(record);
    }""")
    page.clock.set_fixed_time(DAY_2)
    page.reload()
    until(page, "Object.entries(localStorage).find(([key]) => key.includes('/interview/'))[1].match(/kept/g)?.length === 3")
    assert grades(page) == before
    assert set(map(tuple, before.values())) == {(3,)}


def test_back_leads_to_the_start_and_the_interview_waits(reader):
    page = reader()
    begin(page, number="3")
    page.get_by_label("Your answer").fill("Half")
    page.go_back()
    line = page.locator(".practice-history li")
    expect(line).to_contain_text("1 March at 20:00")
    expect(line).to_contain_text("Not finished: question 1 of 3")
    line.get_by_role("link").click()
    expect(page.get_by_label("Your answer")).to_have_value("Half")
    page.get_by_role("link", name="Leave the interview").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_jump_within_the_page_does_not_leave_the_interview(reader):
    page = reader()
    begin(page)
    address = page.url
    page.get_by_label("Your answer").fill("Half")
    page.locator("#pst-skip-link a").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(address)
    page.reload()
    expect(page.get_by_label("Your answer")).to_have_value("Half")


def test_an_interview_that_is_not_here_is_said_not_to_be(reader):
    page = reader(address="#2026-11-26T17:00:00.000Z")
    expect(room(page).get_by_role("status").first).to_have_text("This browser does not keep that interview.")
    begin(page)
    expect(room(page).get_by_role("status").first).to_be_empty()


def test_an_earlier_interview_is_opened_again_removed_and_brought_back(reader):
    page = reader()
    first = interview(page, points=2)
    page.clock.set_fixed_time(DAY_2)
    again(page)
    second = interview(page, points=4)
    again(page)
    lines = page.locator(".practice-history li")
    expect(lines).to_have_text([re.compile("2 March at 7:00.*4 of 6 points"), re.compile("1 March at 20:00.*2 of 6 points")])
    lines.nth(1).get_by_role("link").click()
    expect(page.get_by_role("heading", name="You made 2 of 6 points")).to_be_focused()
    page.go_back()
    page.get_by_role("button", name="Remove the interview of 1 March at 20:00").press("Enter")
    assert records(page) == [second]
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    undo.press("Enter")
    assert records(page) == [first, second]
    expect(page.get_by_role("button", name="Remove the interview of 1 March at 20:00")).to_be_focused()
    page.seen.clear()
    page.reload()
    page.wait_for_load_state("networkidle")
    assert not [url for url in page.seen if "fsrs" in url]  # the cards know all of it


# --- files -------------------------------------------------------------------------------------------

def kept(page):
    return page.evaluate("Object.fromEntries(Object.entries(localStorage).filter(([key]) => key.startsWith('prove-it/')))")


def exported(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert re.fullmatch(r"prove-it-\d{4}-\d\d-\d\d\.json", download.value.suggested_filename)
    return download.value.path()


def test_a_file_brings_everything_back(reader):
    page = reader()
    interview(page, points=2)
    page.evaluate("localStorage['prove-it/q29-layer-normalization/code/q29-stub'] = 'mine'")
    before = kept(page)
    file = exported(page)
    page.evaluate("localStorage.clear()")
    again(page)
    expect(page.locator(".practice-history")).to_have_text("None yet.")
    said = page.locator(".practice-backup").get_by_role("status")
    page.locator("input[type=file]").set_input_files(file)
    expect(said).to_have_text(f"Imported: {len(before)} entries were new.")
    assert kept(page) == before
    expect(page.locator(".practice-history li")).to_contain_text("2 of 6 points")
    expect(page.get_by_label("Those that went badly")).to_be_enabled()
    page.locator("input[type=file]").set_input_files(file)
    expect(said).to_have_text("Nothing in this file is new.")
    assert kept(page) == before


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "This is not a file that this book has saved, or it is damaged. Nothing was changed."),
    ("{", "This is not a file that this book has saved, or it is damaged. Nothing was changed."),
    ('{"cells": []}', "This is not a file that this book has saved, or it is damaged. Nothing was changed."),
    ("\x00\x01", "This is not a file that this book has saved, or it is damaged. Nothing was changed."),
    ('{"book": "Prove It", "format": 2, "kept": {}}', "This file was saved by a newer version of the book. Nothing was changed."),
    ('{"book": "Prove It", "format": 1, "kept": {"interview/2027-01-01T00:00:00.000Z": "{"}}',
     "This file is damaged (interview/2027-01-01T00:00:00.000Z). Nothing was changed."),
    ('{"book": "Prove It", "format": 1, "kept": {"a": "fine", "cards/q28-rubric-1": "{}"}}', "This file is damaged (cards/q28-rubric-1). Nothing was changed."),
])
def test_a_file_that_is_not_ours_or_damaged_changes_nothing(reader, text, sentence):
    page = reader()
    page.evaluate("localStorage['prove-it/x'] = 'mine'")
    page.locator("input[type=file]").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": text.encode()})
    expect(page.locator(".practice-backup").get_by_role("status")).to_have_text(sentence)
    assert kept(page) == {"prove-it/x": "mine"}


# --- a browser that keeps nothing, records that are damaged ---------------------------------------------

@pytest.mark.parametrize("kind", BROKEN)
def test_a_browser_that_keeps_nothing_says_so_once_and_the_interview_goes_on(reader, kind):
    page = reader(script=BROKEN[kind])
    begin(page)
    expect(room(page).get_by_role("status").first).to_have_text(
        "Your browser does not keep this: its storage is full or blocked. Export it before you close this page.")
    answer(page, "My answer")
    expect(page.locator(".practice-typed")).to_have_text("My answer")
    compare(page, points=5)
    follow_ups(page, "I knew it", "No")
    expect(page.get_by_role("heading", name="You made 5 of 6 points")).to_be_visible()
    expect(room(page)).to_contain_text("the first comes back tomorrow")
    saved = json.loads(exported(page).read_text(encoding="utf-8"))["kept"]
    assert sum(key.startswith("interview/") for key in saved) == 1
    assert sum(key.startswith("cards/") for key in saved) == 8
    again(page)
    expect(page.locator(".practice-history li")).to_contain_text("5 of 6 points")


DAMAGED = ["{", "null", "5", '"text"', "[]", "{}", '{"questions": 3}', '{"questions": [null]}', '{"questions": [{"chapter": "x"}]}',
           '{"questions": [{"chapter": 5, "points": [], "traps": [], "followups": []}]}',
           '{"questions": [{"chapter": "x", "answer": "", "points": [], "traps": [], "followups": [null]}]}',
           '{"questions": [{"chapter": "x", "answer": {}, "points": [], "traps": [], "followups": []}]}',
           '{"questions": [{"chapter": "x", "answer": "", "marked": "long ago", "points": [], "traps": [], "followups": []}]}']


def test_a_damaged_record_is_skipped(reader):
    page = reader()
    for number, value in enumerate(DAMAGED):
        page.evaluate("([key, value]) => localStorage[key] = value", [f"prove-it/interview/2027-01-{number + 1:02}T00:00:00.000Z", value])
    page.evaluate("localStorage['prove-it/interview/yesterday'] = '{\"questions\": []}'")
    page.reload()
    expect(page.locator(".practice-history")).to_have_text("None yet.")
    for number in range(len(DAMAGED)):
        page.evaluate(f"location.hash = '#2027-01-{number + 1:02}T00:00:00.000Z'")
        expect(room(page).get_by_role("status").first).to_have_text("This browser does not keep that interview.")
    page.evaluate("location.hash = ''")
    begin(page)
    assert len(kept(page)) == len(DAMAGED) + 1 + 1  # the damaged ones are still there


def test_what_the_book_no_longer_has_is_skipped(reader):
    page = reader()
    interview(page, points=2)
    page.evaluate("""() => {
        const key = Object.keys(localStorage).find(key => key.includes('/interview/')), record = JSON.parse(localStorage[key]);
        const question = record.questions[0];
        question.points.push('gone-rubric-1');
        question.traps.push('gone-trap-1');
        question.followups.unshift({ id: 'gone-followup-1', answer: '', seconds: 5, grade: 1 });
        record.questions.push({ ...question, chapter: 'chapters/gone.html' });
        localStorage['prove-it/interview/2027-02-01T00:00:00.000Z'] = JSON.stringify(record);
        localStorage['prove-it/interview/2027-01-01T00:00:00.000Z'] = JSON.stringify({ questions: [record.questions[1]] });
    }""")
    again(page)
    page.get_by_role("link", name="1 February").click()
    expect(page.get_by_role("heading", name="You made 2 of 6 points")).to_be_visible()
    expect(page.locator(".practice-result")).to_contain_text("2 of 6 points · 0 traps · 2 of 2 follow-ups")
    page.go_back()
    page.get_by_role("link", name="1 January").click()
    expect(page.get_by_role("heading", name="The book no longer has these questions")).to_be_visible()
    expect(page.get_by_text("You missed nothing")).to_have_count(0)


# --- two tabs ------------------------------------------------------------------------------------------

def test_two_tabs_show_one_interview(reader):
    page = reader()
    begin(page)
    other = reader(tab_of=page, address=f"#{page.url.partition('#')[2]}")
    page.bring_to_front()  # a tab in the background is slow
    page.get_by_label("Your answer").fill("From the first")
    expect(other.get_by_label("Your answer")).to_have_value("From the first")
    other.bring_to_front()
    other.get_by_label("Your answer").press("End")
    other.keyboard.type(", and the second")
    expect(page.get_by_label("Your answer")).to_have_value("From the first, and the second")
    page.bring_to_front()
    answer(page)
    expect(other.get_by_role("heading", name="Compare")).to_be_visible()
    expect(other.locator(".practice-typed")).to_have_text("From the first, and the second")
    other.bring_to_front()
    other.get_by_role("checkbox").first.check()
    expect(page.get_by_role("checkbox").first).to_be_checked()
    page.bring_to_front()
    page.get_by_role("button", name="Go on").click()
    expect(other.get_by_role("timer")).to_be_visible()
    until(page, TAUGHT)  # what one tab writes reaches the other a moment later
    other.bring_to_front()
    until(other, TAUGHT)
    follow_ups(other, "Partly", "Partly")
    expect(page.get_by_role("heading", name="You made 1 of 6 points")).to_be_visible()
    expect(page.locator("#practice")).to_contain_text("the first comes back tomorrow")
    assert sorted(grades(page).values()) == [[1]] * 5 + [[2]] * 2 + [[3]]


def test_two_tabs_hold_two_interviews(reader):
    page, later = reader(), "2027-03-01T20:05:00"
    begin(page)
    other = reader(at=later, tab_of=page)
    expect(other.locator(".practice-history li")).to_contain_text("Not finished")
    begin(other)
    other.get_by_label("Your answer").fill("Two")
    page.bring_to_front()
    page.get_by_label("Your answer").fill("One")
    answer(page)
    expect(other.get_by_label("Your answer")).to_have_value("Two")
    assert [record["questions"][0]["answer"] for record in records(page)] == ["One", "Two"]


# --- for everyone --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_an_interview_is_for_everyone(reader, width, scheme):
    page = reader(viewport={"width": width, "height": 800}, color_scheme=scheme)

    def check():
        page.wait_for_load_state("networkidle")
        found = Axe().run(page, options=RULES | {"preload": False}).response["violations"]
        assert not [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        targets = page.locator("#practice :is(button, label, summary, .practice-history a):visible")
        assert min(targets.evaluate_all("all => all.map(one => Math.round(one.getBoundingClientRect().height))")) >= 44

    check()
    begin(page)
    check()
    answer(page, "x" * 300)
    check()
    compare(page, points=3, traps=1)
    answer(page)
    check()
    page.get_by_label("Partly").check()
    page.get_by_role("button", name="Go on").click()
    follow_ups(page, "No")
    page.get_by_text("What you wrote").click()
    check()
    again(page)
    page.get_by_role("button", name="Remove").click()
    check()


def test_it_works_in_a_book_that_is_opened_as_a_file(browser, book):
    page = listen(browser.new_page(), book.as_uri())
    page.goto((book / "interview.html").as_uri())
    interview(page, points=4, grades=("No", "Partly"))
    expect(page.get_by_role("heading", name="You made 4 of 6 points")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="You made 4 of 6 points")).to_be_visible()
    assert len(grades(page)) == 8
    assert not page.said
    page.close()


def test_a_year_of_interviews_is_no_burden(reader):
    page = reader()
    page.evaluate("""() => {
        for (let day = 0; day < 300; day++) {
            const questions = proveIt.chapters.map(({ page, rubric }) => ({ chapter: page, answer: 'x'.repeat(1000), began: 1, seconds: 40, marked: 1, kept: true,
                points: rubric.map(({ id }) => id), traps: [], followups: [] }));
            localStorage[`prove-it/interview/${new Date(1.7e12 + day * 864e5).toISOString()}`] = JSON.stringify({ questions });
        }
    }""")
    page.reload()
    expect(page.locator(".practice-history li")).to_have_count(300)
    start = time.monotonic()
    begin(page, number="all")
    assert time.monotonic() - start < 5
