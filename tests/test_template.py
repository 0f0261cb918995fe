"""The template of a chapter: in step with the table of parts, and its gaps are told in words."""
import re
import subprocess
import sys

import pytest
from conftest import ROOT, copy_of_the_repository
from test_chapters import PARTS, Chapter, outputs, words

FOLDER = ROOT / "assets" / "template"
TEMPLATE = Chapter(outputs.read(FOLDER / "chapter.ipynb"), "qNN")
NAME = "q99-a-question"


def run(folder, *command):
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    return copy_of_the_repository(tmp_path / "copy")


def test_the_template_has_a_place_for_every_part():
    has = [TEMPLATE.part(cell) for cell in TEMPLATE.cells]
    lacks = [tag for tag in PARTS if tag not in has]
    assert not lacks, f"assets/template/chapter.ipynb has no cell for {', '.join(lacks)} of the table in CONTRIBUTING.md"
    assert has == list(PARTS), "assets/template/chapter.ipynb has its cells in another order than the table in CONTRIBUTING.md"


def test_every_cell_that_an_author_writes_says_what_to_write():
    silent = [TEMPLATE.part(cell) for cell in TEMPLATE.cells if "TODO" not in cell.source]
    assert silent == ["setup", "references"]


def test_a_fresh_chapter_runs_and_is_told_in_words_what_is_missing(copy):
    begun = run(copy, "tools/chapter.py", NAME)
    files = [copy / line.strip() for line in begun.stdout.splitlines() if line.startswith("  ")]
    assert begun.returncode == 0 and [path.name for path in files] == [
        f"{NAME}.ipynb", "q99_a_question.py", "q99_a_question.py", "_toc.yml"]
    *_, last = re.findall(r"- file: (chapters/.*)", files[3].read_text(encoding="utf-8"))
    assert last == f"chapters/{NAME}"
    assert not [path for path in files if "NN" in path.read_text(encoding="utf-8")]

    stored = run(copy, "tools/outputs.py", files[0])
    assert stored.returncode == 0, stored.stderr  # the example in the template works
    done = run(copy, "-m", "pytest", "tests/test_chapters.py", "-n", "0", "-q", "-k", NAME)
    said = [line.removeprefix(f"{NAME}: ") for line in done.stdout.splitlines() if line.startswith(NAME)]
    assert done.returncode == 1 and "Error" not in done.stdout and "Traceback" not in done.stdout, done.stdout

    waiting = [sentence for sentence in said if "still waits for your text" in sentence]
    for number, cell in enumerate(TEMPLATE.cells, 1):
        named = sum(sentence.startswith(f"cell {number} (`{TEMPLATE.part(cell)}`)") for sentence in waiting)
        assert named == sum("TODO" in line for line in f"{cell.source}\n{cell.metadata}".splitlines()), TEMPLATE.at(cell)
    for path in files[1:3]:
        name = path.relative_to(copy).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert any(sentence.startswith(f"{name}, line {number},") for sentence in waiting) == ("TODO" in line)
    assert sorted(set(said) - set(waiting)) == [
        "it cites no source of assets/references.bib",
        f"the answer has {words(TEMPLATE.tagged('answer')[0].source)} words; write at least 150",
        f"the spoken answer has only {words(TEMPLATE.tagged('spoken')[0].source)} words"]


@pytest.mark.parametrize("name, sentence", [
    ("", "The chapter has no name: write q, the number"), ("softmax", "`softmax` is no name"), ("q99", "`q99` is no name"),
    ("q99-Softmax", "is no name"), ("q99-a b", "is no name"), ("q99-../x", "is no name"), ("q099-x", "is no name"),
    ("q29-layer-normalization", "Question 29 has chapters/q29-layer-normalization.ipynb already"),
    ("q29-other", "Question 29 has chapters/q29-layer-normalization.ipynb already"),
])
def test_a_name_that_cannot_be_used_changes_nothing(copy, name, sentence):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = run(copy, "tools/chapter.py", name)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1 and sentence in done.stderr
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
