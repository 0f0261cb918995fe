"""Print the built book as one PDF (`make pdf`), and link it on the book's home page.

The pages of the book are put one after the other into one page, and Chromium prints that: tagged, with bookmarks, and with
links that stay inside the file.
"""
import json
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import chromium
import pikepdf
from bs4 import BeautifulSoup
from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "prove-it.pdf"
PAGE = PDF.with_suffix(".html")  # the whole book, ready to print
HOME = "html/index.html"  # pages are named as PAGE sees them
PLACE = "<!-- tools/pdf.py puts the link to the PDF here -->"  # in index.md
LINK = '<p>Or read it on paper: <a href="{name}">the whole book as one PDF</a> ({pages} pages, {size:.1f} MB).</p>'
RUNS = """<p>This is the book on paper. To run it, begin at <a href="{url}">{url}</a>: every cell has a Run button, and the check of an
exercise names your mistake.</p>"""


def soup(text):
    return BeautifulSoup(text, "html.parser")


def read(page):
    return soup((PAGE.parent / page).read_text(encoding="utf-8"))


def anchor(page, fragment=""):
    """The id of a page or of a heading on it, one of a kind in the whole book."""
    return f"{Path(page).stem}--{fragment}" if fragment else Path(page).stem


def article(page):
    """The text of one page, everything open, links and pictures as they have to be in the page that holds the whole book."""
    text = read(page).article
    text["id"] = anchor(page)
    for tag in text.select("script, .headerlink, .live-bar"):
        tag.decompose()
    for span in text.select("pre span:is(:not([class]), .n, .p, .w)"):  # drawn like the code around them, and a quarter of the file
        span.unwrap()
    for section in text.find_all("section"):  # keeps its id, by which the style sheet knows it: links go to the heading
        section.find(["h1", "h2", "h3", "h4"])["id"] = anchor(page, section["id"])
    for target in text.select("blockquote[id], dt[id], span[id]"):
        target["id"] = anchor(page, target["id"])
        if not target.contents:  # stands before its heading, and could be left on the page before
            target.find_next(["h2", "h3", "h4"]).insert(0, target.extract())
    for img in text.find_all("img"):
        img["src"] = urljoin(page, img["src"])
    for link in text.find_all("a", href=True):
        target = urlsplit(urljoin(page, link["href"]))
        if not target.netloc:
            link["href"] = "#" + anchor(target.path, unquote(target.fragment))
    for details in text.find_all("details"):
        details["open"] = ""
    for summary in text.select("details.hide > summary"):
        summary.string = "The solution"
    return text


def whole():
    """The book as one page: the title, the contents, the rest of the home page, the chapters, the lists beside them."""
    home, page = article(HOME), read(HOME)
    pages = [urljoin(HOME, link["href"]) for link in page.select("#the-questions a:not(.headerlink)")]
    for on_screen in home.select("#three-ways-in, .practise"):
        on_screen.decompose()
    credit, contents = (home.select_one(id).extract() for id in ("#credit", "#the-questions"))
    credit.h2.decompose()
    home.h1.find_next("p").insert_after(credit, contents)
    if repository := page.select_one("a.btn-source-repository-button"):
        credit.insert_before(soup(RUNS.format(url=repository["href"])))

    styles = [f'<link rel="stylesheet" href="{urljoin(HOME, link["href"])}">' for link in page.select("link[rel=stylesheet]")]
    texts = [home, *map(article, pages)]
    there = {text["id"] for text in texts}
    for link in home.select("a[href^='#']"):
        if link["href"][1:].partition("--")[0] not in there:  # the interview and the cards need a screen
            link.unwrap()
    for text in texts[1:]:
        name = text["id"].partition("-")[0]
        text["style"] = f"page: {name}"
        styles.append(f"<style>@page {name} {{ @bottom-left {{ content: {json.dumps(text.h1.get_text(), ensure_ascii=False)} }} }}</style>")
    return f"""<!DOCTYPE html>
<html lang="{page.html["lang"]}" data-theme="light"><head><meta charset="utf-8"><title>{home.h1.get_text()}</title>
{"".join(styles)}
<style>{(ROOT / "assets" / "pdf.css").read_text(encoding="utf-8")}</style></head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{"".join(map(str, texts))}
</div></div></main></body></html>"""


def draw(page):
    """Print twice: the contents need the pages on which the chapters begin, and those are known once it is printed."""
    page.goto(PAGE.as_uri(), wait_until="load")
    page.evaluate("document.fonts.ready.then(() => true)")
    for _ in range(2):
        page.pdf(path=PDF, prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
        with pikepdf.open(PDF) as pdf:
            begins = {name: pikepdf.Page(place[0]).index + 1 for name, place in pdf.Root.Dests.items()}
        page.evaluate("""begins => document.querySelectorAll('.cards a').forEach(link => {
            link.dataset.page = begins[link.hash.replace('#', '/')];
        })""", begins)


def share_pictures(pdf):
    """Chromium stores the hatch of a figure once for every bar: keep one of it."""
    kept = {}
    for pattern in pdf.objects:
        if isinstance(pattern, pikepdf.Stream) and "/PatternType" in pattern:
            for name, picture in pattern.Resources.get("/XObject", {}).items():
                parts = [part.read_raw_bytes() for part in (picture, picture.get("/SMask")) if part is not None]
                pattern.Resources.XObject[name] = kept.setdefault(tuple(parts), picture)


def finish():
    """Say in the file what it is, and store it small, the same at every run; return how many pages it has."""
    author = re.search("^author: (.+)$", (ROOT / "_config.yml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    with pikepdf.open(PDF, allow_overwriting_input=True) as pdf:
        del pdf.docinfo["/CreationDate"], pdf.docinfo["/ModDate"], pdf.docinfo["/Creator"]
        with pdf.open_metadata(set_pikepdf_as_editor=False) as said:
            said.load_from_docinfo(pdf.docinfo)
            said["dc:creator"] = [author]
        share_pictures(pdf)
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
        pdf.save(PDF, object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True, deterministic_id=True)
        return len(pdf.pages)


def link(pages):
    """Put the PDF beside the pages of the book, and its link on the home page."""
    shutil.copy(PDF, BOOK)
    home = BOOK / "index.html"
    there = LINK.format(name=PDF.name, pages=pages, size=PDF.stat().st_size / 1e6)
    home.write_text(home.read_text(encoding="utf-8").replace(PLACE, there), encoding="utf-8")


def main():
    path = chromium.installed()
    if not path:
        sys.exit(f"The PDF was not made: {chromium.MISSING}")
    PAGE.write_text(whole(), encoding="utf-8")
    print("Printing the book ...", flush=True)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=chromium.QUIET) as browser:
        draw(browser.new_page(java_script_enabled=False))
    link(finish())
    print(f"Open {PDF}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, Error) as error:
        sys.exit(f"The PDF was not made: {str(error).splitlines()[0]}")
