"""Leave out what the theme loads on every page and this book never uses.

fontawesome's script (0.5 MB compressed) only draws again, as SVG, the icons
that the style sheet already draws from the web fonts.
"""
import re
from pathlib import Path

SCRIPT = re.compile(r'\s*<script src="[^"]*/fontawesome/[^"]*"></script>')


def finished(app, exception):
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            page.write_text(SCRIPT.sub("", text), encoding="utf-8")


def setup(app):
    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
