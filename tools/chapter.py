"""Start a chapter from assets/template (`make chapter NAME=q99-short-name`).

Copies the notebook, its self-check and the answers that test the self-check, and enters the chapter in _toc.yml, after
the last one. A name that cannot be used changes nothing.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "assets" / "template"
TOC = ROOT / "_toc.yml"


def start(name):
    """Write the chapter's files and return them; exit with a sentence if the name cannot be used."""
    if not re.fullmatch(r"q[1-9]\d*(-[a-z0-9]+)+", name):
        sys.exit(f"{f'`{name}` is no name for a chapter' if name else 'The chapter has no name'}: write q, the number of "
                 "the question and a short name, as in `make chapter NAME=q99-softmax-temperature`.")
    number, module = name[1:].partition("-")[0], name.replace("-", "_")
    files = {ROOT / "chapters" / f"{name}.ipynb": "chapter.ipynb",
             ROOT / "chapters" / "selfcheck" / f"{module}.py": "selfcheck.py",
             ROOT / "tests" / "selfcheck_answers" / f"{module}.py": "answers.py"}
    taken = [*ROOT.glob(f"chapters/q{number}-*.ipynb"), *(path for path in files if path.exists())]
    if taken:
        sys.exit(f"Question {number} has {taken[0].relative_to(ROOT)} already: work on that file, or take another number.")
    toc = TOC.read_text(encoding="utf-8")
    for path, template in files.items():
        text = (TEMPLATE / template).read_text(encoding="utf-8")
        path.write_text(text.replace("NN", number), encoding="utf-8", newline="\n")
    toc = re.sub(r"(?s)(.*- file: chapters/\S+\n( {8}title: [^\n]*\n)?)", rf"\1      - file: chapters/{name}\n", toc)
    TOC.write_text(toc, encoding="utf-8", newline="\n")
    return [*files, TOC]


if __name__ == "__main__":
    try:
        written = start(" ".join(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"Cannot write the chapter ({error}): copy the book to a folder of your own, then run the same command there.")
    print("Written:", *(path.relative_to(ROOT).as_posix() for path in written), sep="\n  ")
    print("Now replace every TODO in them: CONTRIBUTING.md says how.")
