"""Python in the page: the book's own runtime in a real browser, offline, the way a reader uses it."""
import gzip
import inspect
import re

import nbformat
import pytest
import selfcheck
from bs4 import BeautifulSoup
from conftest import BROKEN, ROOT, fresh, listen
from playwright.sync_api import expect
from test_browser import violations
from test_selfcheck import answers

CHAPTERS = sorted(ROOT.glob("chapters/q*.ipynb"))
FIRST = "q29-layer-normalization"
LONG = 60_000  # ms: a busy machine is no fault of the page
USED = pytest.mark.xdist_group("used")


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


class Live:
    """A page of the book as a reader drives it."""

    def __init__(self, page, site, chapter=FIRST):
        self.page, self.site = page, site
        page.set_default_timeout(LONG)
        self.open(chapter)

    def open(self, chapter):
        self.page.goto(f"{self.site}/chapters/{chapter}.html")
        self.cells = {cell.id: cell for cell in code_cells(ROOT / "chapters" / f"{chapter}.ipynb")}
        self.chapter = chapter

    def cell(self, id):
        return self.page.locator(f"div.cell[id='{id}']")

    def state(self, id):
        return self.cell(id).locator(".live-state")

    def output(self, id):
        return self.cell(id).locator("> .cell_output")

    def press(self, id, button="run"):
        self.cell(id).locator(f".live-{button}").evaluate("button => button.click()")  # in a folded solution, too

    def run(self, id, ends="done"):
        self.press(id)
        expect(self.state(id)).to_contain_text(ends, timeout=LONG)

    def write(self, id, code):
        """Put this code into the cell, by keyboard."""
        if self.cell(id).locator(".live-edit").is_visible():
            self.press(id, "edit")
        self.cell(id).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)

    def enter(self, id, code):
        """Put this code into the cell and run it."""
        self.write(id, code)
        self.page.keyboard.press("Shift+Enter")

    def answer(self, stub, code):
        self.enter(stub, code)
        check = stub.replace("stub", "check")
        expect(self.state(check)).to_contain_text(re.compile("done|stopped|not run"), timeout=LONG)
        return self.output(check).inner_text()

    def quiet(self):
        """Nothing went wrong, and nobody else was asked."""
        # The editor says so, and measures once more, where a busy machine draws it late.
        assert not [said for said in self.page.said if not said.startswith("Measure loop restarted")]
        assert not self.page.asked


@pytest.fixture
def live(tab, site):
    live = Live(fresh(tab, site, 1200), site)
    yield live
    live.quiet()


@pytest.fixture
def own(browser, site):
    """A page in a tab of its own, where a script is to run before the page's own: it could not be taken back."""
    own = Live(listen(browser.new_page(), site), site)
    yield own
    own.quiet()
    own.page.close()


@pytest.fixture
def asleep(live):
    """Python never comes: to reach for a button or a text starts it, which takes seconds."""
    live.page.route("**/worker.js", lambda route: None)


@pytest.fixture(scope="module")
def started(browser, site):
    page = listen(browser.new_page(viewport={"width": 1200, "height": 900}), site)
    yield Live(page, site)
    page.close()


@pytest.fixture
def used(started):
    """A page that several tests use one after the other: to start Python takes seconds. Their group is USED."""
    yield started
    expect(started.page.locator(".live-run", has_text="Stop")).to_have_count(0)  # nothing runs any more
    started.quiet()


# --- all six chapters ------------------------------------------------------------------------------------------------

# Press the Run buttons, one after the other; the message of the first that fails. What ran for another one is left out.
PRESS = """async ids => {
    for (const id of ids) {
        const cell = document.getElementById(id), state = cell.querySelector('.live-state'), end = performance.now() + 300_000;
        if (cell.querySelector(':scope > .cell_output:not(.old)')) continue;
        cell.querySelector('.live-run').click();
        while (!/^(done|stopped|not run|Python)/.test(state.textContent) && performance.now() < end)
            await new Promise(next => setTimeout(next, 20));
        if (!state.textContent.startsWith('done')) return `${id}: ${state.textContent}, ${cell.innerText}`;
    }
}"""


