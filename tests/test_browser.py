"""The book in a real browser: wide and narrow, light and dark."""
import gzip
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import fresh
from playwright.sync_api import expect
from test_book import PAGES

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}
# A visit is a group: the tests of one worker share the page.
VISITS = [pytest.param((page, width, scheme), marks=pytest.mark.xdist_group(f"{page}-{width}"))
          for page in PAGES for width, scheme in ((1280, "light"), (390, "dark"))]


def violations(page):
    """What axe finds in a page, folded parts opened: what is folded counts, too. The page is of no other use afterwards."""
    page.evaluate("""() => {
        document.querySelectorAll('details').forEach(details => details.open = true);
        // Two tokens of code of the same classes, within elements of the same classes, have the same colours: one is enough.
        // Two formulas likewise.
        const seen = new Set();
        for (const token of document.querySelectorAll('pre span, math')) {
            let kind = '';
            for (let node = token; node; node = node.parentElement) kind += `${node.localName} ${node.className} < `;
            if (seen.has(kind)) token.replaceWith(...(token.localName === 'math' ? [token.textContent] : token.childNodes));
            seen.add(kind);
        }
    }""")
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


@pytest.fixture(scope="module", params=VISITS, ids=lambda visit: "-".join(map(str, visit)))
def page(tab, site, request):
    """One page, opened; what it asked of other hosts and complained of is in page.asked and page.said."""
    name, width, scheme = request.param
    page = fresh(tab, site, width, scheme)
    page.goto(f"{site}/{name}.html", wait_until="load")
    page.wait_for_load_state("networkidle")
    return page


def test_nothing_moves_while_the_page_loads(page):
    """Cumulative layout shift; below 0.1 is good."""
    moved = page.evaluate("""() => new Promise(done => {
        new PerformanceObserver(list => done(list.getEntries().reduce((sum, shift) => sum + shift.value, 0)))
            .observe({ type: 'layout-shift', buffered: true });
        setTimeout(done, 100, 0);
    })""")
    assert moved < 0.05


def test_both_schemes_are_followed(page):
    """The one that the page was opened in; then the other, as when the reader's system changes at dusk, and back."""
    schemes = ["light", "dark"]
    if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"):
        schemes.reverse()
    for scheme in [*schemes, schemes[0]]:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)


def test_nothing_is_asked_of_another_host(page):
    assert not page.asked


def test_no_script_complains(page):
    assert not page.said


def test_the_page_is_light(page, site, book):
    """What a first visit fetches, figures and the font of the formulas among it, as a host that compresses sends it."""
    fetched = {urlsplit(url.removeprefix(site)).path.lstrip("/") for url in page.seen if url.startswith(site)}
    sizes = {path: len((book / path).read_bytes() if path.endswith(".woff2") else gzip.compress((book / path).read_bytes()))
             for path in fetched}
    assert len(sizes) > 10  # the page above was watched while it loaded
    assert sum(sizes.values()) < 250_000, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def test_one_heading_is_seen_first(page):
    assert [heading.is_visible() for heading in page.locator("h1").all()].count(True) == 1 or page.url.endswith("/search.html")


def test_every_picture_is_there(page):
    assert page.evaluate("""async () => {
        const pictures = [...document.images];
        pictures.forEach(img => img.loading = 'eager');
        await Promise.all(pictures.map(img => img.decode().catch(() => 0)));
        return pictures.filter(img => !img.naturalWidth).map(img => img.src);
    }""") == []


def test_formulas_are_drawn_in_the_books_font(page):
    if page.locator("math").count():
        assert page.evaluate("""async () => {
            await document.fonts.ready;
            return [...document.fonts].filter(font => font.family.includes('Book Math')).map(font => font.status);
        }""") == ["loaded"]
    assert page.evaluate("""() => [...document.querySelectorAll('math')].filter(math => {
        const box = math.getBoundingClientRect();
        return math.checkVisibility() && !(box.width > 4 && box.height > 4);
    }).map(math => math.textContent)""") == []


def test_the_page_never_scrolls_sideways(page):
    size = page.viewport_size
    for width in {size["width"], min(size["width"], 360)}:
        page.set_viewport_size(size | {"width": width})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size(size)


def test_code_and_tables_fit_a_phone(page):
    """Without scrolling sideways; and what wraps of a line of code hangs below its beginning."""
    size = page.viewport_size
    page.set_viewport_size(size | {"width": 360})
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("""() => [...document.querySelectorAll('article :is(pre, table, .pst-scrollable-table-container)')]
        .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent.slice(0, 80))""") == []
    hangs = page.evaluate("""() => [...document.querySelectorAll('.line')].map(line => {
        const range = new Range(), [first, ...rest] = (range.selectNodeContents(line), range.getClientRects());
        const wrapped = rest.filter(part => part.top > first.top + 8).map(part => part.left);
        return Math.min(...wrapped) - line.getBoundingClientRect().left
            - parseFloat(getComputedStyle(line).fontSize) * 0.55 * Math.min(line.style.getPropertyValue('--in'), 24);
    }).filter(Number.isFinite)""")
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = false)")
    page.set_viewport_size(size)
    assert all(further > 6 for further in hangs), min(hangs)
    assert len(hangs) > 20 or "/chapters/" not in page.url


def test_folded_parts_open_from_the_keyboard(page):
    for summary in page.locator("article details > summary").all()[:3]:
        page.keyboard.press("Tab")  # so that the browser shows where the focus is
        summary.focus()
        assert summary.evaluate("element => parseFloat(getComputedStyle(element).outlineWidth)") >= 2
        assert summary.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert summary.evaluate("element => element.parentElement.open")


def test_a_mark_of_the_map_shows_the_focus(page):
    for mark in page.locator(".map a").all():
        width = "mark => getComputedStyle(mark.querySelector('rect')).strokeWidth"
        before = mark.evaluate(width)
        page.keyboard.press("Tab")  # so that the browser shows where the focus is
        mark.focus()
        assert (before, mark.evaluate(width)) == ("1.5px", "4px")


def test_what_a_field_asks_for_can_be_read(page):
    """In both schemes; axe does not look at it."""
    assert page.evaluate("""() => {
        const light = color => color.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0) / 3;
        const page = light(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll('[placeholder]')].map(field => light(getComputedStyle(field, '::placeholder').color))
            .filter(text => Math.abs(text - page) < 90);
    }""") == []


def test_accessibility(page):
    assert not violations(page)
