"""From reading to remembering: quizzes that remember, and cards that come back when they are due."""
import json
import re
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import BROKEN, ROOT
from playwright.sync_api import expect
from test_book import CHAPTERS
from test_browser import RULES

sys.path.append(str(ROOT / "_ext"))
import items  # noqa: E402

pytestmark = pytest.mark.xdist_group("book")  # one worker builds the book and keeps it
READ = {chapter: items.read(ROOT / f"{chapter}.ipynb") for chapter in CHAPTERS}
CARDS = [card for chapter in READ.values() for card in chapter.cards]
DAY_2, DAY_4 = "2027-03-02T07:00:00", "2027-03-04T12:00:00"
QUIZ = next(card for card in CARDS if card.kind == "quiz")


def kept(page, id):
    return json.loads(page.evaluate(f"localStorage.getItem('prove-it/cards/{id}')") or '{"reviews": []}')


def session(page, grade):
    """Go through all the cards of today; grade(number) says how well each was known, 1 to 4. Returns how many there were."""
    page.get_by_role("button", name="Begin").click()
    number = 0
    while not page.get_by_role("heading", name=re.compile("today")).nth(1).is_visible():
        answer(page, grade(number))
        number += 1
        assert number < 200
    return number


def answer(page, grade):
    options = page.locator(".practice-options button")
    if not options.count():
        page.get_by_role("button", name="Show the answer").click()
    else:
        right = grade > 1
        texts = {option.text: option.right for card in CARDS for option in card.options}
        options.filter(has=page.locator("span")).nth(next(
            i for i, text in enumerate(options.locator("span").evaluate_all("spans => spans.map(span => span.innerHTML)"))
            if text_of(texts, text) == right)).click()
    again = page.get_by_role("button", name="I know it now")
    grades = page.locator(".practice-grades button")
    expect(grades.first).to_be_visible()
    again.click() if again.count() else grades.nth(grade - 1).click()


def text_of(texts, shown):
    """Is the option that is shown the right one? The browser writes some letters in another way."""
    plain = lambda text: re.sub(r"&\w+;|[^\w<>/]", "", text)
    return next(right for text, right in texts.items() if plain(text) == plain(shown))


# --- the source ----------------------------------------------------------------------------------------

def data(book):
    return json.loads((book / "_static" / "practice-data.js").read_text(encoding="utf-8").removeprefix("proveIt.chapters = ").rstrip(";\n"))


def plain(text):
    """Letters and digits, whether of HTML or of Markdown."""
    return re.sub(r"\W|mathrm|text", "", re.sub(r"<math.*?</math>|\$[^$]*\$|<[^>]*>|\]\([^)]*\)|&\w+;", "", text))


def test_every_card_stands_in_a_cell_of_its_chapter(book):
    shown = data(book)
    assert [chapter["page"] for chapter in shown] == [f"{chapter}.html" for chapter in CHAPTERS]
    for name, chapter in zip(CHAPTERS, shown, strict=True):
        sources = {id: items.source(cell) for cell in json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
                   for id in items.ids(cell)}
        cards = {card["id"] for card in chapter["cards"]}
        assert cards | {trap["id"] for trap in chapter["traps"]} == set(sources)
        assert {point["id"] for point in chapter["rubric"]} <= cards
        for card in chapter["cards"]:
            assert card["id"] in sources, f"the card {card['id']} has no cell in {name}"
            source = plain(sources[card["id"]])
            said = [option["why"] for option in card["options"]] if "options" in card else [re.sub('<div class="cell_output">.*', "", card["back"])]
            if card["kind"] != "rubric":
                said.append(card["front"])
            for text in said:
                assert plain(text) in source, f"the card {card['id']} says what its cell does not: {text}"
        for point in chapter["rubric"] + chapter["traps"]:
            assert plain(point["html"]) in plain(sources[point["id"]])


def test_every_kind_of_card_is_there():
    for chapter in READ.values():
        kinds = [card.kind for card in chapter.cards]
        assert kinds.count("rubric") == len(chapter.rubric) >= 3 and kinds.count("quiz") >= 3 and kinds.count("follow-up") >= 3
        assert chapter.spoken and chapter.traps


