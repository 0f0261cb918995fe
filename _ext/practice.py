"""Let the reader practise what the chapters ask: quizzes that remember, a mock interview, and cards that come back in time.

The items are read from the notebooks (items.py). Here they become a file of data for the two pages that show them, and each
quiz question of a chapter gets a box with its id. Nothing leaves the reader's browser.
"""
import hashlib
import json
import os
import re
from html import escape
from pathlib import Path

import items
from docutils import nodes
from finish import size
from mathml import convert
from sphinx.util.docutils import SphinxDirective

ASSETS = Path(__file__).parent.parent / "assets" / "practice"
STORE = (ASSETS / "store.js").read_text(encoding="utf-8")


def chapters(env):
    """{name of the part: its chapters that are notebooks}"""
    return {part.caption: found for part in env.external_site_map.root.subtrees
            if (found := [doc for doc in part.items if Path(env.srcdir, f"{doc}.ipynb").exists()])}


def box_quizzes(app, docname, source):
    """Put each quiz question of a notebook, with its options, into a box that says its id."""
    if not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if "quiz" in cell["metadata"].get("tags", ()) and (card := items.quiz(cell)):
            right = [option.right for option in card.options].index(True)
            box = f'<div class="quiz" id="{escape(card.id)}" data-right="{right}">'
            before, question = re.split(r"^(?=\*\*\d+\. )", items.source(cell), maxsplit=1, flags=re.MULTILINE)
            cell["source"] = f"{before}{box}\n\n{question}\n\n</div>"
    source[0] = json.dumps(notebook)


def collect(app, doctree):
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".ipynb":
        app.env.book_practice[app.env.docname] = shown(items.read(path), targets(app.env, app.env.docname))


def targets(env, docname):
    """{anchor of a heading as JupyterLab makes it: its id in the built page}"""
    return {slug: heading[1] for slug, heading in env.metadata[docname].get("myst_slugs", {}).items()}


def shown(chapter, targets):
    """A chapter's items as data, in HTML for a page at the top of the book."""
    link = items.from_the_top(chapter.name, targets)
    html = items.renderer(convert, link)

    def read(anchors):
        return [[link("#" + anchor), chapter.sections[anchor]] for anchor in anchors if anchor in chapter.sections] \
            or [[link(""), chapter.title]]

    def point(point):
        return {"id": point.id, "html": html(point.text, inline=True), "read": read(point.read)}

    def card(card):
        back = "" if card.options else html(card.back)  # each option says why
        figures = "".join(picture(figure) for anchor in card.read for figure in chapter.figures.get(anchor, ()))
        made = {"id": card.id, "kind": card.kind, "front": html(card.front), "back": back + figures, "read": read(card.read)}
        if card.options:
            made["options"] = [{"html": option.text, "right": option.right, "why": html(option.why)} for option in card.options]
        return made

    return {"page": link(""), "title": chapter.title, "spoken": html(chapter.spoken), "rubric": list(map(point, chapter.rubric)),
            "traps": list(map(point, chapter.traps)), "cards": list(map(card, chapter.cards))}


def picture(figure):
    """A figure under the name that myst-nb gives its file."""
    name = hashlib.sha256(os.linesep.join(figure.svg.splitlines()).encode()).hexdigest()
    width, height = size(figure.svg)
    return (f'<div class="cell_output"><img src="_images/{name}.svg" width="{width}" height="{height}" '
            f'alt="{escape(figure.alt)}"></div>')


def prepare(app):
    if not hasattr(app.env, "book_practice"):
        app.env.book_practice = {}


def purge(app, env, docname):
    env.book_practice.pop(docname, None)


def in_order(env):
    """The items of all chapters, as the book has them."""
    return [{"part": part, **env.book_practice[chapter]}
            for part, found in chapters(env).items() for chapter in found if chapter in env.book_practice]


def write(app, exception):
    if exception is None and app.builder.format == "html":
        data = json.dumps(in_order(app.env), ensure_ascii=False, separators=(",", ":"))
        Path(app.outdir, "_static", "practice-data.js").write_text(f"proveIt.chapters = {data};\n", encoding="utf-8", newline="\n")


class Practice(SphinxDirective):
    """{practice} interview and {practice} review: the place where the script of that page works."""
    required_arguments = 1

    def run(self):
        self.env.metadata[self.env.docname]["practice"] = self.arguments[0]
        return [nodes.raw("", f'<div id="practice" class="{self.arguments[0]}"><noscript><p>This page needs JavaScript, which is '
                          'switched off in your browser. The questions, rubrics and quizzes stand in the chapters, too.</p></noscript></div>',
                          format="html")]


class Due(SphinxDirective):
    """{due}: links to the two pages; how many cards are due today, of those that the book has (filled in when the page is written)."""

    def run(self):
        for chapter in (chapter for found in chapters(self.env).values() for chapter in found):
            self.env.note_dependency(f"{self.env.srcdir}/{chapter}.ipynb")
        interview, review = (self.env.app.builder.get_relative_uri(self.env.docname, page) for page in ("interview", "review"))
        return [nodes.raw("", f'<p class="practise"><a href="{interview}">Mock interview</a> · '
                          f'<a id="due" href="{review}" data-cards="">Cards to remember it by</a></p>', format="html")]


def scripts(app, pagename, templatename, context, doctree):
    """Every page can keep something; quizzes, the count of due cards and the two pages have scripts of their own."""
    if doctree is None:
        return
    if 'id="due"' in context["body"]:
        ids = " ".join(card["id"] for chapter in in_order(app.env) for card in chapter["cards"])
        context["body"] = context["body"].replace('data-cards=""', f'data-cards="{escape(ids)}"')
    context["body"] += f"<script>\n{STORE}</script>\n"
    practice = app.env.metadata[pagename].get("practice")
    if practice:
        app.add_css_file("practice.css")
        app.add_js_file("practice-data.js", loading_method="defer")
    if practice or 'class="quiz"' in context["body"] or 'id="due"' in context["body"]:
        app.add_js_file("progress.js", loading_method="defer")
    if 'class="quiz"' in context["body"]:
        app.add_js_file("quiz.js", loading_method="defer")
    if practice:
        app.add_js_file("room.js", loading_method="defer")
        app.add_js_file(f"{practice}.js", loading_method="defer")


def settings(app, config):
    config.html_static_path += [str(path) for path in sorted(ASSETS.iterdir()) if path.name != "store.js"]


def setup(app):
    app.add_directive("practice", Practice)
    app.add_directive("due", Due)
    app.connect("config-inited", settings)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", purge)
    app.connect("source-read", box_quizzes)
    app.connect("doctree-read", collect)
    app.connect("html-page-context", scripts, priority=400)  # before live.py, whose script keeps the reader's code
    app.connect("build-finished", write)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
