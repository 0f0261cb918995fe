"""The chapters in JupyterLab, in a real browser, the way a reader uses them: started as `make lab` does, on a copy."""
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import outputs
import pytest
import selfcheck
from conftest import ROOT, copy_of_the_repository, jupyterlab, listen, without_pictures
from playwright.sync_api import expect
from test_chapters import BOOKS, CHAPTERS, parse
from test_execution import IN_JUPYTERLAB, kernel
from test_house import environment, run

pytestmark = pytest.mark.xdist_group("jupyterlab")  # one worker starts the server and keeps it
FIRST = ROOT / "chapters" / "q29-layer-normalization.ipynb"
RIGHT = """def layer_norm(x, gamma, beta, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + eps) * gamma + beta"""
MISTAKE, WRONG = "ddof-1", RIGHT.replace("x.var(-1,", "x.var(-1, ddof=1,")
LONG = 60_000  # ms: a busy machine is no fault of the chapters


class Lab:
    """JupyterLab as a reader drives it."""

    def __init__(self, page, site, folder):
        self.page, self.folder, self.path = listen(page, site), folder, None
        page.set_default_timeout(LONG)
        page.goto(f"{site}/lab?token=x")

    def open(self, path):
        """Open a chapter from the file browser; the one before it is saved and closed."""
        if self.path:
            self.save()
            self.close()
        self.path, self.stored = self.folder / path.name, nbformat.read(path, 4).cells
        self.page.locator(".jp-DirListing-item").filter(has_text=path.name).dblclick()
        self.notebook = self.page.locator(".jp-NotebookPanel:visible")
        self.cells = self.notebook.locator(".jp-Cell")
        self.ready()

    def ready(self):
        expect(self.cells).to_have_count(len(self.stored), timeout=5 * LONG)  # they appear when the browser is idle
        expect(self.notebook.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle")

    def tagged(self, *tags):
        return [self.cells.nth(i) for i, cell in enumerate(self.stored) if set(tags) & set(cell.metadata.tags)]

    def cell(self, id):
        return self.cells.nth([cell.id for cell in self.stored].index(id))

    def write(self, id, code):
        """Put this code into the cell, by keyboard."""
        self.cell(id).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)

    def run(self, cells=1):
        """Run the selected cell, and as many below it."""
        for _ in range(cells):
            self.page.keyboard.press("Shift+Enter")

    def menu(self, *items):
        for item in items:
            self.page.get_by_role("menuitem", name=item, exact=True).click()

    def save(self):
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)

    def close(self):
        """Close the chapter and shut its kernel down."""
        self.page.keyboard.press("Control+Shift+q")
        self.page.get_by_role("button", name="Ok", exact=True).click()
        expect(self.page.locator(".jp-NotebookPanel")).to_have_count(0)
        self.path = None


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    copy = copy_of_the_repository(tmp_path_factory.mktemp("lab") / "copy")
    command = run(f"make -n lab BIN='{Path(sys.executable).parent}'", copy).stdout.splitlines()[-1]
    expect.set_options(timeout=LONG)
    with jupyterlab(command, copy, environment(copy) | kernel(IN_JUPYTERLAB)) as site:
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        yield Lab(context.new_page(), site, copy / "chapters")
        context.close()
    expect.set_options(timeout=5_000)  # as it was


@pytest.fixture(autouse=True)
def quiet(lab):
    """Nothing went wrong, nobody else was asked, and the reader neither."""
    yield
    assert not [said for said in lab.page.said if "/static/lab/" not in said]  # where JupyterLab itself says that it is slow
    assert not lab.page.asked
    assert not lab.page.locator(".Toastify__toast").all_inner_texts()


def test_the_chapters_are_listed_by_their_whole_names(lab):
    names = lab.page.locator(".jp-DirListing-itemText").filter(has_text=".ipynb")
    expect(names).to_have_text([path.name for path in CHAPTERS])
    expect(lab.page.get_by_text("Modified", exact=True)).to_be_hidden()


def test_a_broken_chapter_stops_nothing(lab):
    broken = lab.folder / "q00-broken.ipynb"
    broken.write_text("{")
    done = subprocess.run([sys.executable, "tools/lab.py", "--version"], cwd=lab.folder.parent, capture_output=True, text=True,
                          env=os.environ | {"JUPYTER_DATA_DIR": str(lab.folder.parent / "data")})
    broken.unlink()
    assert done.stdout.startswith("4.") and not done.stderr


# --- all chapters ----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda path: path.stem)
def chapter(lab, request):
    """A chapter, opened from the file browser."""
    lab.open(request.param)
    return lab


