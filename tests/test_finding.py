"""Whoever looks for something finds it: claims, myths, terms, words typed into the search, and links shared elsewhere."""
import itertools
import re
import struct
import sys
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from conftest import BOOK_URL, ROOT, listen
from test_book import CHAPTERS, PAGES
from test_browser import RULES

sys.path.append(str(ROOT / "_ext"))
import sharing  # noqa: E402

pytestmark = pytest.mark.xdist_group("book")  # one worker builds the book and keeps it
# What a learner types, and the chapter that answers.
QUERIES = {
    "q28": ["why skip connections", "residual stream explode", "tokens become the same", "identity shortcut", "remove a layer from resnet"],
    "q29": ["layer norm per batch", "batchnorm vs layernorm", "rmsnorm subtract mean", "prenorm or postnorm", "why warmup"],
    "q30": ["cross entropy vs KL", "perfect model loss zero", "softmax overflow", "ignore padding in loss", "shift labels by one",
            "perplexity different tokenizer", "mse instead of cross entropy"],
    "q34": ["why divide by sqrt", "gradient vanish relu", "rnn forgets long range", "adam tiny gradient epsilon"],
    "q35": ["does feed forward mix tokens", "two thirds of parameters", "mlp without activation", "facts stored in mlp", "swiglu three matrices"],
    "q36": ["dropout at test time", "KV cache memory", "is decoding memory bound", "backprop flops twice forward", "is kv cache exact"],
}


@pytest.fixture(scope="module")
def pages(book):
    """{page: soup}"""
    return {page: BeautifulSoup((book / f"{page}.html").read_text(encoding="utf-8"), "html.parser") for page in PAGES}


def words(tag):
    """A part of a page as it is read, without the signs that link to a heading."""
    return " ".join(tag.get_text().replace("#", " ").split())


def there(pages, link):
    """What a link of a page at the top leads to; an empty target stands for what holds it."""
    address = urlsplit(link["href"])
    found = pages[address.path.removesuffix(".html")].find(id=unquote(address.fragment))
    return found if found is None or found.contents else found.parent


# --- claims, myths and terms ---------------------------------------------------------------------------

def test_every_claim_is_listed_and_leads_to_its_proof(pages):
    proofs = [section for chapter in CHAPTERS for section in pages[chapter].select("section[id^=claim-]")]
    links = pages["claims"].select("article ol a")
    assert [there(pages, link) for link in links] == proofs
    for link, section in zip(links, proofs, strict=True):
        assert re.fullmatch(rf"Claim \d+: {re.escape(words(link))}", words(section.h3))
        assert section.select(".tag_proof")
    assert len(proofs) > 40


def test_every_myth_is_listed_and_leads_to_its_place(pages):
    myths = [quote for chapter in CHAPTERS for quote in pages[chapter].select("blockquote") if words(quote).startswith("Myth: ")]
    items = pages["myths"].select("article section ul > li")
    assert [there(pages, item.a) for item in items] == myths
    for item, quote in zip(items, myths, strict=True):
        assert words(item).lower() == words(quote).removeprefix("Myth: ").lower()
        assert len(words(item)) > len(words(item.a)) + 20, "it does not say what was measured"
    assert len(myths) > 20


def test_claims_and_myths_stand_under_the_questions_in_the_order_of_the_book(pages):
    for page in ("claims", "myths"):
        assert [words(title) for title in pages[page].select("article h2")] == [words(pages[chapter].h1) for chapter in CHAPTERS]


def entries(pages):
    """{anchor: meaning} of the glossary."""
    return {term["id"]: words(term.find_next_sibling("dd").p) for term in pages["glossary"].select("dt")}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_term_is_linked_where_it_is_first_mentioned(chapter, pages):
    terms = pages[chapter].select("a.term")
    anchors = [urlsplit(term["href"]).fragment for term in terms]
    assert len(set(anchors)) == len(anchors) >= 8
    assert not [term for term in terms if term.find_parent(["h1", "h2", "h3", "code", "pre", "math", "summary"]) or term.parent.name == "a"]
    meaning = entries(pages)
    for term, anchor in zip(terms, anchors, strict=True):
        assert " ".join(term["aria-description"].split()) == meaning[anchor]


def test_every_term_of_the_glossary_is_used_and_said_in_a_sentence_or_two(pages):
    used = {urlsplit(term["href"]).fragment for chapter in CHAPTERS for term in pages[chapter].select("a.term")}
    for entry in pages["glossary"].select("dd"):
        names = [before["id"] for before in itertools.takewhile(lambda tag: tag.name == "dt", entry.find_previous_siblings())]
        assert used & set(names), f"no chapter mentions {names[-1]}"
        assert len(words(entry.p)) <= 200, f"{names[-1]} is more than a tooltip holds"
    assert 25 <= len(used) <= 60


# --- search ------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def search(browser, book):
    """The search page, opened as a file: without a server."""
    page = browser.new_page()
    page.goto((book / "search.html").as_uri())
    yield page
    page.close()


@pytest.mark.parametrize("chapter", QUERIES)
def test_the_words_of_a_learner_find_the_chapter_among_the_first_three(chapter, search):
    missed = {}
    for query in QUERIES[chapter]:
        found = search.evaluate("query => ask(query).slice(0, 3).map(({id}) => book.sections[id][0])", query)
        if not [address for address in found if address.startswith(f"chapters/{chapter}-")]:
            missed[query] = found
    assert not missed


