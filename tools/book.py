"""Build the book (`make book`).

Warnings are errors, and the last good book stays in place until a new one is whole.
"""
import contextlib
import errno
import json
import re
import shutil
import sys
from pathlib import Path

import runtime

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "_build" / "html"
WORK = ROOT / "_build" / "work"  # kept between runs, so that only what changed is read again
GOOD = "good"  # in WORK during a build: the doctrees as they were before it
LOG = ROOT / "_build" / "book.log"
# An edit of one of these changes every page.
RECIPE = [*ROOT.glob("_ext/*.py"), ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.txt", Path(__file__)]


class Problem(Exception):
    """One sentence that says what to do."""


def check_chapter(path):
    """The build runs no cell, so it would print whatever the chapter has stored."""
    name = path.relative_to(ROOT).as_posix()
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        raise Problem(f"{name} is not a notebook any more: restore it, for example with `git checkout {name}`.") from None
    for number, cell in enumerate(cells, 1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                raise Problem(f"{name} stops with {output['ename']} in cell {number}: mend that cell, "
                              "then run `make outputs` and `make book`.")
        if cell["cell_type"] == "code" and cell["execution_count"] is None:
            raise Problem(f"{name} has not been run (cell {number} has no output stored): "
                          "run `make outputs`, then `make book`.")


def build(live):
    """Run Sphinx, with Jupyter Book's settings, into WORK; the whole log goes into LOG.

    live: the folder with the Python that runs in the page, or "".
    """
    # JupyterLab brings rfc3987-syntax, which takes two seconds to compile a grammar that nothing here uses.
    sys.modules["rfc3987_syntax"] = None
    from jupyter_book.sphinx import build_sphinx

    with LOG.open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        return build_sphinx(
            ROOT, WORK / "html", doctreedir=WORK / "doctrees", noconfig=True, path_config=ROOT / "_config.yml",
            confoverrides={"external_toc_path": str(ROOT / "_toc.yml"), "latex_individualpages": False, "nitpicky": True,
                           "live_runtime": str(live)},
            warningiserror=True, keep_going=True,
        )


def first_complaint():
    """The first warning or error in LOG, its place told as a chapter's author counts."""
    log = re.sub(r"\x1b\[[\d;]*m", "", LOG.read_text(encoding="utf-8"))
    found = re.findall(r"^(?:.*\.\.\. )?(?:(.+?):)?(?:(\d+):)? ?(?:WARNING|ERROR|CRITICAL|SEVERE): (.+)$", log, re.MULTILINE)
    if not found:
        return log.strip().splitlines()[-1]
    place, line, text = found[0]
    place = place.replace(f"{ROOT}/", "")
    if line:  # myst-nb numbers line 45 of cell 12 as 120045
        place += f", cell {int(line) // 10000}" if int(line) > 10000 else f", line {line}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{place}: {text}{more}" if place else text + more


def publish():
    """Put the new book in the place of the old one."""
    new, old = BOOK.with_name("html.new"), BOOK.with_name("html.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(WORK / "html", new)
    if BOOK.exists():
        BOOK.rename(old)
    new.rename(BOOK)
    shutil.rmtree(old, ignore_errors=True)


def go_back():
    """Make WORK what it was when BOOK was made from it, so that the next build reads what has changed since, and no more."""
    if not (WORK / GOOD).exists() or not BOOK.exists():
        shutil.rmtree(WORK, ignore_errors=True)
        return
    shutil.rmtree(WORK / "html", ignore_errors=True)
    shutil.copytree(BOOK, WORK / "html", ignore=shutil.ignore_patterns("index.html", "*.pdf"))  # `make pdf` has changed them
    shutil.rmtree(WORK / "doctrees")
    (WORK / GOOD).rename(WORK / "doctrees")


def main():
    for chapter in sorted(ROOT.glob("chapters/*.ipynb")):
        check_chapter(chapter)
    if (WORK / GOOD).exists():  # the last build was broken off
        go_back()
    read = WORK / "doctrees" / "environment.pickle"
    if read.exists() and any(path.stat().st_mtime > read.stat().st_mtime for path in RECIPE):
        shutil.rmtree(WORK)
    if read.exists():
        shutil.rmtree(WORK / "copy", ignore_errors=True)
        shutil.copytree(WORK / "doctrees", WORK / "copy").rename(WORK / GOOD)
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        live = runtime.runtime()
    except runtime.NotToBeHad as reason:
        live = ""
        print(f"The Python that runs in the page is not to be had, so the pages get no Run buttons: {reason}", flush=True)
    print("Building the book ...", flush=True)
    result = build(live)
    if isinstance(result, OSError):
        raise result
    if result:
        go_back()  # a page that was read once does not repeat its warnings
        raise Problem(f"{first_complaint()}\nMend that, then run `make book` again "
                      f"(everything Sphinx said is in {LOG.relative_to(ROOT)}).")
    publish()
    shutil.rmtree(WORK / GOOD, ignore_errors=True)
    print(f"Open {BOOK / 'index.html'}")


def sentence():
    """Build; return what to do if that failed, else None."""
    try:
        main()
    except Problem as problem:
        return str(problem)
    except OSError as error:
        return ("The disk is full: free some space, then run `make book` again." if error.errno == errno.ENOSPC
                else f"Cannot write the book ({error}): copy it to a folder of your own, then run `make book` there.")


if __name__ == "__main__":
    if failed := sentence():
        sys.exit(f"\nThe book was not built. {failed}"
                 + (f"\nThe last good one is still there: {BOOK / 'index.html'}" if BOOK.exists() else ""))