@pytest.fixture(scope="module", params=[pytest.param(path, marks=pytest.mark.xdist_group(path.stem)) for path in CHAPTERS],
                ids=lambda path: path.stem)
def whole(browser, site, request):
    """A chapter whose cells all ran, the last one first: each brings what it needs, and prints what it prints in order."""
    live = Live(listen(browser.new_page(), site), site, request.param.stem)
    live.page.evaluate("document.querySelectorAll('.cell_output').forEach(output => output.classList.add('old'))")
    buttons = [id for id, cell in live.cells.items() if "stub" not in cell.metadata.tags]  # its button is that of its check
    assert not (failed := live.page.evaluate(PRESS, buttons[::-1])), failed
    yield live
    live.quiet()
    live.page.close()


def words(html):
    return BeautifulSoup(html, "html.parser").get_text(" ").split()


@pytest.mark.whole_chapter
def test_every_cell_prints_what_is_stored(whole):
    """To the last digit: the book's Python computes alike on every machine, and alike to what stored the outputs."""
    for id, cell in whole.cells.items():
        stored = [output.get("data", output) for output in cell.outputs]
        printed = "".join(output.get("text", "") for output in stored)
        assert not whole.cell(id).locator("> .old").count(), f"{id} shows what it showed before"
        expect(whole.output(id).locator(".stream pre")).to_have_count(int(bool(printed)))
        if printed:
            assert whole.output(id).locator(".stream pre").text_content() == printed, id
        html = [words(output["text/html"]) for output in stored if "text/html" in output]
        assert [words(box.inner_html()) for box in whole.output(id).locator(".text_html").all()] == html, id
        pictures = whole.output(id).locator("img")
        assert pictures.count() == sum("image/svg+xml" in output for output in stored), id
        for picture in pictures.all():
            assert picture.evaluate("async img => { await img.decode(); return img.naturalWidth; }") > 300
            assert picture.get_attribute("alt") == cell.metadata.mystnb.image.alt


@pytest.mark.whole_chapter
def test_untouched_exercises_are_not_attempted_and_solutions_pass(whole):
    for id, cell in whole.cells.items():
        if "check" in cell.metadata.tags:
            assert "NOT ATTEMPTED YET" in whole.output(id).inner_text()
        if "solution-check" in cell.metadata.tags:
            assert "PASSED" in whole.output(id).inner_text()
    assert whole.page.evaluate("proveIt.store.keys(proveIt.page.chapter + '/')") == []


def named_mistake(name):
    """(code of a wrong answer to the exercise, with its helpers; what its learner reads)."""
    found = answers(name)
    messages = {misconception.name: misconception.message for misconception in selfcheck.exercises()[name].misconceptions}
    wrong, mistake = next((wrong, mistake) for wrong, mistake in found.WRONG[name] if mistake in messages)
    functions = inspect.getsource(found).partition("\nRIGHT = {")[0]
    return f"{functions}\n{name} = {wrong.__name__}\n{name}.__name__ = '{name}'", messages[mistake]


@pytest.mark.whole_chapter
def test_every_exercise_names_a_mistake_and_passes_its_solution(whole):
    stubs = [id for id, cell in whole.cells.items() if "stub" in cell.metadata.tags]
    for stub in stubs:
        name = re.search(r"^def (\w+)", whole.cells[stub].source, re.M)[1]
        source, message = named_mistake(name)
        assert message.replace("`", "") in " ".join(whole.answer(stub, source).split()), name
        solution = whole.cells[stub.replace("stub", "solution")].source.replace(f"{name}_solution", name)
        assert whole.answer(stub, solution).startswith("PASSED"), name
    assert len(whole.page.evaluate("proveIt.store.keys(proveIt.page.chapter + '/passed/')")) == len(stubs)
    link = whole.page.locator(".bd-sidebar-primary .toctree-l1.current > a")
    expect(link).to_contain_text(f"{len(stubs)} of {len(stubs)} exercises passed")
    whole.page.goto(f"{whole.site}/index.html")
    expect(whole.page.locator(f".cards [data-chapter='{whole.chapter}']")).to_contain_text(f"{len(stubs)} of {len(stubs)} exercises passed")


