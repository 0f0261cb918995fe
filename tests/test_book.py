"""The built book: complete, linked, described, and asking nothing of any other host."""
import json
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import runtime
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT
from fontTools.ttLib import TTFont

pytestmark = pytest.mark.xdist_group("book")  # one worker reads the pages and keeps them
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
FILES = [page["file"] for part in TOC["parts"] for page in part["chapters"]]
CHAPTERS = [file for file in FILES if file.startswith("chapters/")]
PAGES = [TOC["root"], *FILES, "search"]


@pytest.fixture(scope="module")
def pages(book):
    """{path: soup} of every page of the book."""
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
            for path in book.rglob("*.html") if "_static" not in path.parts}


def test_the_pages_are_those_of_the_table_of_contents(book, pages):
    assert {path.relative_to(book).with_suffix("").as_posix() for path in pages} == set(PAGES)


def test_every_chapter_file_is_in_the_table_of_contents():
    there = {path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.glob("chapters/*.ipynb")}
    assert not there - set(CHAPTERS), f"add to _toc.yml: {', '.join(sorted(there - set(CHAPTERS)))}"
    assert not set(CHAPTERS) - there, f"_toc.yml names files that are not there: {', '.join(sorted(set(CHAPTERS) - there))}"


def test_the_build_has_no_warning(book):
    log = (book.parent / "book.log").read_text(encoding="utf-8")
    assert "build succeeded" in log
    assert not re.findall(r".*(?:WARNING|ERROR|CRITICAL).*", log)


def test_every_internal_link_leads_somewhere(book, pages):
    ids = {path: {tag["id"] for tag in soup.find_all(id=True)} for path, soup in pages.items()}
    broken, checked = [], 0
    for path, soup in pages.items():
        for tag in soup.find_all(["a", "link", "img", "script"]):
            link = urlsplit(tag.get("href") or tag.get("src") or "")
            if link.scheme or link.netloc or not (link.path or link.fragment):
                continue
            checked += 1
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            if not target.is_file() or (target in ids and link.fragment and unquote(link.fragment) not in ids[target]):
                broken.append(f"{path.relative_to(book)}: {link.geturl()}")
    assert not broken
    assert checked > 50  # the check above saw a book


def test_nothing_is_loaded_from_another_host(book, pages):
    loaded = {f"{path.name}: {tag}" for path, soup in pages.items()
              for tag in soup.find_all(["script", "link", "img", "iframe", "source", "video", "audio", "object", "embed"])
              if urlsplit(tag.get("src") or tag.get("href") or tag.get("data") or "").netloc and tag.get("rel") != ["canonical"]}
    loaded |= {f"{path.name}: {found}" for path in book.rglob("*.css")
               for found in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"';]+", path.read_text(encoding="utf-8"))}
    assert not loaded


def test_no_page_leads_to_jupyter_books_own_repository(pages):
    assert not [path.name for path, soup in pages.items() if "executablebooks/" in str(soup)]


def test_every_picture_says_what_it_shows(pages):
    pictures = [(path.name, img) for path, soup in pages.items() for img in soup.find_all("img")]
    assert pictures
    silent = [f"{name}: {img}" for name, img in pictures
              if not img.get("alt", "").strip() or re.search(r"\.(png|svg|jpe?g|gif)$", img["alt"])]
    assert not silent


def test_every_page_says_what_it_is(pages):
    titles = set()
    for path, soup in pages.items():
        assert soup.html["lang"] == "en", path.name
        assert path.name == "search.html" or len(soup.article.find_all("h1")) == 1, path.name
        assert soup.find("meta", attrs={"name": "viewport"}), path.name
        titles.add(soup.title.get_text(" ", strip=True))
    assert len(titles) == len(pages)
    assert all("Prove It" in title for title in titles)


def test_every_chapter_is_on_the_home_page_under_its_own_title(book, pages):
    """One card a chapter, in the order of the book, with what the chapter says under its title."""
    cards = pages[book / "index.html"].select(".cards > li")
    assert [card["data-chapter"] for card in cards] == [chapter.rpartition("/")[2] for chapter in CHAPTERS]
    for chapter, card in zip(CHAPTERS, cards, strict=True):
        article = pages[book / f"{chapter}.html"].article
        assert card.a["href"] == f"{chapter}.html"
        assert card.a.get_text() == article.h1.find(string=True)
        number, difficulty, minutes = card.small.get_text().split(" · ")
        line = article.select_one("h1 + p").get_text()
        assert f"Difficulty: {difficulty} · about {minutes} · " in line and f" · Question {number} of " in line


def test_every_chapter_has_a_place_on_the_map(book, pages):
    index = pages[book / "index.html"]
    marks = index.select("svg.map a")
    missing = {f"{chapter}.html" for chapter in CHAPTERS} - {mark["href"] for mark in marks}
    assert not missing, f"assets/map.svg has no link to {', '.join(sorted(missing))}: mark where in the model the question lives"
    assert len(marks) == len(CHAPTERS)
    for mark in marks:
        number = re.match(r"chapters/(q\d+)-", mark["href"])[1].upper()
        assert {name.get_text() for name in mark.find_all("tspan")} == {number}
        assert f", {number}: " in mark["aria-label"]
    svg = index.select_one("svg.map")
    assert all(svg.find(id=svg[said]).get_text(strip=True) for said in ("aria-labelledby", "aria-describedby"))