def test_a_mistake_is_found_and_leads_to_its_exercise(search, pages):
    address, = search.evaluate("ask('variance over the batch and tokens').slice(0, 8).map(({id}) => book.sections[id])"
                               ".filter(([, heading]) => heading.startsWith('A mistake in layer_norm')).map(([address]) => address)")
    page, _, anchor = address.partition(".html#")
    assert words(pages[page].find(id=anchor).h3) == "Exercise 29-A: layer_norm"


def test_whatever_is_found_is_there(search, pages):
    addresses = search.evaluate("book.sections.map(([address]) => address)")
    ids = {f"{page}.html#{tag['id']}" for page, soup in pages.items() for tag in soup.find_all(id=True)}
    assert not set(addresses) - ids
    assert len(addresses) > 200


def test_the_search_works_from_the_keyboard(browser, site):
    page = listen(browser.new_page(viewport={"width": 390, "height": 900}, color_scheme="dark"), site)
    page.goto(f"{site}/glossary.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("layer norm (per batch)")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    assert page.get_by_role("searchbox", name="Search this book").last.input_value() == "layer norm (per batch)"
    assert re.fullmatch(r"The best 20 of \d+ sections found\.", page.get_by_role("status").inner_text())
    assert page.locator(".search mark").count() > 10
    assert not [rule["id"] for rule in Axe().run(page, options=RULES | {"preload": False}).response["violations"]]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Control+a")
    page.keyboard.type("qqqqqq")
    assert page.get_by_role("status").inner_text() == "No sections found."
    assert page.url.endswith("?q=qqqqqq")
    page.keyboard.press("Control+a")
    page.keyboard.type("dropout")
    page.keyboard.press("Enter")  # to the first result
    page.keyboard.press("Enter")
    page.wait_for_url("**/chapters/q36-*#*")
    assert not page.said and not page.asked
    page.close()


def test_without_scripts_the_search_says_where_to_look(pages):
    assert [link["href"] for link in pages["search"].article.noscript.select("a")] == ["claims.html", "myths.html", "glossary.html"]


# --- tooltips ----------------------------------------------------------------------------------------

def test_a_terms_meaning_is_shown_to_pointer_keyboard_and_finger(browser, site):
    page = listen(browser.new_page(viewport={"width": 390, "height": 900}, has_touch=True), site)
    page.goto(f"{site}/{CHAPTERS[0]}.html")
    terms, tip = page.locator("a.term"), page.locator(".term-tip")
    first, second = terms.nth(0), terms.nth(1)
    meaning = first.get_attribute("aria-description")
    assert not tip.is_visible()

    first.hover()
    assert tip.inner_text() == meaning
    tip.hover()  # it stays while the pointer is on it
    page.wait_for_timeout(400)
    assert tip.is_visible()
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")

    second.focus()
    assert tip.inner_text() == second.get_attribute("aria-description")
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    second.blur()

    first.tap()
    assert tip.inner_text() == meaning and page.url.endswith(f"{CHAPTERS[0]}.html")
    page.locator("article h1").tap()
    assert not tip.is_visible()
    first.tap()
    first.tap()  # the second tap follows the link
    page.wait_for_url("**/glossary.html#term-*")
    assert not page.said and not page.asked
    page.close()


# --- links shared elsewhere ----------------------------------------------------------------------------

def content(soup, **named):
    tag, = soup.find_all("meta", attrs=named)
    return tag["content"]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "search"])
def test_a_shared_link_shows_what_the_page_says(page, pages, book):
    soup = pages[page]
    said = content(soup, name="description")
    assert 50 <= len(said) <= 200
    spoken = soup.select_one("#say-it-in-30-seconds blockquote") if page in CHAPTERS else soup.article
    assert said.removesuffix(" …") in words(spoken)
    assert content(soup, property="og:description") == said
    assert content(soup, property="og:title") == words(soup.h1)
    address = soup.find("link", rel="canonical")["href"]
    assert content(soup, property="og:url") == address == f"{BOOK_URL}{page}.html"
    picture = content(soup, property="og:image")
    assert picture.startswith(f"{BOOK_URL}_static/cards/")
    data = (book / picture.removeprefix(BOOK_URL)).read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1200, 630) and len(data) < 100_000


def test_the_descriptions_differ(pages):
    assert len({content(soup, name="description") for page, soup in pages.items() if page != "search"}) == len(pages) - 1


def test_the_sitemap_names_every_page(book):
    urls = [url.text for url in ElementTree.parse(book / "sitemap.xml").iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert sorted(urls) == sorted(f"{BOOK_URL}{page}.html" for page in PAGES if page != "search")


@pytest.mark.parametrize("repository, said, address", [
    ("https://github.com/Owner/fork", "", "https://owner.github.io/fork/"),
    ("https://github.com/Owner/owner.github.io", "", "https://owner.github.io/"),
    ("https://github.com/owner/fork", "https://example.org/book", "https://example.org/book/"),
    ("https://gitlab.com/owner/fork", "", ""),
    ("", "", ""),
])
def test_the_address_follows_from_the_repository_unless_it_is_said(repository, said, address):
    assert sharing.address(repository, {"BOOK_URL": said}) == address
