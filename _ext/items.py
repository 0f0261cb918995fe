"""What a chapter asks its reader: the question with its rubric and traps, and the cards made from rubric, quiz and follow-ups.

The notebook is the one source: tests, the mock interview, the review and the Anki deck read it here. Its texts stay Markdown;
renderer() makes HTML of them, with formulas and links as they are needed where it is shown.
"""
import functools
import json
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from lab_slug import slug
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

TITLE = re.compile(r"# (.+)\n")
HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
POINT = re.compile(r"^- (.+(?:\n(?!- |\n).+)*)", re.MULTILINE)
FOLD = re.compile(r"<details>\s*<summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.DOTALL)
QUESTION = re.compile(r"^\*\*\d+\. (.+)\*\*$", re.MULTILINE)
LINK = re.compile(r"\]\(#([^)\s]+)\)")
WHERE = re.compile(r" \(\[[^()]*\]\(#[^()\s]+\)(?:(?:,| and) \[[^()]*\]\(#[^()\s]+\))*\)$")  # the links that end a point


class Point(NamedTuple):
    """One point of a rubric, or one trap."""
    id: str
    text: str
    read: tuple  # anchors of the sections to read for it


class Option(NamedTuple):
    text: str  # HTML, as it stands in its summary
    right: bool
    why: str


class Card(NamedTuple):
    id: str
    kind: str  # quiz, follow-up or rubric
    front: str
    back: str
    read: tuple
    options: tuple = ()  # of a quiz


class Figure(NamedTuple):
    svg: str
    alt: str


class Chapter(NamedTuple):
    name: str  # of its file
    title: str
    spoken: str
    rubric: list
    traps: list
    cards: list
    sections: dict  # {anchor: heading}
    figures: dict  # {anchor: figures of that section}


@functools.cache
def cells(path):
    """The cells of a notebook, by its Path, parsed once in a build; a page that is no notebook has none."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"] if path.suffix == ".ipynb" else []


def read(path):
    """A chapter's items; what a draft does not have yet is empty."""
    found = {tag: [cell for cell in cells(path) if tag in cell["metadata"].get("tags", ())]
             for tag in ("title", "spoken", "rubric", "traps", "quiz", "followup")}
    title = next((match[1] for cell in found["title"] if (match := TITLE.match(source(cell)))), "")
    rubric, traps = (points(found[tag]) for tag in ("rubric", "traps"))
    cards = [*rubric_cards(title, rubric), *filter(None, map(quiz, found["quiz"])), *filter(None, map(followup, found["followup"]))]
    spoken = "\n\n".join(re.sub(r"^> ?", "", line) for cell in found["spoken"]
                         for line in source(cell).splitlines() if line.startswith(">"))
    return Chapter(path.stem, title, spoken, rubric, traps, cards, *sections(cells(path)))


def source(cell):
    return "".join(cell["source"])


def ids(cell):
    return cell["metadata"].get("prove_it", {}).get("ids", [])


def anchors(text):
    return tuple(unquote(anchor) for anchor in LINK.findall(text))


def points(cells):
    return [Point(name, WHERE.sub("", text), anchors(text))
            for cell in cells for name, text in zip(ids(cell), POINT.findall(source(cell)))]


def rubric_cards(title, rubric):
    """Each point begins with what it is about, and a colon."""
    for number, point in enumerate(rubric, 1):
        about = point.text.partition(": ")[0].replace("**", "")
        yield Card(point.id, "rubric", f"{title}\n\nPoint {number} of {len(rubric)} of a strong answer: **{about}**. What do you say?",
                   point.text, point.read)


def quiz(cell):
    options = tuple(Option(text, why.startswith("Right"), why) for text, why in FOLD.findall(source(cell)))
    asked = QUESTION.search(source(cell))
    right = next((option for option in options if option.right), None)
    if asked and right and ids(cell):
        return Card(ids(cell)[0], "quiz", asked[1], right.why, anchors(right.why), options)


def followup(cell):
    fold = FOLD.search(source(cell))
    if fold and ids(cell):
        return Card(ids(cell)[0], "follow-up", fold[1], fold[2], anchors(fold[2]))


def sections(cells):
    """({anchor: heading}, {anchor: figures}) of a chapter."""
    headings, figures, here = {}, {}, ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for heading in HEADING.findall(source(cell)):
                here = slug(heading)
                headings[here] = heading
        for output in cell.get("outputs", ()):
            if svg := "".join(output.get("data", {}).get("image/svg+xml", "")):
                alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
                figures.setdefault(here, []).append(Figure(svg, alt))
    return headings, figures


def renderer(formula, link):
    """A function from Markdown to HTML.

    formula: from LaTeX and whether it stands alone to HTML. link: from an address, as the chapter has it, to one that works
    where the HTML is shown, or None to leave the text of the link alone.
    """
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    markdown.use(dollarmath_plugin, renderer=lambda latex, options: formula(latex, options["display_mode"]))
    markdown.add_render_rule("math_inline", lambda self, tokens, i, options, env: formula(tokens[i].content, False))
    markdown.add_render_rule("math_block", lambda self, tokens, i, options, env: formula(tokens[i].content, True))

    def render(text, inline=False):
        tokens = markdown.parseInline(text) if inline else markdown.parse(text)
        for token in tokens:
            token.children = relinked(token.children, link) if token.children else token.children
        return markdown.renderer.render(tokens, markdown.options, {}).strip()

    return render


def relinked(tokens, link):
    kept, open_links = [], []
    for token in tokens:
        if token.type == "link_open":
            address = link(unquote(token.attrs["href"]))
            token.attrs["href"] = address
            open_links.append(address)
        if token.type == "link_close" and open_links.pop() is None or token.type == "link_open" and open_links[-1] is None:
            continue
        kept.append(token)
    return kept


def from_the_top(name, targets):
    """A function from an address in the chapter of this name to one for a page at the top of the book.

    targets: {anchor as JupyterLab makes it: id in the built page}.
    """
    def link(address):
        file, _, anchor = address.partition("#")
        if re.match(r"\w+:", address):
            return address
        return f"chapters/{file.replace('.ipynb', '.html') or name + '.html'}" + (anchor and f"#{targets.get(anchor, anchor)}")
    return link
