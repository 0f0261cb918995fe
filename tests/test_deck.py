"""The Anki deck, as a learner has it: Anki's own library imports it, draws its cards, and later imports a newer one."""
import contextlib
import json
import re
import sys
import zipfile
from html import unescape
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from anki.collection import Collection, ImportAnkiPackageRequest
from bs4 import BeautifulSoup
from conftest import BOOK_URL, ROOT
from test_book import CHAPTERS, TOC

sys.path.append(str(ROOT / "_ext"))
import deck  # noqa: E402
import items  # noqa: E402

pytestmark = pytest.mark.xdist_group("book")  # one worker builds the book and keeps it
SHORT = {page["file"]: page["title"] for part in TOC["parts"] for page in part["chapters"] if page["file"] in CHAPTERS}
FOUND = [(SHORT[name], items.read(ROOT / f"{name}.ipynb"), {}) for name in CHAPTERS]
CARDS = {card.id: (card, chapter) for _, chapter, _ in FOUND for card in chapter.cards}
FORMULA = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$", re.DOTALL)


@contextlib.contextmanager
def new_collection(folder):
    collection = Collection(str(folder / "collection.anki2"))
    yield collection
    collection.close()


def take(collection, path):
    """Import a deck as Anki's own window does where nobody changes a setting; how many notes were new, updated, the same."""
    options = collection._backend.get_import_anki_package_presets()
    said = collection.import_anki_package(ImportAnkiPackageRequest(package_path=str(path), options=options)).log
    assert not (said.conflicting or said.first_field_match or said.missing_notetype or said.missing_deck or said.empty_first_field)
    return len(said.new), len(said.updated), len(said.duplicate)


def cards(collection):
    """{id in the notebook: card}, in the order in which Anki shows new cards."""
    return {card.note().guid: card for card in map(collection.get_card, collection.find_cards("", order="c.due"))}


@pytest.fixture(scope="module")
def collection(book, tmp_path_factory):
    """A learner's collection, fresh, with the deck of the built book."""
    with new_collection(tmp_path_factory.mktemp("anki")) as collection:
        assert take(collection, book / deck.NAME) == (len(CARDS), 0, 0)
        yield collection


@pytest.fixture(scope="module")
def drawn(collection):
    """{id: (question, answer)}: the HTML that Anki shows, without the style sheet."""
    return {name: tuple(side.partition("</style>")[2] for side in (card.question(), card.answer()))
            for name, card in cards(collection).items()}


def source_cells():
    """{id: text of the cell that has it} over all notebooks, read without items.py."""
    return {name: "".join(cell["source"]) for chapter in CHAPTERS
            for cell in json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
            for name in cell["metadata"].get("prove_it", {}).get("ids", [])}


def bare(text):
    """What is left of HTML or Markdown without links, signs of markup and of formulas, and space."""
    text = re.sub(r"\]\([^)\s]+\)", "]", text)
    text = re.sub(r"</?(?:a|b|br|code|details|em|hr|li|ol|p|strong|sub|summary|sup|ul)\b[^>]*>|<img[^>]*>", "", text)
    return re.sub(r"\\[()]|\\\[|\\\]|[\s*`$\[\]]|^- ", "", unescape(text), flags=re.MULTILINE)


# --- what is in it -------------------------------------------------------------------------------------

def test_every_card_of_the_notebooks_is_there_once_and_in_the_order_of_the_book(collection):
    assert list(cards(collection)) == list(CARDS)
    assert len({card.due for card in cards(collection).values()}) == len(CARDS), "Anki may mix the cards of one place"
    assert collection.card_count() == collection.note_count() == len(CARDS) > 90
    assert {entry.name for entry in collection.decks.all_names_and_ids()} == {"Default", "Prove It"}
    assert not collection.find_cards('-deck:"Prove It"')


def test_every_text_of_a_card_stands_in_the_cell_that_has_its_id(collection):
    cells = source_cells()
    assert not CARDS.keys() - cells.keys(), f"no cell has the id of {', '.join(sorted(CARDS.keys() - cells.keys()))}"
    for name, card in cards(collection).items():
        note, cell = card.note(), bare(cells[name])
        asked = "" if note.has_tag("rubric") else note["Question"]  # a rubric's is about the point, in words of its own
        blocks = BeautifulSoup(asked + note["Options"] + note["Answer"], "html.parser").find_all(["p", "li"])
        texts = [bare("".join(str(child) for child in block.children if child.name != "p")) for block in blocks]
        assert len(list(filter(None, texts))) > (0 if note.has_tag("rubric") else 1), name
        for text in texts:
            assert text in cell, f"{name}: {text}"