def test_what_a_card_leads_to_is_there(book):
    pages = {f"{chapter}.html": (book / f"{chapter}.html").read_text(encoding="utf-8") for chapter in CHAPTERS}
    for chapter in data(book):
        for item in chapter["rubric"] + chapter["traps"] + chapter["cards"]:
            for address, title in item["read"]:
                page, _, anchor = address.partition("#")
                assert not anchor or f'id="{anchor}"' in pages[page], address
                assert title
    figures = re.findall(r'_images/\w+\.svg', (book / "_static" / "practice-data.js").read_text(encoding="utf-8"))
    assert figures and all((book / figure).exists() for figure in figures)


# --- the quiz of a chapter -----------------------------------------------------------------------------

def test_a_quiz_is_answered_from_the_keyboard_and_remembered(reader):
    page = reader(f"{CHAPTERS[0]}.html")
    quiz = page.locator(f"#{QUIZ.id}")
    wrong = quiz.locator("details:not(.quiz-right) summary").first
    wrong.focus()
    page.keyboard.press("Enter")
    expect(quiz.get_by_role("status")).to_have_text("Your answer: wrong. It comes back as a card tomorrow. ")
    expect(quiz.locator("details[open] p")).to_contain_text("Wrong.")
    quiz.locator(".quiz-right summary").focus()
    page.keyboard.press("Enter")  # the second option is read, and no answer
    expect(quiz.locator(".quiz-right p").first).to_be_visible()
    page.reload()
    expect(quiz.get_by_role("status")).to_have_text("Your answer of 1 March: wrong. It comes back as a card tomorrow. ")
    expect(quiz.locator(".quiz-picked > summary")).to_have_text(wrong.text_content())
    assert [grade for _, grade in kept(page, QUIZ.id)["reviews"]] == [1]
    quiz.get_by_role("button", name="Ask me again").press("Enter")
    page.keyboard.press("Tab")
    assert quiz.evaluate("quiz => quiz.contains(document.activeElement)")
    expect(quiz.get_by_role("status")).to_be_empty()
    page.clock.set_fixed_time(DAY_2)
    quiz.locator(".quiz-right summary").click()
    expect(quiz.get_by_role("status")).to_contain_text("Your answer: right. It comes back as a card in ")
    assert [grade for _, grade in kept(page, QUIZ.id)["reviews"]] == [1, 3]


def test_a_quiz_needs_no_script(reader):
    page = reader(f"{CHAPTERS[0]}.html", java_script_enabled=False)
    for option in page.locator(f"#{QUIZ.id} details").all():
        option.locator("summary").click()
        assert option.locator("p").inner_text().startswith(("Right.", "Wrong."))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_quiz_says_when_the_browser_keeps_nothing(reader, kind):
    page = reader(f"{CHAPTERS[0]}.html", script=BROKEN[kind])
    page.locator(f"#{QUIZ.id} .quiz-right summary").click()
    expect(page.locator(f"#{QUIZ.id}").get_by_role("status")).to_have_text(
        re.compile(r"^Your answer: right\. .*Your browser does not keep it: its storage is full or blocked\. $"))


def test_a_quiz_follows_what_another_tab_answers(reader):
    page = reader(f"{CHAPTERS[0]}.html")
    other = reader(f"{CHAPTERS[0]}.html", tab_of=page)
    other.locator(f"#{QUIZ.id} .quiz-right summary").click()
    expect(page.locator(f"#{QUIZ.id}").get_by_role("status")).to_contain_text("right")


# --- the cards -----------------------------------------------------------------------------------------

def test_three_days(reader):
    """Seven new cards, one of them not known; it is due the next day, with seven new ones; on the fourth day those come that were known."""
    page = reader("review.html")
    expect(page.locator("#practice")).to_contain_text("7 new. About 4 minutes.")
    assert session(page, lambda number: 1 if number == 2 else 3) == 8  # the one not known comes again, at the end
    expect(page.locator("#practice")).to_contain_text("Due tomorrow: 1.")
    first = [card.id for card in CARDS[:7]]
    assert [[grade for _, grade in kept(page, id)["reviews"]] for id in first] == [[3], [3], [1], *[[3]] * 4]

    page.clock.set_fixed_time(DAY_2)
    page.goto(page.url.replace("review", "index"))
    expect(page.locator("#due")).to_have_text("Cards today: 1 due, 7 new")
    page.locator("#due").click()
    expect(page.locator("#practice")).to_contain_text("1 card to see again, 7 new.")
    assert session(page, lambda number: 3) == 8
    expect(page.locator("#practice")).to_contain_text("New today: 7, those of interviews and quizzes among them. Due tomorrow: 0.")

    page.clock.set_fixed_time(DAY_4)
    page.reload()
    expect(page.locator("#practice")).to_contain_text("6 cards to see again, 7 new.")
    assert session(page, lambda number: 4 if number < 6 else 2) == 13
    page.reload()
    expect(page.locator("#practice")).to_contain_text(f"Never seen: {len(CARDS) - 21}.")
    easy, hard = kept(page, first[0]), kept(page, first[2])
    assert easy["due"] > hard["due"] > page.evaluate("Date.now()")


