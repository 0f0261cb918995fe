"""Make the code cells of the book run in the page, with the runtime that tools/runtime.py makes.

Every code cell gets its notebook id and a bar of buttons. The script that stands in each page is all that a reader who
only reads has to load; the rest lies in two folders of _static whose names change with their content.
"""
import hashlib
import io
import json
import shutil
import zipfile
from html import escape
from pathlib import Path

from docutils import nodes
from items import cells
from repository import binder

ASSETS = Path(__file__).parent.parent / "assets" / "live"
FIRST = ["pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "numpy-"]  # fetched before the first result
BAR = """\
<div class="live-bar"><button type="button" class="live-run" aria-label="{run} cell {number}">{run}</button>\
<button type="button" class="live-edit" aria-label="{edit}: cell {number}">{edit}</button>\
<button type="button" class="live-reset" aria-label="Reset cell {number}" hidden>Reset</button>\
<span class="live-state"></span></div>
"""


def digest(*parts):
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:10]


def chapters(srcdir):
    """What the cells import, as a zip file: the modules and the plot style beside the notebooks."""
    folder, made = Path(srcdir, "chapters"), io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted([*folder.glob("*.py"), *folder.glob("*.mplstyle"), *folder.glob("selfcheck/*.py")]):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return made.getvalue()


def parts(node, kind):
    """The containers of this kind that myst-nb has made."""
    return [part for part in node.findall(nodes.container) if part.get("nb_element") == kind]


def prepare(app):
    """Name the two folders, and count the exercises of each chapter."""
    if not app.config.live_runtime:
        return
    runtime = Path(app.config.live_runtime)
    ours = [*ASSETS.glob("*.py"), *ASSETS.glob("*.css"), *(ASSETS / f"{name}.js" for name in ("live", "worker", "matmul"))]
    app.live_files = {path.name: path.read_bytes() for path in [*ours, runtime / "editor.js", runtime / "matmul.wasm"]}
    app.live_files["chapters.zip"] = chapters(app.srcdir)
    sizes = {path.name: path.stat().st_size for path in (runtime / "pyodide").iterdir()}
    first = sum(size for name, size in sizes.items() if name.startswith(tuple(FIRST)))
    whole = sum(size for name, size in sizes.items() if name.startswith(tuple(FIRST)) or name.endswith(".whl"))
    app.live_data = {
        "files": f"_static/live-{digest(*(data for _, data in sorted(app.live_files.items())))}/",
        "pyodide": f"_static/pyodide-{runtime.name.rpartition('-')[2]}/",
        "first": first, "more": whole - first,
        "exercises": json.dumps({path.stem: sum("check" in cell["metadata"].get("tags", []) for cell in cells(path))
                                 for path in sorted(Path(app.srcdir).glob("chapters/*.ipynb"))}),
    }


def bars(app, doctree, docname):
    """Give the code cells their ids and buttons."""
    if not app.config.live_runtime:
        return
    source = cells(Path(app.env.doc2path(docname)))
    for number, cell in enumerate(parts(doctree, "cell_code"), 1):
        cell["ids"].append(source[cell["cell_index"]]["id"])
        tags = source[cell["cell_index"]]["metadata"].get("tags", [])
        run = "Check" if {"stub", "check"} & set(tags) else "Run"
        edit = "Write your answer" if "stub" in tags else "Edit"
        code, = parts(cell, "cell_code_source")
        code += nodes.raw("", BAR.format(run=run, edit=edit, number=number), format="html")


def script(app, pagename, templatename, context, doctree):
    """Put the first script into the page."""
    if not app.config.live_runtime or doctree is None:
        return
    root = context["pathto"]("", resource=True)
    data = app.live_data | {
        "files": root + app.live_data["files"], "pyodide": root + app.live_data["pyodide"],
        "chapter": pagename.rpartition("/")[2] if context["sourcename"].endswith(".ipynb") else "",
        "source": root + f"_sources/{context['sourcename']}",
        "binder": binder(app.config.book_repository, app.config.book_branch, f"{pagename}.ipynb"),
    }
    attributes = " ".join(f'data-{name}="{escape(str(value))}"' for name, value in data.items())
    context["body"] += f'<script id="live" {attributes}>\n{(ASSETS / "start.js").read_text(encoding="utf-8")}</script>\n'


def finished(app, exception):
    """Put the two folders in their places, and take away those of earlier builds."""
    if exception or not app.config.live_runtime or app.builder.format != "html":
        return
    files, pyodide = (Path(app.outdir, app.live_data[name]) for name in ("files", "pyodide"))
    for old in {*files.parent.glob("live-*"), *files.parent.glob("pyodide-*")} - {pyodide}:
        shutil.rmtree(old)
    files.mkdir()
    for name, data in app.live_files.items():
        (files / name).write_bytes(data)
    if not pyodide.exists():
        shutil.copytree(Path(app.config.live_runtime, "pyodide"), pyodide)


def setup(app):
    app.add_config_value("live_runtime", "", "html")
    app.connect("builder-inited", prepare)
    app.connect("doctree-resolved", bars)
    app.connect("html-page-context", script)
    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
