#!/usr/bin/env python3
"""Run the chapters and store their outputs in a normal form (`make outputs`).

    python tools/outputs.py [chapter.ipynb ...]           run, regenerate the references, store
    python tools/outputs.py --check [chapter.ipynb ...]   run nothing, only say what is not in normal form

A chapter that fails is left as it was. Running twice changes nothing.
"""
import argparse
import os
import re
import sys
from itertools import count
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from pybtex.database import PybtexError, parse_file
from pybtex.richtext import Text

ROOT = Path(__file__).resolve().parent.parent
BIBLIOGRAPHY = ROOT / "assets" / "references.bib"
MARKDOWN = MarkdownIt("commonmark").enable("table")
SECONDS = 20  # of processor time, what one chapter may take; a busy machine is no fault of the chapter
CELL_METADATA = {"tags", "prove_it", "mystnb", "jupyter"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


class Problem(Exception):
    """One sentence for the author of a chapter; nothing was written."""


def tags(cell):
    return cell.metadata.get("tags", [])


# --- references --------------------------------------------------------------------------------

def bibliography():
    """{link: entry} of assets/references.bib; the link is to arXiv, else the DOI, else the URL."""
    try:
        entries = parse_file(str(BIBLIOGRAPHY)).entries.values()
    except (PybtexError, OSError) as error:
        raise Problem(f"{BIBLIOGRAPHY.name} cannot be read: {error}") from None
    for entry in entries:
        if not {"title", "year"} <= entry.fields.keys() or "author" not in entry.persons:
            raise Problem(f"{BIBLIOGRAPHY.name}: the entry {entry.key} needs an author, a title and a year")
    return {source(entry)[1]: entry for entry in entries}


def source(entry):
    """(label, link) of an entry."""
    fields = entry.fields
    if "eprint" in fields:
        return f"arXiv:{fields['eprint']}", f"https://arxiv.org/abs/{fields['eprint']}"
    if "doi" in fields:
        return f"doi:{fields['doi']}", f"https://doi.org/{fields['doi']}"
    if "url" in fields:
        return re.sub(r"^https?://(www\.)?|/$", "", fields["url"]), fields["url"]
    raise Problem(f"{BIBLIOGRAPHY.name}: the entry {entry.key} has no eprint, doi or url")


def links(nb):
    """Link targets in the chapter's own text, in order."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "markdown" and "references" not in tags(cell):
            for block in MARKDOWN.parse(cell.source):
                found += [t.attrs["href"] for t in block.children or [] if t.type == "link_open"]
    return found


def uncited(nb, books):
    """arXiv and DOI links of the chapter that assets/references.bib does not hold."""
    return sorted({link for link in links(nb) if re.search(r"//(\w+\.)?(arxiv|doi)\.org/", link)} - books.keys())


def reference(entry):
    """`- Authors (year). *Title*. [arXiv:…](…)`; more than five authors become "et al."."""
    people = [" ".join(p.first_names + p.middle_names + p.prelast_names + p.last_names + p.lineage_names)
              for p in entry.persons["author"]]
    if len(people) > 5 or people[-1:] == ["others"]:
        people = [people[0] + " et al."]
    label, link = source(entry)
    plain = [str(Text.from_latex(text)) for text in (", ".join(people), entry.fields["year"], entry.fields["title"])]
    return "- {} ({}). *{}*. [{}]({})".format(*plain, label, link)


def references(nb, books):
    """The text of the `references` cell: the entries that the chapter links to, by first author."""
    cited = {link: books[link] for link in links(nb) if link in books}
    entries = sorted(cited.values(), key=lambda entry: (str(entry.persons["author"][0]), entry.fields["year"], entry.key))
    return "\n".join(["## References", "", *map(reference, entries)])


# --- normal form -------------------------------------------------------------------------------

def normal(nb, stem, books):
    """Bring a notebook into the one form that is stored, in place, and return its text."""
    nb.nbformat, nb.nbformat_minor, nb.metadata = 4, 5, nbformat.from_dict(NOTEBOOK_METADATA)
    names, seen, executions = {cell.get("id") for cell in nb.cells}, set(), 0
    for cell in nb.cells:
        if not cell.get("id") or cell.id in seen:
            stub = f"{stem.split('-')[0]}-{next(iter(tags(cell)), cell.cell_type)}"
            cell.id = next(name for n in count(1) if (name := f"{stub}-{n}") not in names)
            names.add(cell.id)
        seen.add(cell.id)
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in CELL_METADATA})
        cell.source = cell.source.rstrip()
        if "references" in tags(cell):
            cell.source = references(nb, books)
        if cell.cell_type == "code":
            executions += 1
            cell.execution_count = executions
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = executions
                if "image/svg+xml" in output.get("data", {}):
                    output.data["image/svg+xml"] = normal_svg(output.data["image/svg+xml"])
    return nbformat.v4.writes(nb, indent=1, ensure_ascii=False, sort_keys=True).rstrip("\n") + "\n"


def normal_svg(svg):
    """Without the date, the version and the comments that matplotlib writes; the ids are fixed by svg.hashsalt."""
    return re.sub(r"\s*<metadata>.*?</metadata>|\s*<!--.*?-->", "", svg, flags=re.S).rstrip() + "\n"


def read(path):
    """The notebook as it stands, missing ids and all (nbformat.read would invent random ones)."""
    try:
        return nbformat.v4.reads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"{path.name} is not a notebook: {error}") from None


# --- one execution -----------------------------------------------------------------------------

def run(nb, path):
    """Execute every cell with this interpreter and return the processor seconds it took (0 on Windows).

    Raises Problem, in one sentence, if a cell fails or the chapter takes longer than SECONDS.
    """
    import matplotlib.font_manager  # noqa: F401  a fresh machine builds its font cache here, not in a stored output
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    at = {"index": 0}
    client = NotebookClient(nb, kernel_name="python3", timeout=3 * SECONDS, record_timing=False, coalesce_streams=True,
                            extra_arguments=["--log-level=CRITICAL"],
                            resources={"metadata": {"path": str(path.parent)}},
                            on_cell_start=lambda cell, cell_index: at.update(index=cell_index))
    before = sum(os.times()[2:4])  # of finished child processes: the kernel is one
    try:
        client.execute()
    except CellTimeoutError:
        raise Problem(f"{where(nb, path, at['index'])} ran for more than {3 * SECONDS} s") from None
    except CellExecutionError as error:
        what = " ".join(f"{error.ename}: {error.evalue}".strip(": ").split())
        raise Problem(f"{where(nb, path, at['index'])} stopped with {what}") from None
    except RuntimeError as error:  # nbclient's and jupyter_client's word for a kernel that died
        raise Problem(f"{where(nb, path, at['index'])} stopped: {error}") from None
    seconds = sum(os.times()[2:4]) - before
    if seconds > SECONDS:
        raise Problem(f"{path.stem} took {seconds:.0f} s; a chapter may take {SECONDS}")
    return seconds


def where(nb, path, index):
    """The chapter, the heading and the cell that an author has to look at."""
    headings = [line.lstrip("# ") for cell in nb.cells[:index] if cell.cell_type == "markdown"
                for line in cell.source.splitlines() if re.match("#+ ", line)]
    first = next((line for line in nb.cells[index].source.splitlines() if line.strip()), "")
    return f"{path.stem}, under \"{headings[-1] if headings else ''}\": cell {index + 1} ({first.strip()})"


def store(path, books):
    """Run a chapter and write it if its text changed; return what to say about it."""
    nb, before = read(path), path.read_text(encoding="utf-8")
    if missing := uncited(nb, books):
        raise Problem(f"{path.stem} cites {', '.join(missing)}, which {BIBLIOGRAPHY.name} does not hold")
    normal(nb, path.stem, books)  # first: nbclient wants valid cells
    seconds = run(nb, path)
    text = normal(nb, path.stem, books)
    if text != before:
        draft = path.with_suffix(".part")
        draft.write_text(text, encoding="utf-8", newline="\n")
        draft.replace(path)  # a stop half-way leaves the old chapter whole
    return f"{path.stem}: {seconds:.1f} s, {'stored' if text != before else 'nothing changed'}"


def verify(path, books):
    """Raise Problem unless the chapter is in normal form, its references included."""
    nb = read(path)
    if missing := uncited(nb, books):
        raise Problem(f"{path.stem} cites {', '.join(missing)}, which {BIBLIOGRAPHY.name} does not hold")
    if normal(nb, path.stem, books) != path.read_text(encoding="utf-8"):
        raise Problem(f"{path.stem} is not in normal form: run `make outputs`")
    return f"{path.stem}: normal form"


def main():
    parser = argparse.ArgumentParser(description="Run the chapters and store their outputs in a normal form.")
    parser.add_argument("chapters", nargs="*", type=Path, help="notebooks; all of chapters/ if none is named")
    parser.add_argument("--check", action="store_true", help="run nothing; fail if a file is not in normal form")
    arguments = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one thread: the same sums in the same order
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this interpreter's kernel, not one installed for the user
    work, failed = (verify if arguments.check else store), False
    try:
        books = bibliography()
    except Problem as problem:
        sys.exit(str(problem))
    for path in arguments.chapters or sorted((ROOT / "chapters").glob("q*.ipynb")) or sys.exit("There is no chapter."):
        try:
            print(work(path.resolve(), books), flush=True)
        except Problem as problem:
            failed = True
            print(f"{problem}{'' if arguments.check else '; nothing was written'}.", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
