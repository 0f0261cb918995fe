"""List every claim and every myth of the chapters, each with a link to its place: {claims} and {myths}."""
import re
from pathlib import Path

import items
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

TITLE = re.compile(r"# (.+)\n\n")
CLAIM = re.compile(r"^### Claim (\d+): (.+)$", re.MULTILINE)
MYTH = re.compile(r"^> \*\*Myth: (.)(.*?)\*\* (.+)$", re.MULTILINE)
HERE = re.compile(r"\]\((?!\w+:)([^)#\s]*)")  # the start of a link that is relative to its chapter


def claims(source, chapter):
    return [f"{number}. [{claim}](#{target(chapter, 'claim', number)})" for number, claim in CLAIM.findall(source)]


def myths(source, chapter):
    place = Path(chapter)
    above = HERE.sub(lambda link: f"]({place.parent}/{link[1] or place.name + '.ipynb'}", source)
    return [f"- **[{first.upper()}{rest}](#{target(chapter, 'myth', number)})** {measured}"
            for number, (first, rest, measured) in enumerate(MYTH.findall(above), 1)]


def target(chapter, kind, number):
    """Such as q29-claim-3."""
    return f"{Path(chapter).name.partition('-')[0]}-{kind}-{number}"


class Statements(SphinxDirective):
    def run(self):
        self.env.metadata[self.env.docname]["no-search"] = True  # what it lists is found in the chapters
        lines = []
        for chapter in (item for part in self.env.external_site_map.root.subtrees for item in part.items):
            path = Path(self.env.srcdir, f"{chapter}.ipynb")
            if path.exists():
                self.env.note_dependency(path)
                lines += self.listed(chapter, items.cells(path))
        made = nodes.Element()
        self.state.nested_parse(StringList(lines, self.env.docname), 0, made, match_titles=True)
        return made.children

    def listed(self, chapter, cells):
        """The chapter's question and statements; nothing where it has none."""
        title = TITLE.match(items.source(cells[0]) if cells else "")  # _ext/cards.py says so where it is missing
        found = self.of("\n\n".join(items.source(cell) for cell in cells if self.tag in cell["metadata"].get("tags", [])), chapter)
        return [f"## {title[1]}", "", *found, ""] if title and found else []


class Claims(Statements):
    tag, of = "claim", staticmethod(claims)


class Myths(Statements):
    tag, of = "myth", staticmethod(myths)


class Targets(SphinxTransform):
    """Give each claim and each myth of a chapter a short target, before the labels are collected."""
    default_priority = 800

    def apply(self):
        for section in self.document.findall(nodes.section):
            if claim := re.match(r"Claim (\d+): ", section[0].astext()):
                self.mark(section, "claim", claim[1])
        quotes = [quote for quote in self.document.findall(nodes.block_quote) if quote.astext().startswith("Myth: ")]
        for number, quote in enumerate(quotes, 1):
            self.mark(quote, "myth", number)

    def mark(self, node, kind, number):
        name = target(self.env.docname, kind, number)
        node["ids"].append(name)
        self.document.ids[name], self.document.nameids[name], self.document.nametypes[name] = node, name, True


def setup(app):
    app.add_directive("claims", Claims)
    app.add_directive("myths", Myths)
    app.add_transform(Targets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