def test_formulas_are_what_anki_gives_to_mathjax(collection):
    seen = 0
    for name, card in cards(collection).items():
        fields = card.note().values()
        text = BeautifulSoup("".join(fields[:3]), "html.parser")
        for code in text.find_all("code"):
            code.decompose()
        assert "$" not in text.get_text(), name
        own, _ = CARDS[name]
        asked = [own.front, *(option.why for option in own.options)] if own.options else [own.front, own.back]
        wanted = [latex for part in asked for latex in FORMULA.findall(part)]
        assert re.findall(r"\\\((.+?)\\\)", text.get_text()) == wanted, name
        assert not own.options or not FORMULA.search("".join(option.text for option in own.options)), name
        seen += len(wanted)
    assert seen > 100


def test_a_formula_and_code_reach_the_screen_as_they_are(tmp_path):
    """Signs of HTML and of Anki's templates among them."""
    latex = r"a<b \&lt; c>\frac{\frac{1}{2}}{3}"
    card = items.Card("q0-quiz-1", "follow-up", f"Is ${latex}$?", "`{{Question}} {{c1::x}} <b>`\n\n$$\n" + latex + "\n$$", ())
    deck.write(tmp_path / deck.NAME, [("Zero", FOUND[0][1]._replace(cards=[card]), {})], "", 1e9)
    with new_collection(tmp_path) as collection:
        assert take(collection, tmp_path / deck.NAME) == (1, 0, 0)
        (shown,) = cards(collection).values()
        text = BeautifulSoup(shown.answer(), "html.parser").get_text()
    assert rf"Is \({latex}\)?" in text
    assert "{{Question}} {{c1::x}} <b>" in text
    assert re.search(r"\\\[\s*" + re.escape(latex) + r"\s*\\\]", text)


def test_every_card_is_tagged_with_its_chapter_and_its_kind(collection):
    for name, card in cards(collection).items():
        own, chapter = CARDS[name]
        assert sorted(card.note().tags) == sorted([chapter.name, own.kind])
    for _, chapter, _ in FOUND:
        assert len(collection.find_cards(f'"tag:{chapter.name}"')) == len(chapter.cards) > 10


def test_figures_come_with_the_deck_and_say_what_they_show(book, collection):
    with zipfile.ZipFile(book / deck.NAME) as package:
        media = {name: package.read(number).decode() for number, name in json.loads(package.read("media")).items()}
    shown = {}
    for name, card in cards(collection).items():
        own, chapter = CARDS[name]
        note = card.note()
        wanted = [figure for anchor in dict.fromkeys(own.read) for figure in chapter.figures.get(anchor, ())]
        pictures = BeautifulSoup("".join(note.values()), "html.parser").find_all("img")
        assert [picture["alt"] for picture in pictures] == [figure.alt for figure in wanted], name
        assert all(picture["alt"] for picture in pictures)
        assert collection.media.files_in_str(note.mid, "".join(note.values())) == [picture["src"] for picture in pictures]
        shown |= {picture["src"]: figure.svg for picture, figure in zip(pictures, wanted, strict=True)}
    assert media == shown and len(shown) > 3
    check = collection.media.check()
    assert not list(check.missing) and not list(check.unused)


def test_the_page_of_the_cards_offers_the_deck(book):
    (link,) = BeautifulSoup((book / "review.html").read_text(encoding="utf-8"), "html.parser").select("#take-them-to-anki a[download]")
    assert link["href"] == deck.NAME and (book / deck.NAME).stat().st_size < 2_000_000


# --- what is shown -------------------------------------------------------------------------------------

def test_every_card_is_well_formed(drawn):
    for name, sides in drawn.items():
        for side in sides:
            try:
                ElementTree.fromstring("<div>" + side.replace('<hr id="answer">', "") + "</div>")
            except ElementTree.ParseError as error:
                pytest.fail(f"{name}: {error}")


def test_every_question_says_its_chapter_and_keeps_the_answer_back(drawn):
    for name, (question, answer) in drawn.items():
        own, chapter = CARDS[name]
        asked, told = (BeautifulSoup(side, "html.parser") for side in (question, answer))
        assert asked.select_one(".chapter").get_text() == SHORT[f"chapters/{chapter.name}"]
        assert bare(own.front) in bare(question), name
        assert bare(own.front) in bare(answer), name
        assert bare(own.back) in bare(answer), name
        assert bare(own.back) not in bare(question), f"{name}: the question gives the answer away"
        assert not asked.select("hr, img, .right, b, .read") and len(told.select("hr#answer")) == 1, name


def test_a_quiz_shows_its_options_and_then_what_is_right_and_wrong_about_each(drawn):
    seen = 0
    for name, (question, answer) in drawn.items():
        own, _ = CARDS[name]
        asked, told = (BeautifulSoup(side, "html.parser").select('ol[type="A"] > li') for side in (question, answer))
        assert len(asked) == len(told) == len(own.options), name
        for option, before, after in zip(own.options, asked, told, strict=True):
            assert before.decode_contents() == option.text
            assert bare(str(after)) == bare(option.text + option.why)
            assert (after.get("class") == ["right"]) is option.right is bool(after.p.get_text().startswith("Right"))
        seen += bool(told)
    assert seen == sum(card.kind == "quiz" for card, _ in CARDS.values()) > 30


