"""The book as one PDF: all of it, on pages that hold it, tagged, and with links that land."""
import os
import re
import subprocess
import sys
from collections import Counter

import pikepdf
import pypdfium2
import pytest
from bs4 import BeautifulSoup
from test_book import CHAPTERS

pytestmark = pytest.mark.xdist_group("book")  # one worker builds the book and keeps it
LETTERS = re.compile(r"[^a-zA-Z]+")


def letters(text):
    """Only the letters: a line may end anywhere, and formulas have signs of their own."""
    return LETTERS.sub("", text)


@pytest.fixture(scope="module")
def said(book, browser):
    """What the command said; it has printed the book beside its pages."""
    done = subprocess.run([sys.executable, "tools/pdf.py"], cwd=book.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def path(book, said):
    return book.parent / "prove-it.pdf"


@pytest.fixture(scope="module")
def pdf(path):
    with pikepdf.open(path) as pdf:
        yield pdf


@pytest.fixture(scope="module")
def texts(path):
    """The text of every page, without the lines at its foot."""
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.get_textpage().get_text_bounded(bottom=60) for page in pdf]


@pytest.fixture(scope="module")
def whole(path):
    """The page that was printed."""
    return BeautifulSoup(path.with_suffix(".html").read_text(encoding="utf-8"), "html.parser")


def articles(whole):
    _, *pages = whole.find_all("article")
    assert len(pages) == len(CHAPTERS) + 3  # the claims, the myths, the glossary
    return pages[:len(CHAPTERS)]


def links(pdf):
    return [link for page in pdf.pages for link in page.get("/Annots", []) if link.Subtype == "/Link"]


def page_of(pdf, name):
    """The page that a name leads to, counted from 1."""
    return pikepdf.Page(pdf.Root.Dests["/" + name][0]).index + 1


def outline(pdf):
    with pdf.open_outline() as outline:
        todo, titles = list(outline.root), []
        while todo:
            item = todo.pop(0)
            titles.append(item.title)
            todo = [*item.children, *todo]
    return titles


# --- the file ------------------------------------------------------------------------------------------

def test_the_command_prints_the_path(path, said):
    assert said == f"Printing the book ...\nOpen {path}\n"


def test_the_home_page_links_it(book, path):
    home = BeautifulSoup((book / "index.html").read_text(encoding="utf-8"), "html.parser")
    link = home.find("a", href="prove-it.pdf")
    assert link.find_parent(id="three-ways-in")
    assert (book / link["href"]).read_bytes() == path.read_bytes()


def test_it_says_what_it_is(pdf, whole):
    assert pdf.Root.Lang == whole.html["lang"] == "en"
    assert pdf.docinfo.Title == "Prove It"
    assert pdf.docinfo.Author == "the Prove It contributors"
    assert pdf.Root.ViewerPreferences.DisplayDocTitle
    assert pdf.Root.MarkInfo.Marked


def test_it_is_small_enough_to_send(path, pdf):
    assert path.stat().st_size < 4e6
    assert 15 < len(pdf.pages) / len(CHAPTERS) < 30


def test_it_does_not_say_where_and_when_it_was_made(pdf, book):
    assert not {"/CreationDate", "/ModDate", "/Creator"} & set(pdf.docinfo.keys())
    there = b"".join(item.read_bytes() if isinstance(item, pikepdf.Stream) and "/FontFile2" not in item and item.get("/Subtype") != "/Image"
                     else item.unparse() for item in pdf.objects)
    assert b"Prove It" in there  # the search below sees the file
    assert not [word for word in (b"file:", b"localhost", b"127.0.0.1", str(book.parents[1]).encode(), b"/_build/") if word in there]


