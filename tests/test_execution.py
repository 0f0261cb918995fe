"""One execution: every chapter runs, and prints what is stored.

nbval runs the chapters in processes of their own, with the settings of nbval.ini: on another Python where there is one, because
on this one, and with another kernel of OpenBLAS, test_jupyterlab.py runs them all.
"""
import functools
import os
import re
import subprocess
import sys

import chromium
import matplotlib.font_manager  # noqa: F401  a fresh machine builds its font cache here, not in a chapter's output
import nbformat
import pytest
from conftest import NEWEST, OLDEST, ROOT, kept, pythons

CHAPTERS = sorted((ROOT / "chapters").glob("q*.ipynb"))
SECONDS = 20  # of processor time
HERE, IN_JUPYTERLAB = KERNELS = "Haswell", "Nehalem"  # of OpenBLAS: each sums in another order
PINS = [ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt"]


def nbval(*notebooks, python=sys.executable, **environment):
    """Run notebooks and compare; return (the processor seconds it took, nbval's report if anything differs)."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "OPENBLAS_NUM_THREADS")}
    before = sum(os.times()[2:4])
    command = [python, "-m", "pytest", "-c", "tests/nbval.ini", "-vv", "--no-header", "--color=no", *map(str, notebooks)]
    done = subprocess.run(command, cwd=ROOT, env=env | environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return sum(os.times()[2:4]) - before, done.stdout if done.returncode else ""


# --- other processors --------------------------------------------------------------------------------

@functools.cache
def kernel(name):
    """The setting that has NumPy's OpenBLAS take this kernel; {} where it does not: it says so itself."""
    setting = {"OPENBLAS_CORETYPE": name}
    said = subprocess.run([sys.executable, "-c", "import numpy"], env=os.environ | setting | {"OPENBLAS_VERBOSE": "2"},
                          capture_output=True, text=True)
    return setting if said.returncode == 0 and f"Core: {name}\n" in said.stdout + said.stderr else {}


def test_two_kernels_are_here():
    if missing := [name for name in KERNELS if not kernel(name)]:
        pytest.skip(f"this machine cannot run OpenBLAS's {' and '.join(missing)} kernel; the chapters are run with its own")


# --- another Python: oldest and newest that this machine has ---------------------------------------

def ends():
    return sorted({min(pythons()), max(pythons())} - {sys.version_info.minor})


def test_oldest_and_newest_python_are_here():
    run = {min(pythons()), max(pythons())}
    name = lambda minors: " and ".join(f"3.{minor}" for minor in sorted(minors))
    if missing := {OLDEST, NEWEST} - run:
        pytest.skip(f"Python {name(missing)} could not be had on this machine; the chapters are run with {name(run)}")


def executable(folder):
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment(minor):
    """A Python 3.minor with nothing but what a chapter needs, at the pinned versions; made once for these pins."""
    def make(folder):
        python = executable(folder)
        subprocess.run([pythons()[minor], "-m", "venv", folder], check=True)
        pins = [part for path in PINS for part in ("-c", path)]
        installed = subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins,
                                    "numpy", "matplotlib", "ipykernel", "nbval", "pytest"], capture_output=True, text=True)
        if installed.returncode:
            pytest.skip(f"no second environment, pip failed: {installed.stderr.strip().splitlines()[-1]}")
        subprocess.run([python, "-c", "import matplotlib.pyplot"], check=True)  # compiles, and builds the font cache

    return executable(kept(f"python3.{minor}", b"".join(path.read_bytes() for path in PINS), make))


HERE_TOO = [] if ends() and chromium.installed() else [sys.version_info.minor]  # else only JupyterLab's tests run this Python


# One group: one worker makes the environment.
@pytest.mark.whole_chapter
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("minor", [pytest.param(minor, marks=pytest.mark.xdist_group(f"python3.{minor}"), id=f"python3.{minor}")
                                   for minor in [*ends(), *HERE_TOO]])
