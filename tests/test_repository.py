"""Links to the repository lead to this copy's own, and nowhere where there is none."""
import json
import os
import re
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, copy_of_the_repository
from nbclient import NotebookClient

sys.path.append(str(ROOT / "_ext"))
import repository  # noqa: E402

FORK = "https://github.com/owner/fork"


@pytest.mark.parametrize("remote", [
    FORK, f"{FORK}.git", f"{FORK}/", "git@github.com:owner/fork.git", "ssh://git@github.com:22/owner/fork",
    "https://someone:secret@github.com/owner/fork.git", "https://secret@github.com/owner/fork"])
def test_any_spelling_of_a_remote(remote, tmp_path):
    assert repository.where(tmp_path, {"BOOK_REPOSITORY_URL": remote}) == (FORK, "main")


@pytest.mark.parametrize("remote", ["", "nonsense", "https://example.org/owner/fork", "/some/folder", "https://github.com/owner"])
def test_what_is_no_public_repository(remote, tmp_path):
    assert repository.where(tmp_path, {"BOOK_REPOSITORY_URL": remote}) == ("", "main")


def test_the_environment_comes_before_the_git_remote(tmp_path):
    for command in ("init -q -b work", f"remote add origin {FORK}"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    assert repository.where(tmp_path, {}) == (FORK, "work")
    actions = {"GITHUB_REPOSITORY": "class/copy", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "spring"}
    assert repository.where(tmp_path, actions) == ("https://github.com/class/copy", "spring")
    said = {"BOOK_REPOSITORY_URL": "https://gitlab.com/a/b", "BOOK_REPOSITORY_BRANCH": "c"}
    assert repository.where(tmp_path, actions | said) == ("https://gitlab.com/a/b", "c")


def test_binder_opens_the_chapter_where_it_can():
    assert repository.binder(FORK, "main", "chapters/x.ipynb") == "https://mybinder.org/v2/gh/owner/fork/main?urlpath=lab/tree/chapters/x.ipynb"
    assert repository.binder("https://gitlab.com/a/b", "main", "x") == repository.binder("", "main", "x") == ""


@pytest.mark.parametrize("url", ["https://someone:secret@github.com/owner/fork.git", ""])
def test_a_built_book(url, tmp_path):
    copy = copy_of_the_repository(tmp_path / "copy")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "BOOK_"))}
    done = subprocess.run([sys.executable, "tools/book.py"], cwd=copy, env=environment | {"BOOK_REPOSITORY_URL": url, "BOOK_HUB_URL": url and "https://hub.example.org"},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in (copy / "_build" / "html").rglob("*.html")}
    assert not [path.name for path, text in pages.items() if "secret" in text or "executablebooks" in text]
    chapter = next(BeautifulSoup(text, "html.parser") for path, text in pages.items() if path.name.startswith("q29"))
    binder = f"{repository.binder(FORK, 'main', 'chapters/q29-layer-normalization.ipynb')}" if url else ""
    assert chapter.find(id="live")["data-binder"] == binder
    links = {link["href"] for link in chapter.find_all("a", href=True)}
    assert bool(url) == (binder in links) == any(link.startswith(f"{FORK}/issues/new") for link in links)
    assert bool(url) == any("mybinder" in link for link in links)
    colab = "https://colab.research.google.com/github/owner/fork/blob/main/chapters/q29-layer-normalization.ipynb"
    assert bool(url) == (colab in links)
    hub = "https://hub.example.org/hub/user-redirect/git-pull?"
    assert [dict(parse_qsl(urlsplit(link).query)) for link in links if link.startswith(hub)] == [
        {"repo": FORK, "branch": "main", "urlpath": "lab/tree/fork/chapters/q29-layer-normalization.ipynb"}] * bool(url)
    assert bool(url) == (copy / "_build" / "html" / "sitemap.xml").exists() == bool(chapter.find("meta", property="og:url"))
    assert bool(url) == any(link["href"].startswith("https://owner.github.io/fork/") for link in chapter.find_all("link", rel="canonical"))
    there, placeholder = f"git clone --depth 1 {FORK} book", "git clone --depth 1 https://github.com/OWNER/NAME book"
    download = (copy / "_build" / "html" / "_sources" / "chapters" / "q29-layer-normalization.ipynb").read_text(encoding="utf-8")
    for text in (download, chapter.get_text()):
        assert (there in text, placeholder in text) == (bool(url), not url)
    json.loads(download)


def test_a_chapter_opened_alone_says_in_a_sentence_how_to_get_the_rest(tmp_path):
    """As in Colab, or with one downloaded file: what the first cell says is done to the letter, and the chapter runs."""
    nb = nbformat.read(ROOT / "chapters" / "q29-layer-normalization.ipynb", as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    upstream = copy_of_the_repository(tmp_path / "upstream")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@example.org commit -qm a"):
        subprocess.run(["git", *command.split()], cwd=upstream, check=True)
    alone = tmp_path / "alone"
    alone.mkdir()
    client = NotebookClient(nb, allow_errors=True, resources={"metadata": {"path": alone}})
    run = lambda source, number: client.execute_cell(nbformat.v4.new_code_cell(source), number).outputs
    with client.setup_kernel():
        said = run(code[0].source, 0)
        sentence, *lines = said[0].text.splitlines()
        assert sentence == ("UsageError: The files beside this chapter are missing. Run these two lines in a new cell, "
                            "then this cell again:")
        assert "Traceback" not in str(said)
        fetch = "\n".join(lines).replace("--depth 1 https://github.com/OWNER/NAME", upstream.as_posix())
        assert re.fullmatch(r"!git clone \S+ book\n%cd book/chapters", fetch), lines
        run(fetch, 1)
        assert run(code[0].source, 2) == []
        check = next(cell for cell in code if "check" in cell.metadata.tags)
        stub = code[code.index(check) - 1]
        assert run(stub.source, 3) == []
        assert [output.data for output in run(check.source, 4)] == [output.data for output in check.outputs]
