"""Link the first mention of each glossary term in a chapter to the glossary, with its meaning as a tooltip.

sphinx-tippy does this for links that are there already; a chapter is plain Markdown and has none. And it brings two
libraries, where each browser of today has popovers.
"""
import re
from html import escape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes

SCRIPT = Path(__file__).parent.parent / "assets" / "terms.js"
NOT_IN = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, addnodes.pending_xref)


class Term(NamedTuple):
    names: tuple  # the first is the usual one
    anchor: str
    meaning: str


def pattern(names):
    """Matches a name, in the plural too; a name that has no capital letters may begin with one."""
    def one(name):
        name = re.sub(r"\\?[- ]", r"[-\\s]", re.escape(name))
        return name if re.search("[A-Z]", name) else f"[{name[0]}{name[0].upper()}]{name[1:]}"
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(one, sorted(names, key=len, reverse=True)))})s?(?![\w-])")


def prepare(app):
    if not hasattr(app.env, "book_terms"):
        app.env.book_terms, app.env.book_glossary = [], ""


def collect(app, doctree):
    """The terms of the page that has a glossary; the first paragraph of an entry is the meaning."""
    if glossaries := list(doctree.findall(addnodes.glossary)):
        entries = [entry for glossary in glossaries for entry in glossary.findall(nodes.definition_list_item)]
        app.env.book_terms = [Term(tuple(term.astext() for term in entry.findall(nodes.term)), entry[0]["ids"][0],
                                   " ".join(entry[-1][0].astext().split())) for entry in entries]
        app.env.book_glossary = app.env.docname


def mark(app, doctree, docname):
    if app.builder.format != "html" or not docname.startswith("chapters/") or not app.env.book_terms:
        return
    glossary = app.builder.get_relative_uri(docname, app.env.book_glossary)
    left = [(pattern(term.names), term) for term in app.env.book_terms]
    for text in list(doctree.findall(nodes.Text)):
        if inside(text, NOT_IN):
            continue
        made, rest = [], str(text)
        while found := min(((match, known) for known in left if (match := known[0].search(rest))), key=lambda pair: pair[0].start(), default=None):
            match, known = found
            left.remove(known)
            made += [nodes.Text(rest[:match.start()]), link(glossary, known[1], match[0])]
            rest = rest[match.end():]
        if made:
            text.parent.replace(text, [*made, nodes.Text(rest)])


def inside(node, kinds):
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def link(glossary, term, text):
    return nodes.raw("", f'<a class="term" href="{glossary}#{term.anchor}" aria-description="{escape(term.meaning)}">{escape(text)}</a>',
                     format="html")


def script(app, pagename, templatename, context, doctree):
    if 'class="term"' in context.get("body", ""):
        context["body"] += f"<script>\n{SCRIPT.read_text(encoding='utf-8')}</script>\n"


def setup(app):
    app.connect("builder-inited", prepare)
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", mark)
    app.connect("html-page-context", script)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
