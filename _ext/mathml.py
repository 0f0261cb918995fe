r"""Turn formulas into MathML while the book is built.

Every browser of today draws MathML by itself: no script on the page, nothing
fetched from elsewhere, and a screen reader reads it. A formula that cannot be
converted is a warning, and so an error of the build.
"""
import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

log = logging.getLogger(__name__)
CONVERTER = LatexToMathML()
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def convert(latex, block, location=None):
    try:
        math = CONVERTER.convert_with_local_state(latex, displaystyle=block)
    except LatexError as error:
        reason = COLOUR.sub("", str(error)).strip().splitlines()[0]
        log.warning("the formula %s: %s", latex, reason, location=location)
        return f"<code>{latex}</code>"
    # math_core overlines with a sign that few fonts can stretch; book.css draws a line instead.
    return math.replace('<mo stretchy="true">\u0332<', '<mo class="overline">\u203e<')


def visit_inline(self, node):
    self.body.append(convert(node.astext(), False, node))
    raise nodes.SkipNode


def visit_block(self, node):
    # The box scrolls, so that a wide formula never widens the page.
    self.body.append(f'<div class="math" tabindex="0">{convert(node.astext(), True, node)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