def test_the_stored_figures_and_reports_are_shown_before_anything_is_run(chapter):
    mimes = [mime for cell in chapter.stored for output in cell.get("outputs", []) for mime in output.get("data", {})]
    figures, reports = chapter.notebook.locator(".jp-RenderedSVG img"), chapter.notebook.locator(".jp-RenderedHTML")
    expect(figures).to_have_count(mimes.count("image/svg+xml"))
    expect(reports).to_have_count(mimes.count("text/html"))


def test_solutions_are_folded_and_unfold(chapter):
    for solution in chapter.tagged("solution"):
        expect(solution.locator(".jp-InputArea-editor")).to_be_hidden()
        solution.locator(".jp-Placeholder").click()
        expect(solution.locator(".jp-InputArea-editor")).to_contain_text("def ")
        solution.locator(".jp-InputCollapser").click()
        expect(solution.locator(".jp-InputArea-editor")).to_be_hidden()


def test_formulas_are_drawn(chapter):
    text = [cell.source for cell in chapter.stored if cell.cell_type == "markdown"]
    tokens = [token for source in text for block in parse(source) for token in (block, *(block.children or []))]
    drawn = chapter.notebook.locator(".jp-RenderedMarkdown mjx-container")
    expect(drawn).to_have_count(sum(token.type.startswith("math") for token in tokens))
    expect(chapter.notebook.locator("mjx-merror")).to_have_count(0)


def test_folded_parts_unfold(chapter):
    folded = chapter.notebook.locator(".jp-RenderedMarkdown details")
    expect(folded).to_have_count(sum(cell.source.count("<details>") for cell in chapter.stored))
    assert not folded.evaluate_all("all => all.filter(details => details.open)")
    points = chapter.tagged("rubric")[0].get_by_role("listitem")
    expect(points.first).to_be_hidden()
    chapter.tagged("rubric")[0].locator("summary").click()
    expect(points.first).to_be_visible()


def test_a_link_leads_to_its_claim(chapter):
    link = chapter.tagged("answer")[0].get_by_role("link", name="claim").last
    link.click()
    heading = chapter.notebook.get_by_role("heading", name=re.compile(link.inner_text() + ":", re.I))
    expect(heading).to_be_in_viewport()


def text(path):
    """A chapter in normal form, without its pictures."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        without_pictures(cell)
    return outputs.normal(notebook, path.stem, BOOKS)


@pytest.mark.whole_chapter
def test_run_all_prints_what_is_stored(chapter):
    chapter.menu("Edit", "Clear Outputs of All Cells")
    prompts = chapter.notebook.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.last).to_have_text("[ ]:")
    chapter.menu("Run", "Run All Cells")
    expect(prompts.last).to_have_text(f"[{prompts.count()}]:", timeout=5 * LONG)
    chapter.save()
    assert text(chapter.path) == text(ROOT / "chapters" / chapter.path.name)


# --- an exercise -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def exercise(lab):
    """The first chapter, opened, its setup cell run."""
    lab.open(FIRST)
    lab.cell("q29-setup").locator(".cm-content").click()
    lab.run()
    return lab


def test_an_exercise_names_a_mistake_and_passes_a_right_answer(exercise):
    mistakes = {mistake.name: mistake.message for mistake in selfcheck.exercises()["layer_norm"].misconceptions}
    report = exercise.cell("q29-check").get_by_role("status")
    for code, word, sentence in [(RIGHT, "PASSED", "Right on all"), (WRONG, "NOT YET", mistakes[MISTAKE])]:
        exercise.write("q29-stub", code)
        exercise.run(cells=2)
        expect(report.locator("> strong")).to_have_text(word)
        expect(report).to_contain_text(sentence)


def shows(lab, code, word):
    """The cell of the exercise holds this code, the cell below it a report with this word."""
    expect(lab.cell("q29-stub").locator(".cm-line")).to_have_text(code.splitlines())
    expect(lab.cell("q29-check").get_by_role("status")).to_contain_text(word)


def test_the_readers_work_is_there_again(exercise):
    exercise.write("q29-stub", RIGHT)
    exercise.run(cells=2)
    shows(exercise, RIGHT, "PASSED")
    exercise.save()
    exercise.close()
    exercise.open(FIRST)
    shows(exercise, RIGHT, "PASSED")
    exercise.page.reload()
    exercise.ready()
    shows(exercise, RIGHT, "PASSED")
    exercise.write("q29-stub", WRONG)
    with exercise.page.expect_event("dialog") as asked:  # what is not saved is not lost without a question
        exercise.page.evaluate("setTimeout(() => location.reload())")
    asked.value.dismiss()
    shows(exercise, WRONG, "PASSED")
    exercise.save()
    assert WRONG in [cell.source for cell in nbformat.read(exercise.path, 4).cells]