def test_fonts_are_in_the_file(pdf):
    fonts = [item for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/Font"]
    assert len(fonts) > 5
    for font in fonts:
        if font.Subtype == "/Type0":
            font = font.DescendantFonts[0]
        assert "/CharProcs" in font or {"/FontFile", "/FontFile2", "/FontFile3"} & set(font.FontDescriptor.keys()), font.get("/BaseFont")


# --- what is in it -------------------------------------------------------------------------------------

def test_it_begins_with_what_it_is_and_whom_it_owes(texts):
    for words in ("Prove It", "LLM Interview Questions and Answers Hub", "Kalyan KS", "CC BY 4.0", "MIT licence"):
        assert words in " ".join(texts[0].split())


def test_every_chapter_begins_on_the_page_that_the_contents_name(pdf, texts, whole):
    contents = letters(texts[1]), " ".join(texts[1].split())
    for chapter in articles(whole):
        title, page = chapter.h1.get_text(), page_of(pdf, chapter["id"])
        assert letters(texts[page - 1]).startswith(letters(title))
        assert letters(title) in contents[0]
        assert re.search(rf"\b{page}\b", contents[1]), f"{page} {title}"


def test_bookmarks_name_every_chapter_and_claim(pdf, whole):
    headings = [heading.get_text() for heading in whole.select("article :is(h1, h2, h3)")]
    assert sum(heading.startswith("Claim ") for heading in headings) > 6 * len(CHAPTERS)
    assert outline(pdf) == headings


def test_all_the_text_is_there(texts, whole):
    """The folded parts, too: the points of a strong answer, the hints, the solutions, what is wrong with an option."""
    printed = letters("".join(texts))
    for chapter in articles(whole):
        folded = chapter.select("#say-it-in-30-seconds blockquote p, details :is(summary, li, p), .tag_solution pre, .tag_hint details")
        assert len(folded) > 30
        for part in folded:
            for text in part.find_all(string=True):  # each by itself: formulas stand between them
                assert text.find_parent("math") or letters(text) in printed, part.get_text()


def test_nothing_on_it_waits_for_a_click(whole):
    assert not whole.select("button, script, details:not([open])")
    assert whole.find("details")


def test_every_figure_is_there_and_described(pdf, whole):
    shown = [img["alt"] for img in whole.select("article img")]
    assert len(shown) >= len(CHAPTERS)
    figures = [item for item in pdf.objects
               if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/StructElem" and item.get("/S") == "/Figure"]
    assert Counter(str(figure.get("/Alt", "")) for figure in figures) == Counter(shown)


def test_headings_lists_and_tables_are_tagged(pdf):
    tags = Counter(str(item.S) for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/StructElem")
    assert {"/H1", "/H2", "/H3", "/P", "/L", "/LI", "/Table", "/TH", "/TD", "/Link", "/Figure"} <= set(tags)
    assert tags["/H1"] == len(CHAPTERS) + 4


# --- links -----------------------------------------------------------------------------------------------

def test_every_link_inside_the_book_lands(pdf, texts, whole):
    wanted = {link["href"].removeprefix("#") for link in whole.select("a[href^='#']")}
    ids = Counter(tag["id"] for tag in whole.select("article, :is(h1, h2, h3, h4, span, dt, blockquote)[id]"))
    assert max(ids.values()) == 1
    assert wanted <= set(ids)
    assert {str(link.Dest).removeprefix("/") for link in links(pdf) if "/Dest" in link} == wanted
    for name in wanted:
        target = whole.find(id=name)
        begins = next(filter(letters, (target.h1 or target if target.contents else target.parent).strings))
        assert letters(begins) in letters(texts[page_of(pdf, name) - 1]), name
    assert sum("--claim-" in name for name in wanted) > 6 * len(CHAPTERS)


def test_every_other_link_leads_to_the_web(pdf, whole):
    wanted = {link["href"] for link in whole.select("a[href]:not([href^='#'])")}
    assert {str(link.A.URI) for link in links(pdf) if "/A" in link} == wanted
    assert all(link.startswith("https://") for link in wanted)


# --- pages -----------------------------------------------------------------------------------------------

def test_no_page_is_empty(pdf, texts):
    empty = [number for number, (page, text) in enumerate(zip(pdf.pages, texts, strict=True), 1) if len(letters(text)) < 60]
    assert not empty


def test_nothing_runs_off_the_page(path, browser):
    """The page is laid out as it is printed, as wide as the text on paper."""
    page = browser.new_page(viewport={"width": 567, "height": 900}, java_script_enabled=False)  # 150 mm
    page.emulate_media(media="print")
    page.goto(path.with_suffix(".html").as_uri())
    wide = page.evaluate("""() => [...document.querySelectorAll('article *')].filter(element => element.checkVisibility() &&
        (element.getBoundingClientRect().right > innerWidth + 1 || /(auto|scroll|hidden|clip)/.test(getComputedStyle(element).overflowX)
         && element.scrollWidth > element.clientWidth + 1)).map(element => element.outerHTML.slice(0, 200))""")
    page.close()
    assert not wide


def test_the_text_stays_within_the_margins(path):
    with pypdfium2.PdfDocument(path) as pdf:
        for number, page in enumerate(pdf, 1):
            text, right = page.get_textpage(), page.get_width() - 80
            beyond = [box for box in map(text.get_rect, range(text.count_rects())) if box[2] > right or box[0] < 80]
            assert not beyond, f"page {number}"


# --- without a browser -----------------------------------------------------------------------------------

def test_without_chromium_it_says_how_to_get_it(book, tmp_path):
    env = os.environ | {"PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "tools/pdf.py"], cwd=book.parents[1], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("The PDF was not made: no Chromium: install it (Debian: apt install chromium; ")
    assert len(done.stderr.splitlines()) == 1
