"""Finish the pages that the theme has written: light, valid, and with code that fits a phone.

Icons: the theme loads web fonts and a script (0.8 MB compressed) for the dozen it uses. Here each one stands in the page, as
SVG, drawn from the theme's own files; these go.
"""
import re
import shutil
from functools import partial
from html import unescape
from pathlib import Path

from myst_nb.sphinx_ import HideCodeCellNode

FONT_AWESOME = "_static/vendor/fontawesome"
STYLES = {"fas": "fa-solid", "far": "fa-regular", "fab": "fa-brands"}
ICON = re.compile(r'<(i|span) class="([^"]*?\b(?P<style>fa[srb]|fa-(?:solid|regular|brands)) fa-(?P<name>[\w-]+))[^"]*"(.*?)></\1>')
CODE = re.compile(r'(<div class="highlight-(?!myst-ansi)[^>]*><div class="highlight"><pre>)(.*?)(?=</pre>)', re.DOTALL)
PRINTED = re.compile(r'(<div class="[^"]*highlight-myst-ansi[^>]*><div class="highlight"><pre)(>.*?)(?=</pre>)', re.DOTALL)
FIGURE = re.compile(r'<img (?=[^>]*src="([^"]*_images/[^"]+\.svg)")')
SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"')
THEME = [  # what the theme writes, and what it should have written
    (re.compile(rf'\s*<link href="[^"]*{FONT_AWESOME}[^>]*>'), "\n  <!-- Icons: Font Awesome Free, https://fontawesome.com/license/free -->"),
    (re.compile(rf'\s*<link rel="preload"[^>]*{FONT_AWESOME}[^>]*>|\s*<script src="[^"]*{FONT_AWESOME}[^>]*></script>'), ""),
    (re.compile(r'\s*id="search-input"'), ""),  # twice on the search page; nothing asks for it
    (re.compile(r'<div class="bd-sidebar-primary bd-sidebar'), '<div role="complementary" aria-label="Book" class="bd-sidebar-primary bd-sidebar'),
]


class Icons:
    """The drawings in the theme's script: one table for each style."""

    def __init__(self, script):
        parts = re.split(r'\("(fa-(?:solid|regular|brands))",\w+\)', script.read_text(encoding="utf-8"))
        self.tables = dict(zip(parts[1::2], parts[::2]))

    def svg(self, found):
        """The same icon as SVG, with the classes and attributes that the theme's scripts and styles look for."""
        table = self.tables[STYLES.get(found["style"], found["style"])]
        width, height, path = re.search(rf'[{{,]"?{found["name"]}"?:\[(\d+),(\d+),\[[^]]*\],"\w+","([^"]+)"', table).groups()
        return (f'<svg class="icon {found[2]}"{found[5]} viewBox="0 0 {width} {height}" aria-hidden="true">'
                f'<path d="{path}"/></svg>')


def plain(line):
    """What a reader sees of a line of highlighted code."""
    return unescape(re.sub("<[^>]*>", "", line))


def hang(line):
    """Say how far a line is indented, so that what is left of it where it wraps hangs below its beginning."""
    text = plain(line)
    return f'<span class="line" style="--in:{len(text) - len(text.lstrip())}">{line}</span>' if len(text) > 36 else line


def shrink(found):
    """Say how wide what is printed is, so that it can shrink to the width that there is."""
    columns = max(len(plain(line)) for line in found[2][1:].splitlines())
    return f'{found[1]} style="--columns:{columns}"{found[2]}'


def size(svg):
    """Width and height of a figure, in pixels."""
    return (round(float(points) * 4 / 3) for points in SIZE.search(svg).groups())


def figure(page, found):
    """Keep the figure's place in the page, so that nothing moves when it comes, and let it come when it is near."""
    width, height = size(Path(page.parent, found[1]).read_text(encoding="utf-8"))
    return f'<img width="{width}" height="{height}" loading="lazy" '


def written(app, pagename, templatename, context, doctree):
    app.written_pages.append(pagename)


def finished(app, exception):
    if exception or not app.written_pages:  # what was written in an earlier build is finished
        return
    folder = Path(app.outdir, FONT_AWESOME)
    icons = Icons(next(folder.glob("*/js/all.min.js")))
    for page in (Path(app.outdir, f"{name}.html") for name in app.written_pages):
        text = page.read_text(encoding="utf-8")
        for pattern, better in THEME:
            text = pattern.sub(better, text)
        text = ICON.sub(icons.svg, text)
        text = FIGURE.sub(partial(figure, page), text)
        text = CODE.sub(lambda found: found[1] + "\n".join(map(hang, found[2].split("\n"))), text)
        text = PRINTED.sub(shrink, text)
        page.write_text(text, encoding="utf-8")
    shutil.rmtree(folder)


def fold(self, node):
    """A folded solution is one more folded part. (myst-nb writes paragraphs into the summary, and a design of its own.)"""
    self.body.append(f'<details><summary>{node["prompt_show"]}</summary>\n')


def setup(app):
    app.add_node(HideCodeCellNode, override=True, html=(fold, lambda self, node: self.body.append("</details>\n")))
    app.written_pages = []
    app.connect("html-page-context", written)
    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