def test_a_card_shows_its_question_first_and_everything_by_key(reader):
    page = reader("review.html")
    page.get_by_role("button", name="Begin").press("Enter")
    room = page.locator("#practice")
    seen = set()
    for card in CARDS[:7]:
        seen.add(card.kind)
        expect(room.locator("h2")).to_be_focused()
        if card.options:
            expect(room.locator("li div")).to_have_count(0)
            page.keyboard.press("b")
            expect(room.locator("li div")).to_have_count(len(card.options))  # each option says why
            page.keyboard.press("1")
            page.keyboard.press("1")  # the second is for a button that is not there, and does nothing
        else:
            assert plain(card.back) not in plain(room.inner_html())
            page.keyboard.press("Space")
            expect(room.locator(".practice-grades button")).to_have_count(4)
            page.keyboard.press("3")
        expect(room.locator("h3")).to_have_count(0)
        assert len(kept(page, card.id)["reviews"]) == 1
    assert seen >= {"rubric", "quiz"}


def test_what_was_not_known_is_asked_until_it_is_known(reader):
    """At the end of the session; this is no review any more, and one key means one thing."""
    page = reader("review.html")
    page.get_by_role("button", name="Begin").click()
    for number in range(7):
        answer(page, 1 if number == 0 else 3)
    room, press = page.locator("#practice"), page.keyboard.press
    for key in ("1", "2"):  # not yet, and now it is
        press("Space")
        expect(room.locator("h3")).to_have_text("Answer")
        press("Space")
        expect(room.locator("h3")).to_be_visible()
        press(key)
        expect(room.locator("h3")).to_have_count(0)
    expect(room.locator("h2")).to_have_text("Done for today")
    assert [grade for _, grade in kept(page, CARDS[0].id)["reviews"]] == [1]


def test_later_grades_come_back_later(reader):
    page = reader("review.html")
    times = page.evaluate(f"proveIt.progress.next('{CARDS[0].id}')")
    assert times == sorted(set(times))
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Show the answer").click()
    shown = page.locator(".practice-grades small").all_text_contents()
    assert shown[0] == "tomorrow" and all(re.fullmatch(r"in \d+ days", text) for text in shown[1:])


