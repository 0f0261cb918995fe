"""What others show of a page: its description, for chapters the picture with the question, and a sitemap.

The words are the page's own. Pictures, addresses and the sitemap need the address that the book is published at:
BOOK_URL says it, else it follows from the repository (GitHub Pages). Without one they are left out.
sphinxext-opengraph would describe a chapter by the line under its title; sphinx-sitemap brings an extension that asks git for
each page's date, and fails where there is no git.
"""
import hashlib
import os
import re
import textwrap
from html import escape
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from search import plain

PROVED = "#0a5f85"  # as in book.css
LONGEST = 200  # letters of a description; search engines show less


def address(repository, env=os.environ):
    """The book's address, with a slash at its end, or ""."""
    url = env.get("BOOK_URL", "")
    if not url and repository.startswith("https://github.com/"):
        owner, name = repository.removeprefix("https://github.com/").split("/")
        host = f"{owner.lower()}.github.io"
        url = f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"
    return url and url.rstrip("/") + "/"


def settings(app, config):
    config.html_baseurl = address(config.book_repository)


def description(doctree, first):
    """Whole sentences of the first part of this kind."""
    first = next(doctree.findall(first), None)
    sentences = re.split(r"(?<=[.?!:]) (?=[A-Z])", plain(first)) if first else []
    said = ""
    while sentences and (not said or len(said) + len(sentences[0]) < LONGEST):
        said = f"{said} {sentences.pop(0)}".strip()
    return textwrap.shorten(said, LONGEST, placeholder=" …")


def collect(app, doctree):
    spoken = nodes.block_quote if app.env.docname.startswith("chapters/") else nodes.paragraph
    app.env.metadata[app.env.docname]["description"] = description(doctree, spoken)


def picture(question, path):
    """1200 x 630 pixels, the size that those who show it ask for."""
    from matplotlib.figure import Figure  # here, because it takes a while and most builds draw nothing
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="#ffffff")
    figure.add_artist(Rectangle((0, 0), 0.016, 1, color=PROVED))
    figure.text(0.07, 0.86, textwrap.fill(question, 32), size=36, weight="bold", color="#1b2733", va="top", linespacing=1.3)
    figure.text(0.07, 0.1, "Prove It", size=26, weight="bold", color=PROVED)
    figure.text(0.93, 0.1, "Say it in 30 seconds. See it proved.", size=20, color="#5b6773", ha="right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def tags(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    said, base, title = app.env.metadata[pagename]["description"], app.config.html_baseurl, app.env.titles[pagename].astext()
    found = {"og:title": title, "og:type": "article", "og:site_name": app.config.project, "og:description": said}
    if base:
        found["og:url"] = base + quote(app.builder.get_target_uri(pagename))
        drawn = Path("_static", "cards", f"{Path(pagename).name}-{hashlib.sha256(title.encode()).hexdigest()[:8]}.png")
        if not Path(app.outdir, drawn).exists():
            picture(title, Path(app.outdir, drawn))
        found |= {"og:image": base + quote(drawn.as_posix()), "og:image:alt": title, "og:image:width": "1200", "og:image:height": "630"}
    context["metatags"] += f'<meta name="description" content="{escape(said)}">\n' + "".join(
        f'<meta property="{name}" content="{escape(content)}">\n' for name, content in found.items())
    context["metatags"] += '<meta name="twitter:card" content="summary_large_image">\n' if base else ""


def sitemap(app, exception):
    if exception is None and app.builder.format == "html" and app.config.html_baseurl:
        urls = "".join(f"<url><loc>{escape(app.config.html_baseurl + quote(app.builder.get_target_uri(page)))}</loc></url>\n"
                       for page in sorted(app.env.found_docs))
        Path(app.outdir, "sitemap.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n', encoding="utf-8")


def setup(app):
    app.connect("config-inited", settings, priority=900)  # after the repository is known
    app.connect("doctree-read", collect)
    app.connect("html-page-context", tags)
    app.connect("build-finished", sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