def test_the_minutes_of_the_plans_add_up(book, pages):
    index = pages[book / "index.html"].article
    *rows, (_, _, total) = [[cell.get_text() for cell in row.find_all("td")] for row in index.select("#two-weeks tbody tr")]
    planned = {what.partition(",")[0]: minutes for _, what, minutes in rows}
    for chapter in CHAPTERS:
        read, *write = map(int, re.findall(r"Difficulty: \w+ · about (\d+) minutes", pages[book / f"{chapter}.html"].article.get_text()))
        number = re.match(r"chapters/(q\d+)-", chapter)[1].upper()
        assert planned.get(number) == f"{read} + {sum(write)}", f"the table `Two weeks` of index.md lacks {number}, with {read} + {sum(write)} minutes"
    assert sum(int(number) for minutes in planned.values() for number in minutes.split(" + ")) == int(total)
    night = index.select_one("#the-night-before p").get_text()
    assert night == f"Twelve minutes a chapter, {12 * len(CHAPTERS) + 3} in all."  # three more for the map
    assert planned["All six"] in night and len(CHAPTERS) == 6


def formulas(pages):
    return [math for soup in pages.values() for math in soup.find_all("math")]


def test_formulas_are_converted(pages):
    """No dollar sign is left outside code."""
    for path, soup in pages.items():
        left = [text for text in soup.find_all(string=re.compile(r"\$"))
                if not text.find_parent(["pre", "code", "script", "style"])]
        assert not left, path.name
    assert formulas(pages)


def test_the_font_has_every_sign_of_every_formula(pages):
    signs = {sign for math in formulas(pages) for sign in math.get_text() if unicodedata.category(sign) not in ("Zs", "Cc", "Cf")}
    signs -= {"\u203e"}  # overlines are drawn by the style sheet
    font = set(TTFont(ROOT / "assets" / "fonts" / "math.woff2").getBestCmap())
    lacks = "".join(sorted(sign for sign in signs if ord(sign) not in font))
    assert not lacks, f"assets/fonts/math.woff2 has no {lacks}: write the formula without it"


def test_a_later_chapter_costs_only_its_own_text_and_figures(book, pages):
    """Every page loads the same styles and scripts under the same names: a browser fetches them once."""
    loaded = {frozenset((book / chapter).parent.joinpath(tag.get("src") or tag["href"]).resolve()
                        for tag in pages[book / f"{chapter}.html"].find_all(["script", "link"])
                        if tag.get("src") or {"stylesheet", "preload"} & set(tag.get("rel", [])))
              for chapter in CHAPTERS}
    assert len(loaded) == 1
    assert not [path for path in loaded.pop() if re.search("thebe|mathjax|fontawesome", str(path))]


def test_icons_stand_in_the_page(book, pages):
    assert not list(book.rglob("fontawesome*"))
    for path, soup in pages.items():
        assert not re.search(r'<(?:i|span) class="[^"]*\bfa-', str(soup)), path.name
        assert len(soup.select("svg.icon > path[d]")) >= 3, path.name


def test_every_figure_keeps_its_place_until_it_is_near(pages):
    figures = [img for soup in pages.values() for img in soup.select(".cell_output img")]
    assert len(figures) > 10
    assert all(int(img["height"]) and img["loading"] == "lazy" for img in figures)
    assert max(int(img["width"]) for img in figures) < 600, "a wider figure has letters too small for a phone: figsize=(5.6, …)"


def test_the_pages_are_valid_html(book, pages, tmp_path):
    """html-validate checks the rules of the HTML standard; it comes with npm, once a machine."""
    version, config, report = "10.17.0", tmp_path / "config.json", tmp_path / "report.json"
    folder = runtime.CACHE / f"html-validate-{version}"
    try:
        if not folder.exists():
            draft = tmp_path / "draft"
            draft.mkdir()
            runtime.npm("install", "--prefix", draft, f"html-validate@{version}", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=draft)
            shutil.copytree(draft, folder)
        node = runtime.node()
    except (runtime.NotToBeHad, OSError) as reason:
        pytest.fail(str(reason)) if os.environ.get("CI") else pytest.skip(str(reason))
    config.write_text('{"root": true, "extends": ["html-validate:standard"]}')
    program = folder / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
    done = subprocess.run([node, program, "--config", config, "--formatter", f"json={report}", *pages], capture_output=True, text=True)
    found = [f"{Path(page['filePath']).name}, line {said['line']}: {said['message']}"
             for page in json.loads(report.read_text(encoding="utf-8")) for said in page["messages"]]
    assert not found
    assert done.returncode == 0, done.stderr


def test_safari_reads_every_underline():
    """It leaves out a text-decoration of more than one value: the glossary's terms had no line there."""
    for path in (ROOT / "assets").rglob("*.css"):
        assert not re.search(r"text-decoration: *[^;]+ [^;]+;", path.read_text(encoding="utf-8")), path.name
