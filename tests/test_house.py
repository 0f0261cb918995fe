"""The house: the README's commands in a fresh copy, bad input, pins."""
import ast
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, copy_of_the_repository, free_port, jupyterlab, kept

sys.path.insert(0, str(ROOT / "tools"))
import book as book_tool  # noqa: E402

pytestmark = pytest.mark.xdist_group("house")  # one worker makes the fresh copy
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()]
PIP_LINES = [command for command in COMMANDS if not command.startswith("make ")]
CHAPTER = sorted(ROOT.glob("chapters/q*.ipynb"))[-1].relative_to(ROOT)
CHANGED = [CHAPTER, "assets/book.css", "index.md", "_toc.yml",  # by the tests below
           "requirements.txt", "tests/requirements.txt", ".binder/requirements.txt"]
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


def environment(folder):
    """What a reader's shell has: python3 is this Python; no virtual environment; nothing of the `make` that runs the tests."""
    first = folder.parent / "bin"
    first.mkdir(exist_ok=True)
    if not (first / "python3").exists():
        (first / "python3").symlink_to(BASE_PYTHON)
    ours = ("ARGS", "MAKE", "MFLAGS", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    quick = {"PIP_NO_COMPILE": "0"}  # 0 switches it on; to compile all that is installed takes a third of the time
    return env | quick | {"PATH": f"{first}{os.pathsep}{env['PATH']}"}


def run(command, folder, **more):
    """Run one shell command in a folder."""
    return subprocess.run(command, shell=True, cwd=folder, env=environment(folder) | more,
                          capture_output=True, text=True, errors="replace")


def says(done, *words):
    """The command failed with one helpful sentence: these words, and no traceback."""
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert "Traceback" not in output, output
    for word in words:
        assert word in output, output


def installed():
    """The .venv that the README's commands make in a fresh copy; made anew where anything has changed that makes it."""
    made_by = [ROOT / "Makefile", *(ROOT / name for name in ("tools/environment.py", "requirements.txt", "tests/requirements.txt"))]

    def make(folder):
        copy = copy_of_the_repository(folder / "copy")
        for command in ("make book", "make test ARGS=--version"):
            done = run(command, copy)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.startswith("Setting up .venv") and len(done.stdout.splitlines()) <= 4, done.stdout

    return kept("house", b"".join([sys.version.encode(), *(path.read_bytes() for path in made_by)]), make) / "copy" / ".venv"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A fresh copy in which `make book` was typed once: (folder, what it said)."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("fresh") / "copy")
    (folder / ".venv").symlink_to(installed())
    return folder, run("make book", folder)


@pytest.fixture
def house(fresh):
    """The fresh copy, its book built; every source that a test changes is put back."""
    folder, done = fresh
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    for path in CHANGED:
        if (folder / path).read_bytes() != (ROOT / path).read_bytes():
            shutil.copy(ROOT / path, folder / path)


def built(house, page=CHAPTER.with_suffix(".html")):
    return (house / "_build" / "html" / page).read_bytes()


# --- the README's commands -------------------------------------------------------------------------

def test_make_book_makes_everything_and_prints_the_page_to_open(fresh):
    folder, done = fresh
    assert done.returncode == 0, done.stdout + done.stderr
    page = Path(re.search(r"^Open (.+)$", done.stdout, re.MULTILINE)[1])
    assert page == folder / "_build" / "html" / "index.html"
    assert page.is_file()
    assert len(done.stdout.splitlines()) <= 4  # what happens in a sentence each, no log


def test_a_second_run_takes_seconds(house):
    deck, start = built(house, "prove-it.apkg"), time.monotonic()
    assert run("make book", house).stdout.startswith("Building")
    assert time.monotonic() - start < 20
    assert built(house, "prove-it.apkg") == deck, "the cards are the same and got a new date: what a learner wrote on them would be lost"


def test_make_alone_lists_the_commands(house):
    listed = run("make", house).stdout
    assert listed == run("make help", house).stdout
    targets = re.search(r"^\.PHONY: (.+)$", (house / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert re.findall(r"^  make (\w+) +\S", listed, re.MULTILINE) == targets


def test_make_pdf_builds_the_book_and_prints_it(house):
    """With what the tests need, Playwright among it; test_pdf.py prints."""
    typed = run("make --dry-run pdf", house).stdout
    assert re.findall(r"tools/\S+\.py|\S*requirements\.txt", typed) == [
        "tools/environment.py", "requirements.txt", "tests/requirements.txt", "tools/book.py", "tools/pdf.py"]


def test_make_test_collects_every_test(house):
    done = run("make test ARGS=--collect-only", house)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in ROOT.glob("tests/test_*.py"):
        assert path.name in done.stdout


def test_tests_of_one_group_stay_in_one_worker(tmp_path):
    """Else each worker builds what one could share: pytest and pytest-xdist have to fit."""
    (tmp_path / "test_group.py").write_text("import pytest\n@pytest.mark.xdist_group('one')\n"
                                            "@pytest.mark.parametrize('n', range(6))\ndef test(n): pass\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-v", "-c", os.devnull, "--rootdir=.", "-p", "xdist", "-n", "2", "--dist", "loadgroup"],
                          cwd=tmp_path, capture_output=True, text=True, env=environment(tmp_path) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert "6 passed" in done.stdout
    assert len(set(re.findall(r"\[(gw\d)\]", done.stdout))) == 1, done.stdout


def asks_lab(command, house):
    """What JupyterLab, started with a command of the README, says to the question for a chapter."""
    with jupyterlab(command, house, environment(house)) as lab, \
            urllib.request.urlopen(f"{lab}/api/contents/{CHAPTER.name}?content=0&token=x") as answer:
        return answer.status


def test_make_lab_opens_the_chapters(house):
    assert asks_lab("make lab", house) == 200


def test_make_serve_serves_the_book(house):
    port = free_port()
    server = subprocess.Popen(["make", "serve", f"ARGS={port}"], cwd=house, env=environment(house), start_new_session=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # though the tests run in the background
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = [server.stdout.readline() for _ in range(3)]
        assert f"Open http://127.0.0.1:{port}/ (Ctrl-C ends it)" in said[-1], said
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{CHAPTER.with_suffix('.html')}") as answer:
            page = answer.read().decode()
        files = re.search('data-files="../([^"]+)"', page)[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{files}worker.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
        says(run(f"make serve ARGS={port}", house), f"Port {port} cannot be used", "take another one")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        assert "Traceback" not in server.communicate(timeout=30)[0]


@pytest.mark.parametrize("port", ["http", "99999"])
def test_a_port_that_is_none(port, house):
    says(run(f".venv/bin/python tools/serve.py {port}", house), f"`{port}` is no port: give a number")


def test_make_outputs_stores_what_is_stored(house):
    done = run(f"make outputs ARGS={CHAPTER}", house)  # one chapter: test_execution.py runs them all
    assert done.returncode == 0, done.stdout + done.stderr
    assert (house / CHAPTER).read_bytes() == (ROOT / CHAPTER).read_bytes()


def test_make_pins_pins_every_version(house):
    done = run("make pins", house)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("requirements", "tests/requirements"):
        check_pins(house / f"{name}.in", house / f"{name}.txt")
    check_binder(house)


def test_the_pip_lines_work_without_make(house, tmp_path):
    """What they make and install, `make book` has made with the same two commands: the others find it there."""
    first, *others, lab = PIP_LINES
    shutil.rmtree(house / "_build" / "html")
    for command, folder in [(first, tmp_path), *((command, house) for command in others)]:
        done = run(command, folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / ".venv" / "bin" / "pip").exists()
    assert built(house, "index.html")
    assert asks_lab(lab, house) == 200


def test_every_command_of_the_readme_is_run_above():
    assert sorted(set(COMMANDS) - set(PIP_LINES)) == ["make book", "make lab", "make outputs", "make pins", "make serve", "make test"]
    assert [re.sub(r"\S*python3?\b", "python", command) for command in PIP_LINES] == [
        "python -m venv .venv", "python -m pip install -r requirements.txt", "python tools/book.py", "python tools/lab.py"]


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert script[-1] == "exec make test"
    assert "export CI=true" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# --- what changed is built again -------------------------------------------------------------------

def test_an_edit_of_a_page_and_of_the_style_sheet_is_built(house):
    assert run("make book", house).returncode == 0  # tests above have changed the versions
    for path, target in [("index.md", "index.html"), ("assets/book.css", "_static/book.css")]:
        with (house / path).open("a") as file:
            file.write("\n/* seen */\n")
        assert run("make book", house).returncode == 0
        assert b"/* seen */" in built(house, target)
        written = re.findall("writing output.*", (house / "_build" / "book.log").read_text(encoding="utf-8"))
        assert any(CHAPTER.stem in line for line in written) == (path == "assets/book.css")  # each page names it, with a hash


def test_a_new_title_makes_a_new_card(house):
    text = (house / CHAPTER).read_text(encoding="utf-8")
    (house / CHAPTER).write_text(text.replace('"# ', '"# Seen: ', 1), encoding="utf-8")
    assert run("make book", house).returncode == 0
    assert b">Seen: " in built(house, "index.html").partition(b'class="cards"')[2]
    assert b"Seen: " in built(house, "claims.html"), "a new title does not reach the other pages"


def test_a_lost_heading_is_told_where_it_is_linked_from(house):
    """Only the chapter was edited; the page with the link was not."""
    text = (house / CHAPTER).read_text(encoding="utf-8")
    target, number = re.search(rf"\(#({CHAPTER.stem.partition('-')[0]}-claim-(\d+))\)", (ROOT / "glossary.md").read_text(encoding="utf-8")).groups()
    text = text.replace(f"Claim {number}: ", f"Claim {number}0: ").replace(f"#Claim-{number}:", f"#Claim-{number}0:")
    (house / CHAPTER).write_text(text, encoding="utf-8")
    says(run("make book", house), "glossary.md", target)


def test_a_chapter_taken_out_of_the_table_of_contents_leaves_the_book(house):
    toc = (house / "_toc.yml").read_text()
    (house / "_toc.yml").write_text(toc[:toc.index("parts:")])
    (house / "index.md").write_text("# Nothing to link to\n")
    assert run("make book", house).returncode == 0
    assert not (house / "_build" / "html" / CHAPTER.with_suffix(".html")).exists()
    for path in ("_toc.yml", "index.md"):
        shutil.copy(ROOT / path, house)
    assert run("make book", house).returncode == 0
    assert built(house)


# --- bad input: one sentence, and the last good book stays -----------------------------------------

def test_an_old_python_is_told_which_one_is_needed(tmp_path):
    copy = copy_of_the_repository(tmp_path / "copy")
    old = tmp_path / "python3.10"
    old.write_text(f"#!/bin/sh\nexec {BASE_PYTHON} -c 'import runpy, sys; sys.version_info = (3, 10, 4, \"final\", 0); "
                   "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name=\"__main__\")' \"$@\"\n")
    old.chmod(0o755)
    says(run(f"make PYTHON={old} book", copy), "This is Python 3.10", "3.11 or newer", "make PYTHON=")
    assert not (copy / ".venv").exists()


def test_the_set_up_is_written_for_any_python():
    source = (ROOT / "tools" / "environment.py").read_text()
    ast.parse(source, feature_version=(3, 5))
    assert not re.search(r"\bf[\"']|:=", source)


def test_no_network(tmp_path):
    copy = copy_of_the_repository(tmp_path / "copy")
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "",
               "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    says(run("make book", copy, **nowhere), "could not be downloaded", "check the network connection", "same command again")
    assert not (copy / ".venv" / "requirements.txt").exists()  # so that the next run tries again


def read_only(folder):
    """The start of a shell command in which `folder` cannot be written."""
    if os.geteuid():
        return "chmod -R a-w . && trap 'chmod -R u+w .' EXIT; "
    mount = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && cd {folder} && "
    if subprocess.run(["unshare", "-m", "sh", "-c", mount + "true"], capture_output=True).returncode:
        pytest.skip("this root cannot make a folder read-only: needs `unshare -m`")
    return f"unshare -m sh -c '{mount}$0' "


@pytest.mark.parametrize("made", ["nothing", "everything"])
def test_a_read_only_folder(made, tmp_path, request):
    copy = request.getfixturevalue("house") if made == "everything" else copy_of_the_repository(tmp_path / "copy")
    start = read_only(copy)
    says(run(f"{start}'make book'" if start.startswith("unshare") else f"{start}make book", copy), "Cannot write", "folder of your own")


def broken_link(text):
    return text.replace("](#Claim-1", "](#Claim-17", 1)


def skipped_level(text):
    return text.replace("## The answer", "#### The answer", 1)


def no_minutes(text):
    return text.replace(" minutes · ", " · ", 1)


def an_error(text):
    notebook = nbformat.reads(text, 4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    return nbformat.writes(notebook)


def never_run(text):
    return re.sub(r'"execution_count": 3,', '"execution_count": null,', text)


def half_written(text):
    return text[:len(text) // 2]


@pytest.mark.parametrize("damage, words", [
    (broken_link, ["cell ", "Claim-17", "_build/book.log"]),
    (skipped_level, ["cell ", "header level"]),
    (no_minutes, ["first cell", "about NN minutes"]),
    (an_error, ["ZeroDivisionError", "make outputs"]),
    (never_run, ["has not been run", "make outputs"]),
    (half_written, ["not a notebook", "git checkout"]),
])
def test_a_broken_chapter_is_named_and_the_last_good_book_stays(house, damage, words):
    before = built(house)
    text = (house / CHAPTER).read_text(encoding="utf-8")
    (house / CHAPTER).write_text(damage(text), encoding="utf-8")
    for _ in range(2 if damage is broken_link else 1):  # a second try is not taken in by what the first left behind
        says(run("make book", house), str(CHAPTER), "The last good one is still there", *words)
        assert built(house) == before


def test_after_a_mistake_only_what_changed_is_read_again(house):
    text = (house / CHAPTER).read_text(encoding="utf-8")
    assert run("make book", house).returncode == 0
    (house / CHAPTER).write_text(broken_link(text), encoding="utf-8")
    says(run("make book", house), "Claim-17")
    shutil.copy2(ROOT / CHAPTER, house / CHAPTER)  # put back as it was, with its old date
    assert run("make book", house).returncode == 0
    assert "chapters/" not in "".join(re.findall("reading sources.*", (house / "_build" / "book.log").read_text(encoding="utf-8")))
    assert b"Claim-17" not in built(house)


def test_a_build_that_was_broken_off_leaves_no_trace(house):
    work = house / "_build" / "work"
    shutil.copytree(work / "doctrees", work / "good")  # as during a build
    (work / "html" / CHAPTER.with_suffix(".html")).write_text("half")
    assert run("make book", house).returncode == 0
    assert b"</html>" in built(house) and b"</html>" in built(house, "index.html")
    assert not (work / "good").exists()


def test_a_broken_formula_is_named_and_a_mended_one_is_built(house):
    text = (house / "index.md").read_text(encoding="utf-8")
    (house / "index.md").write_text(f"{text}\n$\\nosuchcommand{{x}}$\n", encoding="utf-8")
    says(run("make book", house), "index.md", "nosuchcommand")
    (house / "index.md").write_text(f"{text}\n$\\sin x + 4321$\n", encoding="utf-8")
    assert run("make book", house).returncode == 0
    assert b"<mn>4321</mn>" in built(house, "index.html")


def test_a_full_disk(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(book_tool, "WORK", tmp_path / "work")
    monkeypatch.setattr(book_tool, "build", lambda live: OSError(errno.ENOSPC, "No space left on device"))
    assert "disk is full" in book_tool.sentence()


# --- pins and words --------------------------------------------------------------------------------

def check_pins(source, compiled):
    """Every line of the compiled file is one exact version, and everything asked for is there."""
    names = lambda text: {re.match(r"[\w-]+", line)[0].lower() for line in text.splitlines() if re.match(r"\w", line)}  # noqa: E731
    text = compiled.read_text()
    for line in text.splitlines():
        assert re.match(r"( *#|[\w.-]+==[\w.]+( ;.*)?$)", line), line
    assert names(source.read_text()) <= names(text)
    assert "://" not in text


@pytest.mark.parametrize("name", ["requirements", "tests/requirements"])
def test_every_version_is_pinned(name):
    check_pins(ROOT / f"{name}.in", ROOT / f"{name}.txt")


def test_the_pins_that_the_book_depends_on():
    pinned = (ROOT / "requirements.txt").read_text()
    for line in ("jupyter-book==1.0.4.post1", "sphinx-book-theme==1.1.4", "numpy==2.4.", "click==8.", "jupyterlab==4."):
        assert f"\n{line}" in pinned


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).is_file()]


def check_binder(folder):
    """Binder reads its own folder alone, so the same versions stand there once more."""
    pinned = (folder / "requirements.txt").read_text().splitlines()
    wanted = [line for line in (folder / ".binder" / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert {line.partition("==")[0] for line in wanted} >= {"numpy", "matplotlib"}
    for line in wanted:
        assert line in pinned, f"{line} in .binder/requirements.txt: write the version that requirements.txt pins"


def test_binder_installs_the_same_versions():
    check_binder(ROOT)
    # without runtime.txt Binder takes a Python that is too old
    assert re.fullmatch(r"python-3\.1[1-4]\n", (ROOT / ".binder" / "runtime.txt").read_text())


def test_no_file_knows_the_machine_it_was_written_on():
    places = {f"{place}{os.sep}" for place in (ROOT, Path.home()) if place.name}
    hidden = re.compile(r"\.(?!ci)|_build$|__pycache__$")  # made here, not part of the repository
    for path in ROOT.rglob("*"):
        if not path.is_file() or any(map(hidden.match, path.relative_to(ROOT).parts)):
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        assert not [place for place in places if place in text], path.relative_to(ROOT)
