"""Draw one card a chapter: the parts and their order from _toc.yml, the rest from the chapter's own title cell."""
import re
from html import escape
from pathlib import Path

import items
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)
TITLE = re.compile(r"# (.+)\n\n\*Difficulty: (\w+) · about (\d+) minutes · ")
CARD = """\
<li data-chapter="{name}"><a href="{page}">{question}</a>
<small>{number} · {difficulty} · {minutes} minutes</small></li>
"""


class Cards(SphinxDirective):
    def run(self):
        parts = self.env.external_site_map.root.subtrees
        return [nodes.raw("", "".join(map(self.part, parts)), format="html")]

    def part(self, part):
        cards = "".join(map(self.card, part.items))
        return f'<h3>{escape(part.caption)}</h3>\n<ul class="cards">\n{cards}</ul>\n' if cards else ""

    def card(self, chapter):
        path = Path(self.env.srcdir, f"{chapter}.ipynb")
        self.env.note_dependency(path)  # a new title makes a new card
        if not path.exists():
            return ""  # the table of contents has complained already
        title = next((TITLE.match(items.source(cell)) for cell in items.cells(path)), None)
        if not title:
            log.warning("the first cell has to be `# The question?`, an empty line, and "
                        "`*Difficulty: … · about NN minutes · Know first: …*`", location=chapter)
            return ""
        question, difficulty, minutes = title.groups()
        name = Path(chapter).name
        return CARD.format(name=name, page=self.env.app.builder.get_relative_uri(self.env.docname, chapter),
                           question=escape(question), number=name.partition("-")[0].upper(),
                           difficulty=difficulty, minutes=minutes)


def setup(app):
    app.add_directive("cards", Cards)
    return {"parallel_read_safe": True}