def test_every_link_leads_into_the_published_book_or_elsewhere_on_the_web(book, drawn):
    ids = {name: {tag["id"] for tag in BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser").find_all(id=True)}
           for name in CHAPTERS}
    inside = 0
    for name, (_, answer) in drawn.items():
        soup = BeautifulSoup(answer, "html.parser")
        assert soup.select(".read a"), name
        for link in soup.find_all("a"):
            assert link["href"].startswith("https://") and not re.search(r"\s", link["href"]), f"{name}: {link}"
            if link["href"].startswith(BOOK_URL):
                address = urlsplit(link["href"].removeprefix(BOOK_URL))
                assert not address.fragment or unquote(address.fragment) in ids[address.path.removesuffix(".html")], f"{name}: {link}"
                inside += bool(address.fragment)
    assert inside > 10


def test_without_an_address_of_the_book_a_link_into_it_is_its_text(drawn, tmp_path):
    deck.write(tmp_path / deck.NAME, FOUND, "", 1e9)
    with new_collection(tmp_path) as collection:
        take(collection, tmp_path / deck.NAME)
        for name, card in cards(collection).items():
            answer, linked = (BeautifulSoup(side, "html.parser") for side in (card.answer().partition("</style>")[2], drawn[name][1]))
            assert not answer.select(".read")
            linked.select_one(".read").decompose()
            assert bare(answer.get_text()) == bare(linked.get_text())
            assert [link["href"] for link in answer.find_all("a")] \
                == [link["href"] for link in linked.find_all("a") if not link["href"].startswith(BOOK_URL)]


# --- a newer deck --------------------------------------------------------------------------------------

def test_a_newer_deck_brings_new_texts_and_cards_and_keeps_what_was_learned(tmp_path):
    short, chapter, _ = FOUND[0]
    first, second, *rest = chapter.cards
    figure = items.Figure('<svg xmlns="http://www.w3.org/2000/svg"/>', "A new figure.")
    changed = chapter._replace(
        name="q28-a-new-name", figures={"here": [figure]},
        cards=[second, first._replace(back="A corrected text.", read=("here",)), first._replace(id="q28-rubric-99", front="New?"), *rest])
    old, new = tmp_path / "old.apkg", tmp_path / "new.apkg"
    deck.write(old, [(short, chapter, {})], "", 1_700_000_000)
    deck.write(new, [("A new title", changed, {})], BOOK_URL, 1_700_000_001)
    with new_collection(tmp_path) as collection:
        take(collection, old)
        before = cards(collection)
        collection.decks.select(collection.decks.id("Prove It"))
        for rating in (3, 4, 1):
            card = collection.sched.getCard()
            collection.sched.answerCard(card, rating)
        collection.sched.set_due_date([before[first.id].id], "17")
        collection.sched.suspend_cards([before[rest[0].id].id])
        learned = ("select id, did, type, queue, due, ivl, factor, reps, lapses from cards "
                   "where nid in (select id from notes where guid != 'q28-rubric-99')")
        reviews, learned_before = collection.db.all("select * from revlog"), collection.db.all(learned)
        assert len(reviews) >= 3 and len({tuple(row[2:]) for row in learned_before}) > 3

        assert take(collection, new) == (1, len(before), 0)
        after = cards(collection)
        assert {name: card.id for name, card in after.items() if name in before} == {name: card.id for name, card in before.items()}
        assert after.keys() - before.keys() == {"q28-rubric-99"}
        assert collection.db.all("select * from revlog") == reviews and collection.db.all(learned) == learned_before
        note = after[first.id].note()
        assert note["Answer"].startswith("<p>A corrected text.</p>") and note["Chapter"] == "A new title"
        assert note.has_tag("q28-a-new-name") and not note.has_tag(chapter.name)
        (picture,) = collection.media.files_in_str(note.mid, note["Answer"])
        assert collection.media.have(picture)
        assert take(collection, new) == (0, 0, len(after)), "the same deck once more changes nothing"
        assert take(collection, old)[:2] == (0, 0), "an older deck brings no old text back"
        assert cards(collection)[first.id].note()["Answer"] == note["Answer"]


def test_the_texts_and_the_styles_are_as_new_as_the_build(book, collection):
    """In seconds since 1970, by which Anki tells what is newer."""
    built = (book / deck.NAME).stat().st_mtime
    (note_type,) = collection.db.list("select mtime_secs from notetypes where name = 'Prove It'")
    assert all(abs(built - time) < 60 for time in [note_type, *(card.note().mod for card in cards(collection).values())])


def test_for_one_point_in_time_the_same_file_comes_out_whenever_it_is_made(tmp_path, monkeypatch):
    deck.write(tmp_path / "one", FOUND, BOOK_URL, 1_700_000_000)
    monkeypatch.setattr("time.time", lambda: 1_800_000_000)
    deck.write(tmp_path / "two", FOUND, BOOK_URL, 1_700_000_000)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