# --- reading ---------------------------------------------------------------------------------------------------------

def test_reading_asks_for_nothing_and_weighs_little(live, book):
    live.page.wait_for_load_state("networkidle")
    assert not [url for url in live.page.seen if "/live-" in url or "/pyodide-" in url]
    html = (book / "chapters" / f"{FIRST}.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(html, "html.parser")
    for part in soup.select(".live-bar, #live"):
        part.decompose()
    style = re.findall(r"(?:^|\n)[^\n{}]*live-[^{}]*\{[^}]*\}", (ROOT / "assets" / "book.css").read_text())
    assert style
    size = lambda text: len(gzip.compress(text.encode()))  # noqa: E731
    assert size(html) - size(str(soup)) + size("".join(style)) < 10_000


def test_the_first_reach_for_a_button_starts_python(live):
    with live.page.expect_request("**/worker.js"):
        live.page.locator("#q29-proof .live-run").hover()
    assert not live.state("q29-proof").inner_text()


def test_the_next_page_of_a_visit_has_python_ready(live):
    live.run("q29-proof")
    with live.page.expect_request("**/worker.js"):
        live.open("q28-residual-connections")
    live.run("q28-solution-check")


@pytest.mark.parametrize("downlink", [10, 1])
def test_the_progress_tells_what_is_fetched_and_how_much(live, book, downlink):
    worker = next(book.glob("_static/live-*/worker.js")).read_text(encoding="utf-8")
    live.page.route("**/worker.js", lambda route: route.fulfill(
        body=worker.replace("navigator.connection?.downlink", str(downlink)), content_type="text/javascript"))
    live.page.route("**/numpy-*.whl", lambda route: None)  # never arrives
    live.press("q29-proof")
    expect(live.state("q29-proof")).to_have_text(re.compile(r"fetching Python, 1\d\.\d of 18\.\d MB"), timeout=LONG)
    bar = live.state("q29-proof").get_by_role("progressbar")
    assert 0.5 < bar.evaluate("bar => bar.value / bar.max") < 1
    live.page.wait_for_timeout(600)  # a second press at once would count as a double click
    live.press("q29-proof")  # Stop works here, too
    expect(live.state("q29-proof")).to_have_text("stopped")
    live.page.unroute("**/numpy-*.whl")
    live.run("q29-proof")


# --- running ---------------------------------------------------------------------------------------------------------

def test_only_what_a_cell_needs_is_fetched_and_runs_before_it(live):
    live.run("q29-check")
    assert not [url for url in live.page.seen if "matplotlib" in url]
    for id in ("q29-proof", "q29-proof-6"):
        assert not live.state(id).inner_text()
    assert live.output("q29-check").inner_text().startswith("NOT ATTEMPTED YET")


@USED
def test_an_edited_cell_and_what_it_prints_fit_a_phone(used):
    size = used.page.viewport_size
    used.page.set_viewport_size(size | {"width": 360})
    used.enter("q29-proof", "for i in range(3):\n    print('one two three four five six seven', 'eight nine ten eleven twelve thirteen')")
    expect(used.state("q29-proof")).to_contain_text("done", timeout=LONG)
    for box in (used.cell("q29-proof").locator(".cm-scroller"), used.output("q29-proof").locator("pre")):
        assert box.evaluate("box => box.clientWidth > 200 && box.scrollWidth <= box.clientWidth")
    used.page.set_viewport_size(size)


@USED
def test_an_exception_shows_the_readers_own_line_alone(used):
    used.write("q29-proof", "def f(x):\n    return 1 / x\n\nrng = f(0)")
    used.page.keyboard.press("Control+Enter")
    expect(used.state("q29-proof")).to_contain_text("stopped with an error", timeout=LONG)
    said = used.output("q29-proof").inner_text()
    assert "ZeroDivisionError" in said and 'File "Cell 2", line 2' in said and "return 1 / x" in said
    assert "runner" not in said and "pyodide" not in said
    used.run("q29-proof-2", ends="not run: cell 2 above stopped with an error")


@USED
def test_a_syntax_error_in_an_answer_is_shown_under_the_answer(used):
    used.answer("q29-stub", "def layer_norm(x, gamma, beta, eps=1e-5)\n    return x")
    assert "expected ':'" in used.output("q29-stub").inner_text()
    expect(used.state("q29-check")).to_contain_text("above stopped with an error")
    used.answer("q29-stub", "print('under another name')")
    assert used.output("q29-stub").inner_text().strip() == "under another name"
    assert "NameError: name 'layer_norm' is not defined" in used.output("q29-check").inner_text()


@USED
@pytest.mark.parametrize("code, words", [
    ("for x in range(3)\n    print(x)", ["SyntaxError: expected ':'", 'File "Cell 2", line 1']),
    ("import scipy", ["ModuleNotFoundError", "Python's own modules, numpy and matplotlib, and no scipy"]),
    ("input('name?')", ["input() does not work in the page: write the value into the code instead."]),
    ("raise SystemExit(3)", ["SystemExit: 3"]),
    ("def f(n): return f(n + 1)\nf(0)", ["RecursionError"]),
    ("import numpy as np\nx = [np.empty(2 * 10**8) for _ in range(9)]", ["MemoryError"]),
])
def test_other_mistakes_end_in_words_and_python_goes_on(used, code, words):
    used.enter("q29-proof", code)
    expect(used.state("q29-proof")).to_contain_text("stopped with an error", timeout=LONG)
    said = used.output("q29-proof").inner_text()
    assert all(word in said for word in words) and "runner.py" not in said, said
    used.enter("q29-proof", "6 * 7")
    expect(used.output("q29-proof")).to_have_text("42", timeout=LONG)


@USED
def test_an_endless_loop_is_stopped_and_python_comes_back(used):
    used.enter("q29-proof", "n = 0\nwhile True:\n    n += 1\n    if n % 1_000_000 == 0: print(n)")
    expect(used.output("q29-proof")).to_contain_text("1000000", timeout=LONG)
    frames = used.page.evaluate("""new Promise(done => {
        let n = 0; const start = performance.now();
        const frame = () => { n++; performance.now() - start < 1000 ? requestAnimationFrame(frame) : done(n); };
        frame();
    })""")
    assert frames > 10  # the page itself lives
    button = used.cell("q29-proof").get_by_role("button", name="Stop cell 2")
    button.click()
    expect(used.state("q29-proof")).to_have_text("stopped")
    used.enter("q29-proof", "print('back')")
    expect(used.output("q29-proof")).to_have_text("back", timeout=LONG)


@USED
def test_ten_megabytes_of_prints_are_cut(used):
    used.enter("q29-proof", "for i in range(100_000): print('x' * 99)")
    expect(used.state("q29-proof")).to_contain_text("done", timeout=LONG)
    said = used.output("q29-proof").text_content()
    assert 190_000 < len(said) < 210_000 and said.rstrip().endswith("... and more, which is not shown.")


@USED
def test_html_of_a_cell_runs_no_script(used):
    used.enter("q29-proof", "class X:\n    def _repr_html_(self):\n        return '<b>bold</b><img src=data:, onerror=\"window.bad = 1\">"
                            "<script>window.bad = 2</script>'\nX()")
    expect(used.output("q29-proof").locator("b")).to_have_text("bold", timeout=LONG)
    assert used.page.evaluate("window.bad") is None


@USED
def test_what_is_shown_is_announced(used):
    used.enter("q29-proof", "print('seen')")
    expect(used.page.locator(".live-speaker")).to_have_text("Cell 2 is done. seen", timeout=LONG)
    assert used.page.locator(".live-speaker").get_attribute("role") == "status"


# --- the reader's work -----------------------------------------------------------------------------------------------

def test_the_readers_code_survives_a_reload_in_mid_run_and_is_undone_by_reset(live):
    code = "import time\nwhile True: time.sleep(.1)"
    live.enter("q29-stub", code)
    expect(live.state("q29-stub")).to_contain_text("running", timeout=LONG)
    live.page.reload()
    assert live.cell("q29-stub").locator(".cell_input pre").text_content() == code
    live.press("q29-stub", "reset")
    expect(live.cell("q29-stub").locator(".cell_input pre")).to_contain_text("NotImplementedError")
    assert live.cell("q29-stub").locator(".cell_input pre").text_content().strip() == live.cells["q29-stub"].source
    live.press("q29-stub", "reset")  # now it says Undo
    expect(live.cell("q29-stub").locator(".live-reset")).to_have_text("Reset")
    assert live.page.evaluate("localStorage['prove-it/q29-layer-normalization/code/q29-stub']") == code


@pytest.mark.usefixtures("asleep")
def test_the_work_is_saved_as_a_notebook_and_cleared_and_brought_back(live):
    live.write("q29-stub", "def layer_norm(x, gamma, beta, eps=1e-5):\n    return x")
    live.page.reload()
    with live.page.expect_download() as download:
        live.page.get_by_role("button", name="Save it as a notebook").click()
    assert download.value.suggested_filename == f"{FIRST}.ipynb"
    saved = nbformat.reads(open(download.value.path(), encoding="utf-8").read(), 4)
    nbformat.validate(saved)
    mine = {cell.id: cell for cell in saved.cells}
    assert mine["q29-stub"].source.endswith("return x") and not mine["q29-stub"].outputs
    assert mine["q29-proof"].source == live.cells["q29-proof"].source and mine["q29-proof"].outputs
    live.page.get_by_role("button", name="Clear it").click()
    assert live.page.evaluate("proveIt.store.keys('')") == []
    assert "NotImplementedError" in live.cell("q29-stub").locator(".cell_input pre").text_content()
    live.page.get_by_role("button", name="Undo").click()
    assert live.cell("q29-stub").locator(".cell_input pre").text_content().endswith("return x")


@pytest.mark.usefixtures("asleep")
def test_two_tabs_share_one_text(live):
    other = Live(listen(live.page.context.new_page(), live.site), live.site)
    other.page.route("**/worker.js", lambda route: None)
    live.write("q29-stub", "first = 1")
    expect(other.cell("q29-stub").locator(".cell_input pre")).to_have_text("first = 1")
    other.write("q29-stub", "second = 2")
    expect(live.cell("q29-stub").locator(".cm-content")).to_have_text("second = 2")
    other.write("q29-proof", "third = 3")
    live.page.reload()
    expect(live.cell("q29-stub").locator(".cell_input pre")).to_have_text("second = 2")
    expect(live.cell("q29-proof").locator(".cell_input pre")).to_have_text("third = 3")
    other.quiet()
    other.page.close()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_browser_that_keeps_nothing_says_so_and_runs(own, kind):
    own.page.add_init_script(BROKEN[kind])
    own.page.reload()
    own.write("q29-proof", "print(1 + 1)")
    expect(own.state("q29-proof")).to_contain_text("This browser does not keep your code")
    own.page.keyboard.press("Shift+Enter")
    expect(own.output("q29-proof")).to_have_text("2", timeout=LONG)
    own.page.said.clear()  # the theme's own complaints


# --- where Python cannot run -----------------------------------------------------------------------------------------

def test_going_offline_after_the_start_loses_nothing(live):
    live.run("q29-proof")
    live.page.context.set_offline(True)
    live.run("q29-proof-2")
    live.run("q29-figure", ends="stopped with an error")
    assert "matplotlib could not be fetched: check the connection" in live.page.locator("#q29-setup").inner_text() \
        + live.page.locator("#q29-figure").inner_text()
    live.page.context.set_offline(False)
    live.page.said.clear()  # the browser's own words on failed requests
    live.run("q29-figure")


def test_a_download_that_fails_ends_in_a_sentence_and_the_other_ways(live):
    live.page.evaluate("proveIt.page.binder = 'https://mybinder.org/v2/gh/owner/fork/main'")  # as in a copy on GitHub
    for missing, cell in [("pyodide.asm.wasm", "q29-proof"), ("worker.js", "q29-proof-2"),
                          ("numpy-*.whl", "q29-proof-3"), ("chapters.zip", "q29-proof-4")]:
        live.page.context.route(f"**/{missing}", lambda route: route.abort())
        live.press(cell)
        expect(live.state(cell)).to_contain_text("Python could not start here", timeout=LONG)
        assert live.state(cell).get_by_role("link", name="open it on Binder").get_attribute("href").endswith("owner/fork/main")
        link = live.state(cell).get_by_role("link", name="download this chapter")
        assert live.page.request.get(f"{live.site}/chapters/{link.get_attribute('href')}").ok
        assert live.output(cell).inner_text().strip()  # the page is as it was
        live.page.context.unroute(f"**/{missing}")
        live.page.said.clear()
    live.run("q29-proof")


def test_no_memory_for_python(live, book):
    worker = next(book.glob("_static/live-*/worker.js")).read_text(encoding="utf-8")
    full = "WebAssembly.instantiateStreaming = WebAssembly.instantiate = async () => { throw new RangeError('out of memory'); };\n"
    live.page.route("**/worker.js", lambda route: route.fulfill(body=full + worker, content_type="text/javascript"))
    live.press("q29-proof")
    expect(live.state("q29-proof")).to_contain_text("Python could not start here (out of memory). You can download this chapter", timeout=LONG)
    live.page.said.clear()


def test_the_runner_itself_cannot_be_fetched(live):
    live.page.route("**/live.js", lambda route: route.abort())
    live.press("q29-proof")
    expect(live.page.locator(".live-note")).to_contain_text("could not be fetched: check the connection and press again")
    live.page.said.clear()
    live.page.unroute("**/live.js")


@pytest.mark.parametrize("gone", ["WebAssembly", "Worker"])
def test_a_browser_without_what_python_needs(own, gone):
    own.page.add_init_script(f"delete window.{gone}")
    own.page.reload()
    expect(own.page.locator(".live-note")).to_contain_text("This browser cannot run Python in the page. You can download this chapter")
    assert not own.page.locator(".live-bar").first.is_visible()


def test_a_page_opened_as_a_file_says_how_to_run_it(browser, book):
    page = browser.new_page()
    page.goto((book / "chapters" / f"{FIRST}.html").as_uri())
    expect(page.locator(".live-note")).to_contain_text("type make serve in the folder of the book")
    assert not page.locator(".live-bar").first.is_visible()
    page.close()


# --- keyboard, looks, access -----------------------------------------------------------------------------------------

def test_everything_by_keyboard(live):
    page = live.page
    page.locator("#q29-stub .live-edit").focus()
    page.keyboard.press("Enter")
    editor = page.locator("#q29-stub .cm-content")
    expect(editor).to_be_focused()
    assert page.locator(f"id={editor.get_attribute('aria-describedby')}").inner_text() \
        == "Shift+Enter runs the cell. Escape, then Tab, leaves the editor."
    page.keyboard.press("Control+End")
    page.keyboard.press("Tab")  # indents
    assert "\n        raise" in editor.inner_text()
    page.keyboard.press("Control+z")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")  # leaves
    expect(page.locator("#q29-stub .live-run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(live.state("q29-check")).to_contain_text("done", timeout=LONG)
    expect(page.locator("#q29-stub .live-run")).to_be_focused()


@USED
def test_accessibility_of_a_page_in_use(used):
    """The last test of this page: axe asks for style sheets of its own, and takes the page apart."""
    used.enter("q29-proof", "def f(x):  # a comment\n    return 'text', 1\n\nprint(f(2))\n1 / 0")
    expect(used.state("q29-proof")).to_contain_text("stopped with an error", timeout=LONG)
    assert used.answer("q29-stub", used.cells["q29-stub"].source).startswith("NOT ATTEMPTED YET")
    used.quiet()
    for width, scheme in ((1280, "light"), (390, "dark")):
        used.page.set_viewport_size({"width": width, "height": 900})
        used.page.emulate_media(color_scheme=scheme)
        expect(used.page.locator("html")).to_have_attribute("data-theme", scheme)
        assert used.page.evaluate("document.documentElement.scrollWidth") <= width
        assert not violations(used.page)
    used.page.said, used.page.asked = [], []