def test_a_card_with_a_figure_shows_it(reader):
    page = reader("review.html")
    with_figure = [card for card in page.evaluate("proveIt.chapters.flatMap(chapter => chapter.cards)") if "_images/" in card["back"]]
    assert with_figure
    page.evaluate("""id => proveIt.chapters.flatMap(chapter => chapter.cards).filter(card => card.id !== id)
        .forEach(card => proveIt.store.set(`cards/${card.id}`, '{"due": 9e15, "reviews": [[1, 3]]}'))""", with_figure[0]["id"])
    page.reload()
    page.get_by_role("button", name="Begin").click()
    page.locator(".practice-options button, .practice-main").first.click()
    picture = page.locator("#practice img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("async img => { await img.decode(); return img.naturalWidth; }") > 100
    assert picture.get_attribute("alt")


def test_a_reload_loses_nothing(reader):
    page = reader("review.html")
    page.get_by_role("button", name="Begin").click()
    for _ in range(3):
        answer(page, 3)
    expect(page.locator(".practice-where")).to_contain_text("4 cards left")
    page.reload()
    expect(page.locator("#practice")).to_contain_text("4 new.")


def test_a_double_click_counts_once(reader):
    page = reader("review.html")
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Show the answer").click()
    page.locator(".practice-grades button").first.evaluate("button => { button.click(); button.click(); }")
    page.get_by_role("button", name="Show the answer").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#practice")).to_contain_text("You went through 1 card.")


def test_two_tabs_ask_no_card_twice(reader):
    page = reader("review.html")
    other = reader("review.html", tab_of=page)
    for tab in (other, page):
        tab.bring_to_front()  # a tab in the background is slow
        tab.get_by_role("button", name="Begin").click()
    answer(page, 3)
    expect(other.locator("#practice").get_by_role("status")).to_have_text("That card was answered in another tab.")
    expect(other.locator(".practice-where")).to_contain_text("6 cards left")
    other.bring_to_front()
    answer(other, 3)
    expect(page.locator(".practice-where")).to_contain_text("5 cards left")


@pytest.mark.parametrize("kind", BROKEN)
def test_cards_say_when_the_browser_keeps_nothing(reader, kind):
    page = reader("review.html", script=BROKEN[kind])
    page.get_by_role("button", name="Begin").click()
    answer(page, 3)
    expect(page.locator("#practice").get_by_role("status")).to_contain_text("storage is full or blocked")
    expect(page.locator(".practice-where")).to_contain_text("6 cards left")


def test_what_is_damaged_in_the_storage_counts_as_new(reader):
    page = reader("review.html")
    for number, value in enumerate(["{", "5", "null", '{"reviews": 3}', '"text"', '{"due": 5}',
                                    '{"due": 5, "reviews": [null, 3, ["x", 3], [5, 9]]}']):
        page.evaluate("([id, value]) => localStorage.setItem(`prove-it/cards/${id}`, value)", [CARDS[number].id, value])
    page.evaluate(f"localStorage.setItem('prove-it/cards/{CARDS[9].id}', '{{\"due\": null, \"reviews\": [[1e12, 3], 4]}}')")  # known
    page.evaluate(f"localStorage.setItem('prove-it/quiz/{QUIZ.id}', '[')")
    page.reload()
    expect(page.locator("#practice")).to_contain_text("1 card to see again, 7 new.")
    assert session(page, lambda number: 3) == 8
    page.goto(page.url.replace("review", CHAPTERS[0]))
    page.locator(f"#{QUIZ.id} .quiz-right summary").click()
    expect(page.locator(f"#{QUIZ.id}").get_by_role("status")).to_contain_text("right")


def test_what_two_browsers_know_is_joined(reader):
    """The reviews of both count, in the order of their times; what only one has is kept; a second time changes nothing."""
    page, other = reader("review.html"), reader("review.html", at=DAY_2)
    for each, grades in ((page, {CARDS[0].id: 1, CARDS[1].id: 3}), (other, {CARDS[0].id: 3, CARDS[2].id: 4})):
        each.evaluate("async grades => { for (const [id, grade] of Object.entries(grades)) await proveIt.progress.review(id, grade); }", grades)
    file = page.evaluate("proveIt.progress.save()")
    assert other.evaluate("file => proveIt.progress.join(file)", file) == {"fresh": 2, "safe": True}
    assert other.evaluate("file => proveIt.progress.join(file)", file) == {"fresh": 0, "safe": True}
    assert [[grade for _, grade in kept(other, card.id)["reviews"]] for card in CARDS[:3]] == [[1, 3], [3], [4]]
    assert kept(other, CARDS[1].id) == kept(page, CARDS[1].id)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_cards_are_for_everyone(reader, width, scheme):
    page = reader("review.html", viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.get_by_role("button", name="Begin").click()
    for _ in range(7):  # through the points of the rubric to a quiz
        for state in ("question", "answer"):
            if state == "answer":
                page.locator(".practice-options button, .practice-main").first.click()
                expect(page.locator(".practice-grades button").first).to_be_visible()
            if page.locator(".practice-options").count() or page.locator(".practice-where", has_text="7 cards").count():
                found = Axe().run(page, context="#practice", options=RULES).response["violations"]
                assert not [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert min(page.locator("#practice button:visible").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")) >= 44
        page.locator(".practice-grades button").last.click()
    page.said, page.asked = [], []  # axe looks for style sheets in wrong places


def test_cards_in_a_book_that_is_opened_as_a_file(browser, book):
    page = browser.new_page()
    page.goto((book / "review.html").as_uri())
    page.get_by_role("button", name="Begin").click()
    answer(page, 3)
    expect(page.locator(".practice-where")).to_contain_text("6 cards left")
    page.close()
