"""The cards as a deck for Anki, to be taken along on a phone: prove-it.apkg, at the top of the book.

One deck in the order of the book, and a tag for each chapter: Anki's manual advises against a deck for each chapter, and a
chapter that gets another title or place would tear such a deck in two. Anki knows a card again by its id in the notebook, and
takes its new text if the deck was made later; when the card is due, and all that was answered, stays.
"""
import contextlib
import hashlib
import itertools
import json
import os
import sqlite3
import time
from html import escape
from pathlib import Path
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import items
import practice

NAME = "prove-it.apkg"
# Anki knows the cards' type by its number and its fields: with others, the cards that a learner has would never change again.
DECK, NOTE_TYPE = 1763489151, 1763489152
FIELDS = ["Question", "Options", "Answer", "Chapter", "Read"]
FRONT = '<p class="chapter">{{Chapter}}</p>\n{{Question}}'
BACK = '\n<hr id="answer">\n{{Answer}}\n{{#Read}}<p class="read">To read:<br />{{Read}}</p>{{/Read}}'
CSS = """\
.card { max-width: 36em; margin: 0 auto; padding: 1em; font: 18px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
.chapter, .read { font-size: 0.85em; }
a { color: inherit; text-decoration: underline; }
ol, ul { padding-left: 1.5em; }
li { margin: 0.4em 0; padding: 0 0.4em; }
li p { margin: 0; }
.right { background: rgba(40, 160, 80, 0.2); }
code { padding: 0 0.2em; background: rgba(128, 128, 128, 0.2); }
p, pre { overflow: auto hidden; }  /* a long formula scrolls, and not the card */
img { max-width: 100%; }
.nightMode img { filter: invert(0.92) hue-rotate(180deg); }  /* as in the book */
"""


def formula(latex, block):
    """What Anki gives to MathJax."""
    return rf"<p>\[{escape(latex)}\]</p>" if block else rf"\({escape(latex)}\)"


def options(card, html, solved):
    """A quiz card's options, in HTML: to choose from, or with what is right or wrong about each. Other cards have none."""
    def item(option):
        if not solved:
            return f"<li>{option.text}</li>"
        return (f'<li class="right"><b>{option.text}</b>' if option.right else f"<li>{option.text}") + html(option.why) + "</li>"
    return f'<ol type="A">{"".join(map(item, card.options))}</ol>' if card.options else ""


def links(chapter, base, targets):
    """A function from an address in the chapter to one that leads there from Anki, or to None if the book has no address."""
    from_the_top = items.from_the_top(chapter.name, targets)

    def link(address):
        inside = from_the_top(address)
        return inside if inside == address else base + quote(inside, safe="/#") if base else None
    return link


def fields(card, chapter, short, link, html):
    """The texts of a card by FIELDS, in HTML, and the figures in them by the name of their file.

    Anki keeps a file that it has, so another figure needs another name.
    """
    figures = {f"prove-it-{hashlib.sha256(figure.svg.encode()).hexdigest()[:16]}.svg": figure
               for anchor in card.read for figure in chapter.figures.get(anchor, ())}
    pictures = "".join(f'<p><img src="{name}" alt="{escape(figure.alt)}" /></p>' for name, figure in figures.items())
    read = {f"#{anchor}": chapter.sections[anchor] for anchor in card.read if anchor in chapter.sections} or {"": chapter.title}
    leads = [f'<a href="{address}">{html(heading, inline=True)}</a>' for anchor, heading in read.items() if (address := link(anchor))]
    return [html(card.front), options(card, html, False), (options(card, html, True) or html(card.back)) + pictures,
            escape(short), "<br />".join(leads)], figures


def write(path, chapters, base, now):
    """Write the deck.

    chapters: (short title, items.Chapter, {anchor as JupyterLab makes it: id in the built page}) of each, in the order of the
    book. base: the book's address, or "". now: seconds since 1970; the deck of a later time brings the newer texts.
    """
    import genanki  # here, because most builds write no deck

    note_type = genanki.Model(NOTE_TYPE, "Prove It", [{"name": field} for field in FIELDS],
                              [{"name": "Card", "qfmt": FRONT + "\n{{Options}}", "afmt": FRONT + BACK}], CSS)
    deck = genanki.Deck(DECK, "Prove It", f"By the Prove It contributors, CC BY 4.0. {base}")
    media = {}
    for short, chapter, targets in chapters:
        link = links(chapter, base, targets)
        html = items.renderer(formula, link)
        for card in chapter.cards:
            texts, figures = fields(card, chapter, short, link, html)
            deck.add_note(genanki.Note(note_type, texts, tags=[chapter.name, card.kind], guid=card.id, due=len(deck.notes)))
            media |= figures
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        genanki.Package(deck).write_to_db(database.cursor(), now, itertools.count(int(now * 1000)))
        database.commit()
        files = {"collection.anki2": database.serialize(), "media": json.dumps(dict(enumerate(media))),
                 **{str(number): figure.svg for number, figure in enumerate(media.values())}}
    with ZipFile(path, "w") as package:  # genanki's own packing leaves a file in the system's folder for temporary ones
        for name, data in files.items():
            package.writestr(ZipInfo(name), data, ZIP_DEFLATED)


def finished(app, exception):
    names = [name for found in practice.chapters(app.env).values() for name in found]
    if exception or app.builder.format != "html" or not set(names) & set(app.written_pages):  # the deck is there, as it was
        return
    found = []
    for name in names:
        chapter = items.read(Path(app.env.doc2path(name)))
        found.append((app.env.external_site_map[name].title or chapter.title, chapter, practice.targets(app.env, name)))
    write(Path(app.outdir, NAME), found, app.config.html_baseurl, float(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))


def setup(app):
    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
