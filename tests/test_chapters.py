"""Structure, stored outputs and prose of every chapter, as CONTRIBUTING.md describes them.

Every rule is a generator of sentences that tell a contributor what is missing. Nothing is run here.
"""
import ast
import functools
import re
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "_ext")]
import items  # noqa: E402
import outputs  # noqa: E402
import selfcheck  # noqa: E402
from lab_slug import slug  # noqa: E402

CHAPTERS = sorted((ROOT / "chapters").glob("q*.ipynb"))
EXAMPLE = ROOT / "chapters" / "q29-layer-normalization.ipynb"  # the faults below are planted in this one
try:
    BOOKS = outputs.bibliography()
except outputs.Problem as problem:
    raise pytest.Collector.CollectError(str(problem)) from None  # printed as this sentence alone
parse = functools.cache(MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).parse)
# {tag: (kind of cell, tags that may follow, heading of its first cell)}: the table in CONTRIBUTING.md
PARTS = {tag: (kind.lower(), re.findall(r"`([\w-]+)`", after), heading.strip("` "))
         for tag, kind, after, heading in re.findall(r"^\| `([\w-]+)` \| (Markdown|code) \|([^|]*)\|([^|]*)\|",
                                                     (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)}
SETUP = next(cell.source for cell in outputs.read(ROOT / "assets" / "template" / "chapter.ipynb").cells
             if "setup" in cell.metadata.tags).partition("\n\n")[0]  # how every chapter begins its code
WIDTH = 76  # characters of a code line
WITH_IDS = ("rubric", "traps", "followup", "quiz")


class Chapter:
    """A notebook, and what the rules ask of it."""

    def __init__(self, nb, stem):
        self.nb, self.stem, self.cells = nb, stem, nb.cells
        self.number = stem.split("-")[0]

    def part(self, cell):
        return next((tag for tag in outputs.tags(cell) if tag in PARTS), "no part")

    def tagged(self, *tags):
        return [cell for cell in self.cells if self.part(cell) in tags]

    def at(self, cell):
        return f"cell {next(i for i, c in enumerate(self.cells, 1) if c is cell)} (`{self.part(cell)}`)"

    @functools.cached_property
    def markdown(self):
        return [cell for cell in self.cells if cell.cell_type == "markdown"]

    @functools.cached_property
    def code(self):
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @functools.cached_property
    def headings(self):
        """[(level, text, the anchor of a link to it)]"""
        found = []
        for cell in self.markdown:
            tokens = parse(cell.source)
            for opening, inline in zip(tokens, tokens[1:]):
                if opening.type == "heading_open":
                    text = "".join(child.content for child in inline.children)
                    found.append((int(opening.tag[1]), text, slug(text)))
        return found

    def claims(self):
        """[[claim cell, the cells up to the next claim or the end of the proof]]"""
        sections = []
        for cell in self.cells:
            if self.part(cell) == "claim":
                sections.append([])
            if sections and self.part(cell) in ("claim", "proof", "figure", "reading"):
                sections[-1].append(cell)
        return sections


def blocks(source):
    """(text, link targets) of each paragraph, list item, table row and summary; no headings, code, maths or link texts."""
    text, targets, heading = "", [], False
    for token in parse(source):
        if token.type.startswith("heading"):
            heading = token.nesting == 1
        elif token.type == "html_block":
            yield re.sub(r"<code>.*?</code>|<[^>]+>", " ", token.content), []
        elif token.type == "inline" and not heading:
            inside = 0
            for child in token.children:
                inside += child.nesting if child.type.startswith("link") else 0
                if child.type == "link_open":
                    targets.append(child.attrs["href"])
                elif not inside:
                    text += child.content if child.type == "text" else " "
            text += " "
        if token.type in ("paragraph_close", "tr_close"):
            yield text, targets
            text, targets = "", []


def words(source):
    """Number of words a reader sees outside headings, maths and code."""
    count = 0
    for token in parse(re.sub(r"(?m)^#+ .*", "", source)):
        if token.type == "inline":
            text = "".join(child.content if child.type == "text" else " " if child.type == "softbreak" else ""
                           for child in token.children)
            count += len(re.findall(r"\S*\w\S*", text))
    return count


def stdout(cell):
    return "".join(o.text for o in cell.get("outputs", []) if o.output_type == "stream" and o.name == "stdout")


def shown(cell, *kinds):
    """The text of a code cell's stored outputs: stdout, and its results as text/plain and the kinds named."""
    return stdout(cell) + "".join(o.data.get(kind, "") for o in cell.get("outputs", []) if "data" in o
                                  for kind in ("text/plain", *kinds))


@functools.cache
def tree(source):
    """The syntax tree of a code cell, without IPython's % and ! lines; None if it is not Python."""
    try:
        return ast.parse(re.sub(r"(?m)^[%!].*", "", source))
    except SyntaxError:
        return None


def nodes(source):
    return ast.walk(tree(source) or ast.Module([], []))


# --- the rules -----------------------------------------------------------------------------------

def placeholders(c):
    """What the template asked for and nobody has written yet, in the notebook and in the two files beside it."""
    for cell in c.cells:
        for line in [*cell.source.splitlines(), cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")]:
            if "TODO" in line:
                yield f"{c.at(cell)} still waits for your text: {line.strip()[:90]}"
    for folder in ("chapters/selfcheck", "tests/selfcheck_answers"):
        path = ROOT / folder / f"{c.stem.replace('-', '_')}.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
            if "TODO" in line:
                yield f"{path.relative_to(ROOT).as_posix()}, line {number}, still waits for your text: {line.strip()[:90]}"


def python(c):
    for cell in c.code:
        if not tree(cell.source):
            yield f"{c.at(cell)} is not valid Python: run it, and it says where"


def parts(c):
    for cell in c.cells:
        allowed = {c.part(cell)} | ({"hide-input"} if c.part(cell) == "solution" else set())
        if c.part(cell) == "no part" or set(outputs.tags(cell)) - allowed:
            has = ", ".join(outputs.tags(cell)) or "none"
            yield f"{c.at(cell)} needs exactly one part tag of CONTRIBUTING.md and has: {has}"
        elif cell.cell_type != (kind := PARTS[c.part(cell)][0]):
            yield f"{c.at(cell)} is a {cell.cell_type} cell, but `{c.part(cell)}` belongs on a {kind} cell"
    order = [c.part(cell) for cell in c.cells] or ["nothing"]
    if order[0] != "title":
        yield f"it has to start with the `title` cell, not with `{order[0]}`"
    if order[-1] != "references":
        yield f"it has to end with the `references` cell, not with `{order[-1]}`"
    for before, after, cell in zip(order, order[1:], c.cells[1:]):
        if before in PARTS and after in PARTS and after not in PARTS[before][1]:
            right = " or ".join(f"`{tag}`" for tag in PARTS[before][1]) or "nothing"
            yield f"{c.at(cell)} follows `{before}`, where {right} belongs"


def ids(c):
    seen = set()
    for cell in c.cells:
        if not cell.get("id"):
            yield f"{c.at(cell)} has no cell id: run `make outputs`"
        elif cell.id in seen:
            yield f"{c.at(cell)} has the id {cell.id} of an earlier cell: run `make outputs`"
        seen.add(cell.get("id"))
    seen = set()
    for cell in c.tagged(*WITH_IDS):
        own = cell.metadata.get("prove_it", {}).get("ids", [])
        need = len(points(cell)) if c.part(cell) in ("rubric", "traps") else 1
        if len(own) != need:
            yield f"{c.at(cell)} needs {need} ids in its metadata (prove_it.ids) and has {len(own)}"
        for name in own:
            if name in seen or not name.startswith(c.number + "-"):
                yield f"{c.at(cell)}: the id {name} must start with {c.number}- and be used once"
            seen.add(name)


def points(cell):
    """The Markdown of each top-level list item of a cell."""
    found = []
    for token in parse(cell.source):
        if token.type == "list_item_open" and token.level == 1:
            found.append("")
        elif found and token.type == "inline" and token.level > 1:
            found[-1] += token.content
    return found


def headings(c):
    for tag, (_, _, heading) in PARTS.items():
        first = next(iter(c.tagged(tag)), None)
        if first and heading and heading not in first.source.splitlines():
            yield f"{c.at(first)} needs the heading `{heading}`"
    for title in c.tagged("title"):
        if not re.match(r"# [^$\n]+\?\n", title.source):
            yield "the title must be `# ` and a question, without mathematics"
        if not re.search(rf"Difficulty: .+ minutes .+Know first: .+ {c.number.upper()} ", title.source):
            yield f"the line under the title must give Difficulty, minutes, Know first, and Question {c.number.upper()} of its source"
    if sum(level == 1 for level, *_ in c.headings) != 1:
        yield "it needs one heading of level 1, the title"


def spoken(c):
    for cell in c.tagged("spoken"):
        if (count := words(cell.source)) > 90:
            yield f"the spoken answer has {count} words; 90 can be said in 30 seconds"
        elif count < 20:
            yield f"the spoken answer has only {count} words"


def rubric(c):
    for cell in c.tagged("rubric", "traps"):
        count = len(points(cell))
        if not (3 <= count <= 6 if c.part(cell) == "rubric" else count):
            yield f"{c.at(cell)} has a list of {count} points; a rubric has 3 to 6, the traps at least one"
        for number, point in enumerate(points(cell), 1):
            if not items.WHERE.search(point):
                yield (f"{c.at(cell)}: point {number} does not end in what to read for it, the claim that proves it or the "
                       "section that explains it: ([claim N](#Claim-N:-The-sentence) and [the answer](#The-answer))")
            if c.part(cell) == "rubric" and not re.match(r"[^.:]+: ", point):
                yield f"{c.at(cell)}: point {number} does not begin with what it is about and a colon, as in `The formula: …`"


def answer(c):
    for cell in c.tagged("answer"):
        if (count := words(cell.source)) < 150:
            yield f"the answer has {count} words; write at least 150"
    found = (targets for cell in c.tagged("answer") for _, targets in blocks(cell.source))
    linked = {unquote(target) for targets in found for target in targets}
    for _, text, anchor in c.headings:
        if text.startswith("Claim ") and "#" + anchor not in linked:
            yield f"the answer does not link to {text.split(':')[0].lower()}: [claim N](#{anchor})"


def claims(c):
    for number, (claim, *section) in enumerate(c.claims(), 1):
        if not re.search(rf"(?m)^### Claim {number}: (\S+ ){{3,}}\S+[^.\s]$", claim.source):
            yield f"{c.at(claim)} needs the heading `### Claim {number}: ` and a full sentence, without a full stop"
        if not re.search(r"\n\n> \*\*Predict\.\*\* [^\n]+\?$", claim.source):
            yield f"claim {number} does not end in a question to the reader: `> **Predict.** …?`"
        proofs = [cell for cell in section if c.part(cell) == "proof"]
        if not any(asserts(cell) for cell in proofs):
            yield f"claim {number} has no cell tagged `proof` whose code contains an assert"
        for cell in proofs:
            if "print(" not in cell.source or cell.outputs and len(numbers_in(stdout(cell))) < 2:
                yield f"{c.at(cell)} of claim {number} must print treatment and control side by side"


def asserts(cell):
    """Whether the code of a cell asserts something that could be false."""
    return any(isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)
               for node in nodes(cell.source))


def figures(c):
    for cell in c.code:
        pictures = [o for o in cell.outputs if any(kind.startswith("image/") for kind in o.get("data", {}))]
        if pictures and c.part(cell) != "figure":
            yield f"{c.at(cell)} shows a picture: draw it in a cell of its own, tagged `figure`"
        elif cell.outputs and not pictures and c.part(cell) == "figure":
            yield f"{c.at(cell)} shows no picture: call plt.show() and run `make outputs`"
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if pictures and len(alt.split()) < 8:
            yield f"{c.at(cell)} needs alt text that says what the figure shows (metadata mystnb.image.alt)"


def setup(c):
    for cell in c.tagged("setup"):
        if cell.source.partition("\n\n")[0] != SETUP:
            yield ("the `setup` cell must begin as the template's does, before anything is imported: the number of BLAS "
                   f"threads, and what to do where a chapter was opened alone:\n{SETUP}\n")


def code_width(c):
    for cell in c.code:
        for number, line in enumerate(cell.source.splitlines(), 1):
            if len(line) > WIDTH:
                yield (f"{c.at(cell)} has {len(line)} characters in line {number}; "
                       f"keep code to {WIDTH}, or it scrolls sideways in the book: `{line.strip()[:40]}…`")


PATH = r"/(?:home|root|usr|tmp|opt|Users|private|work|mnt)/|\b[A-Z]:\\|site-packages|ipykernel_\d| at 0x"


def stored(c):
    if [cell.execution_count for cell in c.code] != list(range(1, len(c.code) + 1)):
        yield "the execution counts are not 1 to n, so nbval would compare nothing: run `make outputs`"
    for cell in c.code:
        if not cell.outputs and c.part(cell) not in ("setup", "stub", "solution"):
            yield f"{c.at(cell)} has no stored output: run `make outputs`"
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                yield f"{c.at(cell)} has stored an error or a warning (stderr)"
        if found := re.search(PATH, shown(cell, "text/html")):
            yield f"{c.at(cell)}: its output holds a path or an address ({found[0].strip()})"


MYST = r"(?m)^ *(?:`{3,}|~{3,}|:{3,}) *\{.*|(?:^|[\s(])\{[\w:-]+\}`[^`\s].*|^\([\w-]+\)=$"


def plain_markdown(c):
    for cell in c.markdown:
        if found := re.search(MYST, cell.source):
            yield f"{c.at(cell)}: `{found[0].strip()}` shows as raw text outside the book; write plain Markdown"
        if re.search(r"</summary>(?!\n\n)|[^\n]\n</details>", cell.source) \
                or cell.source.count("<details>") != cell.source.count("</details>"):
            yield f"{c.at(cell)}: a fold needs a blank line after </summary> and before </details>"
    for cell in c.tagged("rubric", "traps", "followup"):
        if "<details>" not in cell.source:
            yield f"{c.at(cell)} has to be folded with <details>"


def links(c):
    anchors = {"#" + anchor for *_, anchor in c.headings}
    targets = {unquote(target) for target in outputs.links(c.nb)}
    for target in sorted(targets):
        file = target.split("#")[0]
        if target.startswith("#") and target not in anchors:
            yield f"the link {target} leads to no heading of this chapter"
        elif file and not re.match(r"\w+:", file) and not (ROOT / "chapters" / file).exists():
            yield f"the link {target} leads to no file"
    for target in outputs.uncited(c.nb, BOOKS):
        yield f"the citation {target} is not in assets/references.bib"
    if not targets & BOOKS.keys():
        yield "it cites no source of assets/references.bib"
    for cell in c.tagged("references"):
        if cell.source != outputs.references(c.nb, BOOKS):
            yield "the references do not match the text: run `make outputs`"


def myths(c):
    for cell in c.tagged("myth"):
        for quote in cell.source.split("\n\n"):
            if not re.match(r"> \*\*Myth: .+\*\* (\S+\s+){5,}", quote):
                yield f"{c.at(cell)}: each quote starts `> **Myth: …**` and then says what was measured"


def quiz(c):
    for number, cell in enumerate(c.tagged("quiz"), 1):
        if not re.search(rf"(?m)^\*\*{number}\. .+\?\*\*$", cell.source):
            yield f"{c.at(cell)} needs its question in bold: `**{number}. …?**`"
        options = re.findall(r"<summary>(.*?)</summary>(.*?)</details>", cell.source, re.S)
        if len(options) < 3:
            yield f"quiz question {number} has {len(options)} options; give at least 3"
        if (right := sum(text.strip().startswith("Right") for _, text in options)) != 1:
            yield f"quiz question {number} has {right} options that start with `Right`; it needs one"
        for option, text in options:
            if len(text.split()) < 4:
                yield f"quiz question {number}: the option {option} does not explain itself"
    for cell in c.tagged("quiz-proof"):
        if not asserts(cell):
            yield f"{c.at(cell)} has to assert the answers of the quiz"


def exercises(c):
    steps = ["exercise", "stub", "check", "hint", "solution", "solution-check"]
    starts = [i for i, cell in enumerate(c.cells) if c.part(cell) == "exercise"]
    for letter, i in zip("ABCDEFGH", starts):
        card, stub, check, hint, solution, proof = six = c.cells[i:i + 6]
        if [c.part(cell) for cell in six] != steps:
            continue  # said by the rule on parts
        label = f"exercise {c.number[1:]}-{letter}"
        heading = re.search(rf"(?m)^### Exercise {c.number[1:]}-{letter}: (\w+)$", card.source)
        if not heading or not re.search(r"\*\*Goal\.\*\*[\s\S]+Difficulty: .+ minutes", card.source):
            yield f"{c.at(card)} needs `### E{label[1:]}: function_name`, **Goal.**, difficulty and minutes"
            continue
        name = heading[1]
        ending = 'raise NotImplementedError("your turn")'
        if not (f"def {name}(" in stub.source and '"""' in stub.source and stub.source.endswith(ending)):
            yield f"{c.at(stub)} must define {name} with a docstring and end in {ending}"
        if f"def {name}_solution(" not in solution.source:
            yield f"{c.at(solution)} must define {name}_solution"
        if "hide-input" not in outputs.tags(solution) or not solution.metadata.get("jupyter", {}).get("source_hidden"):
            yield f"{c.at(solution)} must be folded: tag hide-input and metadata jupyter.source_hidden"
        for cell, source in ((check, f"check({name})"), (hint, f"hint({name})"), (proof, f"check({name}_solution)")):
            if cell.source != source:
                yield f"{c.at(cell)} must be `{source}`"
        try:
            registered = selfcheck.exercises()
        except Exception as error:  # a module that cannot be imported, whatever is wrong with it
            yield f"chapters/selfcheck cannot be imported: {type(error).__name__}: {error}"
            return
        module = c.stem.replace("-", "_")
        if name not in registered or registered[name].reference.__module__ != f"selfcheck.{module}":
            yield (f"{label}: {name} is not registered in the EXERCISES of chapters/selfcheck/{module}.py, "
                   "or another chapter has an exercise of that name")
        for cell, status in ((check, "unattempted"), (proof, "passed")):
            word = selfcheck.STATUS[status][0]
            if cell.outputs and not shown(cell).startswith(word):
                yield f"{c.at(cell)} must hold the output {word}: put the stub and the solution back and run `make outputs`"


# --- numbers -------------------------------------------------------------------------------------

SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
NUMBER = re.compile(r"""
    (?<![\w.])(?<![A-Za-z]-)                        # not inside a name: float32, GPT-3, v1.2
    (?P<sign>[-−])?
    (?P<digits>\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    (?:e(?P<exponent>[-+−]?\d+)|\s?[·×]\s?10(?P<power>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)|(?P<bare>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))?
    (?P<percent>\s?%)?""", re.X)
LABEL = re.compile(r"\b(?:claims?|exercises?|questions?|Q)\s*\d+(?:-[A-Z])?\b", re.I)


@functools.cache
def numbers_in(text):
    """[(as written, signed, value)] of every number; the value's last digit is the last one written."""
    numbers = []
    for found in NUMBER.finditer(text):
        value = Decimal(re.sub(r"[^\d.]", "", found["digits"]))
        if found["bare"]:  # 10⁻³
            if value != 10:
                continue
            value = Decimal(1).scaleb(int(found["bare"].translate(SUPERSCRIPT)))
        power = found["exponent"] or (found["power"] or "0").translate(SUPERSCRIPT)
        value = value.scaleb(int(power.replace("−", "-")) - (2 if found["percent"] else 0))
        numbers.append((found[0].strip(), bool(found["sign"]), -value if found["sign"] else value))
    return numbers


def literals(cell):
    """The numbers written in a cell's code, but not in its asserts: a bound proves no value."""
    bounds = {id(node) for found in nodes(cell.source) if isinstance(found, ast.Assert) for node in ast.walk(found)}
    return {Decimal(repr(node.value)) for node in nodes(cell.source)
            if isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in bounds}


def agrees(signed, value, cells):
    """Whether a number of the text is a printed one, rounded, or a parameter in the code of these cells."""
    half = Decimal(1).scaleb(value.as_tuple().exponent) / 2
    printed = (v if signed else abs(v) for cell in cells for _, _, v in numbers_in(shown(cell)))
    return any(abs(v - value) <= half for v in printed) or any(abs(value) in literals(cell) for cell in cells)


def numbers(c):
    section = {id(cell): group for group in c.claims() for cell in group}
    for cell in c.markdown:
        if c.part(cell) in ("title", "references", "exercise"):
            continue
        if c.part(cell) == "quiz":
            cells, where = c.tagged("quiz-proof"), "`quiz-proof`"
        elif id(cell) in section:
            cells, where = [other for other in section[id(cell)] if other.cell_type == "code"], "this claim's cells"
        else:
            cells, where = c.code, "the cells"
        for text, targets in blocks(cell.source):
            if any(target in BOOKS for target in targets):
                continue
            for written, signed, value in numbers_in(LABEL.sub(" ", text)):
                small = re.fullmatch(r"[-−]?\d+", written) and abs(value) <= 12
                if not small and not agrees(signed, value, cells):
                    context = " ".join(text.split())[:70]
                    yield f"{c.at(cell)} says {written}, which {where} neither print nor set: \"{context}…\""


RULES = [placeholders, python, parts, ids, headings, spoken, rubric, answer, claims, figures, setup, code_width, stored, plain_markdown,
         links, myths, quiz, exercises, numbers]


def problems(nb, stem, rules=RULES):
    chapter = Chapter(nb, stem)
    return [f"{stem}: {sentence}" for rule in rules for sentence in rule(chapter)]


# --- the tests -----------------------------------------------------------------------------------

def test_there_is_a_chapter_and_a_table_of_parts():
    assert CHAPTERS
    unknown = {follower for _, after, _ in PARTS.values() for follower in after} - PARTS.keys()
    assert PARTS and not unknown, f"the table of parts in CONTRIBUTING.md has no row for {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter(path, rule):
    if found := problems(outputs.read(path), path.stem, [rule]):
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_normal_form(path):
    problem = ""
    try:
        outputs.verify(path, BOOKS)
    except outputs.Problem as found:
        problem = str(found)
    if problem:  # not above, where pytest would show the exception as well
        pytest.fail(problem, pytrace=False)


# --- every rule can fail: one fault planted in a good chapter, and only its sentence comes back -----

def edit(tag, old, new, nth=0):
    """A fault: in the nth cell of a part, the regular expression `old` becomes `new`."""
    def fault(c):
        cell = c.tagged(tag)[nth]
        changed = re.sub(old, new, cell.source, count=1)
        assert changed != cell.source, f"nothing to spoil in {c.at(cell)}"
        cell.source = changed
    return fault


def drop(tag, nth=0):
    """A fault: a part is missing; the execution counts still run from 1 to n."""
    def fault(c):
        c.cells.remove(c.tagged(tag)[nth])
        for count, cell in enumerate(c.code, 1):
            cell.execution_count = count
    return fault


def put(tag, **values):
    """A fault: other fields in the first cell of a part."""
    return lambda c: c.tagged(tag)[0].update(values)


def no_asserts(tag):
    def fault(c):
        cell = c.tagged(tag)[0]
        cell.source = re.sub(r"(?m)^( *)assert .*", r"\1pass", cell.source)
    return fault


def outputs_of(tag, other):
    """A fault: the stored outputs of one part stand in another."""
    return lambda c: c.tagged(tag)[0].update(outputs=c.tagged(other)[0].outputs)


def metadata(tag, **values):
    return lambda c: c.tagged(tag)[0].metadata.update(values)


def swap(tag):
    def fault(c):
        i = c.cells.index(c.tagged(tag)[0])
        c.cells[i], c.cells[i + 1] = c.cells[i + 1], c.cells[i]
    return fault


def stream(text):
    return NotebookNode(output_type="stream", name="stdout", text=text)


def add_output(kind, **fields):
    return lambda c: c.tagged("proof")[0].outputs.append(NotebookNode(output_type=kind, **fields))


def rename_exercise(c):
    name = re.search(r"### Exercise \S+ (\w+)", c.tagged("exercise")[0].source)[1]
    for tag in ("exercise", "stub", "check", "hint", "solution", "solution-check"):
        cell = c.tagged(tag)[0]
        cell.source = cell.source.replace(name, "unheard_of")


def borrow(c):
    """Write into the reading of claim 1 a number that only a later claim printed."""
    printed = [found for cell in c.tagged("proof") for found in numbers_in(stdout(cell))]
    own = [cell for cell in c.claims()[0] if cell.cell_type == "code"]
    foreign = next(written for written, signed, value in printed if "." in written and not agrees(signed, value, own))
    c.tagged("reading")[0].source += f" It was {foreign}."


NUMBER_MISSING = "neither print nor set"
FAULTS = {  # what is wrong: (how to plant it, what every sentence that comes back must say)
    "a placeholder": (edit("reading", "$", "\n\nTODO: more"), "`reading`. still waits for your text: TODO: more"),
    "a placeholder in code": (edit("setup", "$", "\n# TODO: more"), "`setup`. still waits for your text: # TODO: more"),
    "a placeholder for alt text": (metadata("figure", mystnb={"image": {"alt": "TODO: one two three four five six seven"}}),
                                   "`figure`. still waits for your text: TODO: one"),
    "a cell that is not Python": (edit("setup", "$", "\nx = = 1"), "`setup`. is not valid Python"),
    "no spoken answer": (drop("spoken"), "`rubric`.* follows `title`, where `spoken` belongs"),
    "no rubric": (drop("rubric"), "`traps`.* follows `spoken`, where `rubric` belongs"),
    "no proof": (drop("proof"), f"claim 1 has no cell tagged `proof`|follows `claim`, where `proof`|{NUMBER_MISSING}"),
    "no references": (drop("references"), "has to end with the `references` cell"),
    "no title": (drop("title"), "has to start with the `title` cell|level 1"),
    "parts in another order": (swap("rubric"), "follows"),
    "two part tags": (metadata("answer", tags=["answer", "claim"]), "needs exactly one part tag .* answer, claim"),
    "an unknown tag": (metadata("setup", tags=["setup", "remove-cell"]), "needs exactly one part tag .* setup, remove-cell"),
    "a part on the wrong kind of cell": (put("reading", cell_type="raw"), "is a raw cell, but `reading` belongs on a markdown"),
    "no cell id": (lambda c: c.tagged("answer")[0].pop("id"), "has no cell id"),
    "a cell id twice": (lambda c: c.tagged("answer")[0].update(id=c.tagged("setup")[0].id), "of an earlier cell"),
    "a rubric point without an id": (metadata("rubric", prove_it={"ids": ["q29-rubric-1"]}), "needs . ids in its metadata"),
    "an id twice": (lambda c: c.tagged("quiz")[1].metadata.update(c.tagged("quiz")[0].metadata), "used once"),
    "another heading": (edit("spoken", "Say it in 30", "Say it in 20"), "needs the heading `## Say it in 30 seconds`"),
    "a title that asks nothing": (edit("title", r"\?\n", "\n"), "must be `# ` and a question"),
    "no difficulty": (edit("title", "Difficulty", "Level"), "must give Difficulty"),
    "a second title": (edit("wrong", "$", "\n\n# More"), "one heading of level 1"),
    "a long spoken answer": (edit("spoken", "$", " and so on" * 30), "the spoken answer has"),
    "an empty spoken answer": (edit("spoken", r"\n[\s\S]*", ""), "the spoken answer has only"),
    "a rubric of two points": (put("rubric", source="<details>\n<summary>S</summary>\n\n- a\n- b\n\n</details>"),
                               "has a list of 2 points|needs 2 ids|point [12] does not"),
    "a rubric point with nothing to read": (edit("rubric", r"(?m) \(\[.*\)$", ""), "`rubric`.: point 1 does not end in"),
    "a rubric point about nothing": (edit("rubric", "- The statistics: ", "- "), "`rubric`.: point 1 does not begin with"),
    "a trap with nothing to read": (edit("traps", r"(?m) \(\[.*\)$", ""), "`traps`.: point 1 does not end in"),
    "a trap to be read in another chapter": (edit("traps", r"#Claim-2:[^)]*", "q28-residual-connections.ipynb"),
                                             "`traps`.: point 1 does not end in"),
    "a trap that leads nowhere": (edit("traps", "#Claim-2:", "#Claim-12:"), "leads to no heading"),
    "a short answer": (put("answer", source="## The answer\n\nShort."), "at least 150|does not link|references do not"),
    "a claim that the answer does not link": (edit("answer", r"\[claim 1\]\(\S*\)", "claim 1"), "does not link to claim 1"),
    "a claim that is no sentence": (edit("claim", "(### Claim 1: ).*", r"\1Epsilon"), "and a full sentence|link"),
    "a claim out of number": (edit("claim", "### Claim 2", "### Claim 7", nth=1), "heading `### Claim 2: `|link"),
    "no prediction": (edit("claim", r"\*\*Predict", "**Think"), "claim 1 does not end in a question"),
    "no assert": (no_asserts("proof"), "claim 1 has no cell tagged `proof` whose code contains an assert"),
    "nothing to compare": (put("proof", outputs=[stream("fine")]), f"must print treatment and control|{NUMBER_MISSING}"),
    "no alt text": (metadata("figure", mystnb={}), "needs alt text"),
    "a figure without a picture": (put("figure", outputs=[stream("none")]), "shows no picture"),
    "a picture in a proof": (add_output("display_data", data={"image/png": ""}), "shows a picture|needs alt text"),
    "many BLAS threads": (edit("setup", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "the `setup` cell must begin"),
    "a setup that imports first": (edit("setup", r"\A", "import numpy as np\n"), "the `setup` cell must begin"),
    "a long line of code": (edit("proof", r"\A", "# " + "wide" * 20 + "\n"), "has 82 characters in line 1; keep code to 76"),
    "outputs stripped": (put("quiz-proof", outputs=[]), f"has no stored output|{NUMBER_MISSING}"),
    "execution count null": (put("setup", execution_count=None), "execution counts are not 1 to n"),
    "a warning": (add_output("stream", name="stderr", text="careful"), "stored an error or a warning"),
    "an error": (add_output("error", ename="E", evalue="", traceback=[]), "stored an error or a warning"),
    "a path": (add_output("stream", name="stdout", text="/home/me/book"), "a path or an address"),
    "an address": (add_output("display_data", data={"text/plain": "<f at 0x7f3a>"}), "a path or an address"),
    "a MyST directive": (edit("reading", "$", "\n\n```{note}\nhm\n```"), "shows as raw text outside the book"),
    "a MyST role": (edit("reading", "$", " {cite}`ba2016layer`"), "shows as raw text outside the book"),
    "a fold without a blank line": (edit("followup", "</summary>\n\n", "</summary>\n"),
                                    f"needs a blank line|references do not|{NUMBER_MISSING}"),
    "an unfolded rubric": (edit("traps", r"<details>\n.*([\s\S]*)</details>", r"\1"), "has to be folded"),
    "a broken internal link": (edit("reading", "$", " See [there](#Nowhere)."), "leads to no heading"),
    "a link to a missing file": (edit("reading", "$", " See [there](q00-none.ipynb)."), "leads to no file"),
    "an unknown citation": (edit("reading", "$", " [X](https://arxiv.org/abs/0000.00000)"), "is not in assets/references.bib"),
    "old references": (edit("references", r"\n- .*", ""), "references do not match"),
    "a myth that measures nothing": (edit("myth", r"(\*\*Myth: .*?\*\*).*", r"\1"), "says what was measured|references do not"),
    "a quiz without a right option": (edit("quiz", "Right", "Wrong"), "it needs one"),
    "a quiz with two right options": (edit("quiz", "Wrong", "Right"), "it needs one"),
    "an option that explains nothing": (edit("quiz", r"Wrong\. .*", "Wrong."), "does not explain itself"),
    "a quiz question without its number": (edit("quiz", r"\*\*1\. ", "**"), "needs its question in bold"),
    "a quiz of two options": (edit("quiz", r"<details>\s*<summary>.*</summary>\s*Wrong[\s\S]*?</details>\n", ""),
                              "give at least 3"),
    "a quiz that proves nothing": (no_asserts("quiz-proof"), "has to assert the answers"),
    "a stub that raises nothing": (edit("stub", "raise .*", "return x"), "must define .* and end in raise"),
    "a stub of another name": (edit("stub", r"def \w+", "def another"), "must define"),
    "an exercise that is not registered": (rename_exercise, "unheard_of is not registered"),
    "a card without a goal": (edit("exercise", "Goal", "Aim"), "needs `### Exercise 29-A: function_name`"),
    "a visible solution": (metadata("solution", jupyter={}), "must be folded: tag"),
    "a check of something else": (edit("check", r"\(.*\)", "(print)"), "must be `check"),
    "a stored check of a finished stub": (outputs_of("check", "solution-check"), "must hold the output NOT ATTEMPTED"),
    "a solution that fails": (outputs_of("solution-check", "check"), "must hold the output PASSED"),
    "a wrong number in a reading": (edit("reading", "$", " It was 0.7133."), r"says 0\.7133, which this claim's cells"),
    "a number of another claim": (borrow, f"which this claim's cells {NUMBER_MISSING}"),
    "a wrong percentage": (edit("answer", "$", "\n\nIt is 71.33 % of it."), r"says 71\.33 %, which the cells"),
    "a wrong number in an option": (edit("quiz", "Wrong", "Wrong by 71.33."), r"says 71\.33, which `quiz-proof`"),
    "a wrong number in a table": (edit("wrong", "$", "\n\n| a | b |\n|---|---|\n| x | 71.33 |"), r"says 71\.33, which the cells"),
}


@pytest.fixture(scope="module")
def before():
    """What is wrong with the example already: nothing, unless someone is at work on it."""
    return {re.sub(r"cell \d+", "", problem) for problem in problems(outputs.read(EXAMPLE), EXAMPLE.stem)}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_rule_can_fail(fault, before):
    plant, sentence = FAULTS[fault]
    chapter = Chapter(outputs.read(EXAMPLE), EXAMPLE.stem)
    plant(chapter)
    found = [problem for problem in problems(chapter.nb, EXAMPLE.stem) if re.sub(r"cell \d+", "", problem) not in before]
    assert found, "the fault was not seen"
    besides = [problem for problem in found if not re.search(sentence, problem)]
    assert not besides, "\n".join(besides)


def test_a_self_check_that_cannot_be_imported_is_named(monkeypatch):
    def exercises():
        raise SyntaxError("invalid syntax (q99_a_question.py, line 3)")
    monkeypatch.setattr(selfcheck, "exercises", exercises)
    assert problems(outputs.read(EXAMPLE), EXAMPLE.stem) == [
        f"{EXAMPLE.stem}: chapters/selfcheck cannot be imported: SyntaxError: invalid syntax (q99_a_question.py, line 3)"]


@pytest.mark.parametrize("text, printed, same", [
    ("0.0888", "0.08881", True), ("0.09", "0.0888", True), ("0.08", "0.0888", False), ("0.0888", "0.09", False),
    ("21 %", "0.21", True), ("21%", "21.3%", True), ("21 %", "0.22", False), ("21", "0.21", False),
    ("1,000", "1000", True), ("10\u202f000", "10000", True), ("4×", "4.0000", True), ("4.1x", "4.0", False),
    ("−0.45", "-0.45", True), ("−0.45", "0.45", False), ("0.45", "-0.45", True),
    ("2·10⁻³", "2e-03", True), ("10⁻³", "0.001", True), ("10⁻³", "0.002", False), ("1e-3", "0.001", True),
    ("3 × 10⁻⁴", "0.0002", False),
    ("13", "float13 GPT-13 v1.13", False), ("62nd", "62", True),
])
def test_numbers_agree(text, printed, same):
    cell = NotebookNode(source="assert x < 0.21", outputs=[stream(printed)])
    [(_, signed, value)] = numbers_in(text)
    assert agrees(signed, value, [cell]) == same


def test_not_in_normal_form(tmp_path):
    nb = outputs.read(EXAMPLE)
    nb.cells[0].metadata["collapsed"] = True
    spoiled = tmp_path / EXAMPLE.name
    spoiled.write_text(outputs.nbformat.v4.writes(nb), encoding="utf-8")
    with pytest.raises(outputs.Problem, match="is not in normal form: run `make outputs`"):
        outputs.verify(spoiled, BOOKS)
