"""Search by section, for the words a learner types: MiniSearch over what the sections say, and what goes wrong in exercises.

Sphinx's own search wants every word to be in the page, knows pages only, and knows no other name for a thing. The glossary
tells those names. The index is a script, so that search works in a book opened as a file, too.
"""
import ast
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

log = logging.getLogger(__name__)
ASSETS = Path(__file__).parent.parent / "assets" / "search"
BRACES = str.maketrans("{}", "()")
EXERCISE = re.compile(r"Exercise \d+-\w: (\w+)")


def text(node):
    """What a reader sees: no code, no markup, and of the formulas in a line the letters."""
    if isinstance(node, nodes.raw | nodes.literal_block | nodes.math_block | nodes.section | addnodes.glossary):
        return ""
    if isinstance(node, nodes.math):
        return re.sub(r"\\(?:mathrm|text|left|right)|\\", "", node.astext()).translate(BRACES)
    if isinstance(node, nodes.Text):
        return str(node)
    space = "" if isinstance(node, nodes.TextElement) else " "
    return "".join(text(child) + space for child in node.children)


def plain(*parts):
    return " ".join(" ".join(map(text, parts)).split())


def sections(doctree):
    """[anchor, heading, text] of each section, of each myth in it, and of each glossary entry."""
    for entry in doctree.findall(nodes.definition_list_item):
        *names, meaning = entry.children
        if names[0]["ids"]:
            yield [names[0]["ids"][0], ", ".join(map(plain, names)), plain(meaning)]
    for section in doctree.findall(nodes.section):
        myths = [node for node in section.findall(nodes.block_quote) if node["ids"] and node.parent is section]
        for myth in myths:
            yield [myth["ids"][0], plain(*myth.findall(nodes.strong)), plain(myth)]
        heading, *rest = (node for node in section.children if node not in myths)
        if isinstance(heading, nodes.title) and plain(heading) != "References":
            yield [section["ids"][0], plain(heading), plain(*rest)]


def misconceptions(module):
    """(exercise, name, message) of each mistake that the module knows; it is read and not run."""
    for exercise in calls(ast.parse(module.read_text(encoding="utf-8")), "Exercise"):
        for mistake in calls(exercise, "Misconception"):
            said = [part.value for part in mistake.args[:2] if isinstance(part, ast.Constant)]
            if len(said) == 2:
                yield ast.unparse(exercise.args[0]), *said


def calls(tree, name):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) == name]


def collect(app, doctree):
    env = app.env
    if "no-search" in env.metadata[env.docname]:
        return
    found = list(sections(doctree))
    module = Path(app.srcdir, "chapters", "selfcheck", f"{Path(env.docname).name.replace('-', '_')}.py")
    if module.exists():
        env.note_dependency(module)
        anchors = {exercise[1]: anchor for anchor, heading, _ in found if (exercise := EXERCISE.match(heading))}
        try:
            found += [[anchors[exercise], f"A mistake in {exercise}: {name.replace('-', ' ')}", message]
                      for exercise, name, message in misconceptions(module) if exercise in anchors]
        except SyntaxError as error:
            log.warning("%s, line %s, is not valid Python: %s", module.name, error.lineno, error.msg, location=env.docname)
    env.book_sections[env.docname] = found


def prepare(app):
    app.builder.search = False  # Sphinx's own
    if not hasattr(app.env, "book_sections"):
        app.env.book_sections = {}


def purge(app, env, docname):
    env.book_sections.pop(docname, None)


def page(app):
    """Write the index and the page that asks it."""
    env = app.env
    found = [[f"{app.builder.get_target_uri(docname)}#{anchor}", heading, said, env.titles[docname].astext()]
             for docname, parts in sorted(env.book_sections.items()) for anchor, heading, said in parts]
    names = [list(term.names) for term in env.book_terms if len(term.names) > 1]
    data = json.dumps({"sections": found, "names": names}, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "searchindex.js").write_text(f"const book = {data};\n", encoding="utf-8", newline="\n")
    yield "search", {}, "search.html"


def settings(app, config):
    config.templates_path.append(str(ASSETS))
    config.html_static_path += [str(ASSETS / "minisearch.js"), str(ASSETS / "search.js")]


def setup(app):
    app.connect("config-inited", settings)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", purge)
    app.connect("doctree-read", collect)
    app.connect("html-collect-pages", page)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