def test_stored_outputs(minor, path):
    python = sys.executable if minor == sys.version_info.minor else environment(minor)
    seconds, report = nbval(path, python=python, **kernel(HERE))
    if report:
        pytest.fail(report, pytrace=False)
    assert seconds < SECONDS, f"{path.stem} takes {seconds:.0f} s; a chapter may take {SECONDS}"


# --- the comparison itself can fail ------------------------------------------------------------------

SVG = '<?xml version="1.0"?>\n<svg>{}</svg>\n'
CELLS = [  # source, stored outputs, whether nbval must object
    ("print(0.5)", [("stream", {"name": "stdout", "text": "0.5\n"})], False),
    ("print(0.5)", [("stream", {"name": "stdout", "text": "0.25\n"})], True),
    ("print(0.5)", [], True),
    ("import sys; print(0.5, file=sys.stderr)", [], True),
    ("0.5", [("execute_result", {"data": {"text/plain": "0.6"}, "execution_count": 1})], True),
    ("assert 0.5 > 1", [], True),
    (f"from IPython.display import display\ndisplay({{'image/svg+xml': {SVG.format('new')!r}}}, raw=True)",
     [("display_data", {"data": {"image/svg+xml": SVG.format("old")}})], False),
]


def notebook(path, *cells):
    """A notebook in tmp_path, as someone may have left it: sources and stored outputs."""
    code = [nbformat.v4.new_code_cell(source, execution_count=1, metadata={"collapsed": True},
                                      outputs=[nbformat.v4.new_output(kind, **fields) for kind, fields in stored])
            for source, stored, *_ in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=code), path)
    return path


def test_a_wrong_stored_output_is_seen(tmp_path):
    _, report = nbval(notebook(tmp_path / "q99-example.ipynb", *CELLS))
    failed = [int(cell) for cell in re.findall(r"(?m)^FAILED .*::Cell (\d+)", report)]
    assert failed == [i for i, (*_, wrong) in enumerate(CELLS) if wrong], report


# --- make outputs --------------------------------------------------------------------------------------

def make_outputs(*arguments):
    return subprocess.run([sys.executable, "tools/outputs.py", *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


def test_outputs_are_stored_and_a_second_run_changes_nothing(tmp_path):
    path = notebook(tmp_path / "q99-example.ipynb", (
        "import matplotlib.pyplot as plt\n%config InlineBackend.figure_formats = ['svg']\nplt.rcParams['svg.hashsalt'] = 'x'\n"
        "print(1, flush=True)\nprint(2)\nplt.plot([1, 2])\nplt.show()", []))
    assert make_outputs(path).returncode == 0
    first = path.read_text(encoding="utf-8")
    assert '"1\\n",\n' in first and "<svg" in first and "dc:date" not in first and "collapsed" not in first
    again = make_outputs(path)
    assert "nothing changed" in again.stdout and path.read_text(encoding="utf-8") == first


def test_a_chapter_that_fails_is_left_alone(tmp_path):
    paths = [notebook(tmp_path / f"q9{i}-example.ipynb", (source, [])) for i, source in enumerate(
        ["x = 1\nassert x > 2, 'the gap\\nis gone'", "import os\nos._exit(1)"])]
    paths.append(tmp_path / "q92-example.ipynb")
    citation = nbformat.v4.new_markdown_cell("[x](https://arxiv.org/abs/0000.00000)")
    nbformat.write(nbformat.v4.new_notebook(cells=[citation]), paths[2])
    before = [path.read_bytes() for path in paths]
    done = make_outputs(*paths)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [
        'q90-example, under "": cell 1 (x = 1) stopped with AssertionError: the gap is gone; nothing was written.',
        'q91-example, under "": cell 1 (import os) stopped: Kernel died; nothing was written.',
        "q92-example cites https://arxiv.org/abs/0000.00000, which references.bib does not hold; nothing was written."]
    assert [path.read_bytes() for path in paths] == before and sorted(tmp_path.iterdir()) == paths


def test_check_says_what_is_not_in_normal_form(tmp_path):
    done = make_outputs("--check", notebook(tmp_path / "q99-example.ipynb", *CELLS))
    assert done.returncode == 1 and done.stderr == "q99-example is not in normal form: run `make outputs`.\n"
