"""Runs a chapter's cells in the page and posts what they print. Plain CPython: the tests run it without a browser.

A cell finds the names it uses as the cells above it left them, whatever ran before and in whatever order, so it
prints what the book prints. Every cell that ran keeps the values of the names it set. `plan` says which cells above
have to run first; cells that this one does not need are left alone.
"""
import ast
import builtins
import copy
import io
import linecache
import os
import re
import sys
import time
import traceback
import types
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property

LIMIT = 200_000  # characters of output that a cell may show
# Methods that change the object they are called on: of lists, dicts, sets, and of numpy's random generators.
CHANGING = set("""append extend insert pop remove clear sort reverse update setdefault add discard fill put resize
    random integers choice normal standard_normal uniform exponential poisson binomial multinomial permutation permuted
    shuffle gumbel laplace spawn seed bytes""".split())
# Functions that change their first arguments: numpy's, and the optimizer of transformer.py.
CHANGING_ARGUMENTS = {"adam": 3, "copyto": 1, "fill_diagonal": 1, "put_along_axis": 1, "at": 1, "place": 1, "shuffle": 1}


# --- what a piece of code reads, sets and changes ---------------------------------------------------------------------

class Names(ast.NodeVisitor):
    """The global names of a piece of code: `reads` before it sets them itself, `sets`, `changes` in place (or sets in
    one of two branches); `inside` is the same for the body of each function and class in it."""

    def __init__(self, body=(), is_setup=False):
        self.reads, self.sets, self.changes, self.inside, self.imports, self.sure = set(), set(), set(), {}, set(), True
        for statement in body:
            self.visit(statement)
            if is_setup and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self.changed(statement.value.func)  # plt.style.use(...) is there for what it does to plt

    def read(self, name):
        if name not in self.sets:
            self.reads.add(name)

    def set(self, name):
        (self.sets if self.sure else self.changes).add(name)

    def visit_Name(self, node):
        self.read(node.id) if isinstance(node.ctx, ast.Load) else self.set(node.id)

    def visit_Assign(self, node):  # the value first
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    visit_NamedExpr = visit_AnnAssign = lambda self, node: (
        node.value and self.visit(node.value), self.visit(node.target))

    def visit_AugAssign(self, node):
        self.changed(node.target)
        self.visit(node.value)

    def visit_Subscript(self, node):
        if not isinstance(node.ctx, ast.Load):
            self.changed(node)
        self.generic_visit(node)

    visit_Attribute = visit_Subscript

    def changed(self, node):
        """The name at the root of `node` is changed in place."""
        while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            node = node.value
        if isinstance(node, ast.Name):
            self.read(node.id)
            self.changes.add(node.id)

    def visit_Call(self, node):
        function = getattr(node.func, "attr", getattr(node.func, "id", None))
        if isinstance(node.func, ast.Attribute) and function in CHANGING:
            self.changed(node.func)
        for argument in node.args[:CHANGING_ARGUMENTS.get(function, 0)]:
            self.changed(argument)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(argument, ast.Name) and "rng" in argument.id:  # whoever gets a generator draws from it
                self.changed(argument)
        self.generic_visit(node)

    def visit_Import(self, node):
        for alias in node.names:
            self.imports.add((getattr(node, "module", None) or alias.name).partition(".")[0])
            self.set((alias.asname or alias.name).partition(".")[0])

    visit_ImportFrom = visit_Import

    def maybe(self, node):
        sure, self.sure = self.sure, False
        self.generic_visit(node)
        self.sure = sure

    visit_If = visit_While = visit_Try = visit_Match = maybe

    def visit_For(self, node):
        self.visit(node.iter)
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        for outer in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(outer)
        self.set(node.name)
        self.inside[node.name] = scope(node)

    def visit_ClassDef(self, node):
        for outer in [*node.bases, *node.decorator_list]:
            self.visit(outer)
        self.set(node.name)
        self.inside[node.name] = scope(node)

    def visit_Lambda(self, node):
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default)
        inner = scope(node)
        for name in inner.reads:
            self.read(name)
        self.changes |= inner.changes

    def visit_ListComp(self, node):
        inner = Names()
        for generator in node.generators:
            inner.visit(generator.iter)
            inner.visit(generator.target)
            for condition in generator.ifs:
                inner.visit(condition)
        for element in ("key", "value", "elt"):
            if hasattr(node, element):
                inner.visit(getattr(node, element))
        for name in inner.reads:
            self.read(name)
        self.changes |= inner.changes - inner.sets

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp


def scope(node):
    """Names of a function's or class's body that come from outside it."""
    inner = Names()
    if hasattr(node, "args"):
        inner.sets |= {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
    own = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    own -= {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
    inner.sets |= own
    body = node.body if isinstance(node.body, list) else [node.body]
    for part in body:
        inner.visit(part)
    for deeper in inner.inside.values():
        inner.reads |= deeper.reads - inner.sets
        inner.changes |= deeper.changes
    inner.changes -= inner.sets
    return inner


@dataclass
class Unit:
    """What runs at a time: a cell, or one statement of the setup cell, which is needed only for the names it sets."""
    cell: str
    name: str  # what tracebacks call the cell
    code: str
    tree: ast.Module | None
    error: SyntaxError | None = None
    is_setup: bool = False
    needs: dict = field(default_factory=dict)  # name: the unit that it comes from
    version: tuple = ()

    @cached_property
    def names(self):
        names = Names(self.tree.body if self.tree else (), self.is_setup)
        if self.error:  # cells that need what it was to define must stop at its error, not at a name that is missing
            names.sets |= set(re.findall(r"^(?:(?:async +)?def +|class +)?(\w+) *[=(:]", self.code, re.M))
        return names


def units(cells):
    """The units of the cells, in order. Cells are {id, name, code, setup}."""
    found = []
    for cell in cells:
        code = plain(cell["code"])
        base = dict(cell=cell["id"], name=cell["name"], code=code, is_setup=cell["setup"])
        try:
            tree = ast.parse(code, cell["name"])
        except SyntaxError as error:
            found.append(Unit(**base, tree=None, error=error))
            continue
        if cell["setup"]:
            lines = code.splitlines()
            for statement in tree.body:
                part = "\n".join(lines[statement.lineno - 1:statement.end_lineno])
                found.append(Unit(**base | {"code": part}, tree=ast.Module([statement], [])))
        if not cell["setup"] or not tree.body:
            found.append(Unit(**base, tree=tree))
    return found


def plain(code):
    """Without the lines that only Jupyter needs."""
    return "\n".join("" if re.match(r"%(matplotlib|config)\b", line) else line for line in code.split("\n"))


def sources(above, names):
    """{name: the unit above that last set or changed it} for these names and for what their functions use."""
    found, todo = {}, list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        unit = next((unit for unit in reversed(above) if name in unit.names.sets | unit.names.changes), None)
        if unit:
            found[name] = unit
            maker = next((unit for unit in reversed(above) if name in unit.names.inside), None)
            if maker:
                todo += maker.names.inside[name].reads
    return found


def link(found):
    """Give every unit its `needs` and its `version`: the code, and the versions of all that it needs."""
    for index, unit in enumerate(found):
        names, wanted = unit.names, set(unit.names.reads)
        for inner in names.inside.values():  # its functions may be called at once
            wanted |= inner.reads - names.sets
            names.changes |= inner.changes
        unit.needs = sources(found[:index], wanted | (names.changes - names.sets))
        for name, source in unit.needs.items():
            if name in names.reads and name in source.names.inside:
                names.changes |= source.names.inside[name].changes
        unit.version = unit.cell, unit.code, tuple(sorted((name, hash(u.version)) for name, u in unit.needs.items()))


# --- running ----------------------------------------------------------------------------------------------------------

space = {"__name__": "__main__"}  # the chapter's names
left = {}  # version of a unit that ran: {name: value} of what it set and changed
queue = []
post = print  # replaced by `start`: post(kind, data, plain text)


def start(poster):
    global post
    post = poster
    os.environ |= {"MPLBACKEND": "module://figures", "OPENBLAS_NUM_THREADS": "1"}
    builtins.input = no_input
    builtins.display = display
    # What a cell, the self-check and matplotlib ask of IPython.
    shell = types.SimpleNamespace(events=types.SimpleNamespace(register=lambda *_: None))
    ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython, ipython.version_info, ipython.display, module.display = lambda: shell, (9, 0), module, display
    sys.modules |= {"IPython": ipython, "IPython.display": module}


def no_input(prompt=""):
    raise RuntimeError("input() does not work in the page: write the value into the code instead.")


def plan(cells, wanted):
    """The units that have to run for the wanted ones of these cells: [[its cell, what it imports]], kept in `queue`."""
    found, chosen = units(cells), set()
    link(found)

    def want(unit):
        for other in unit.needs.values():
            if other.version not in left:
                want(other)
        chosen.add(id(unit))
    for unit in found:
        if unit.cell in wanted:
            want(unit)
    queue[:] = [unit for unit in found if id(unit) in chosen]
    return [[unit.cell, sorted(unit.names.imports)] for unit in queue]


async def run():
    """Run the next unit of the queue; True if it ended without an error."""
    unit = queue.pop(0)
    out.restart(), err.restart()
    before, last = (sys.stdout, sys.stderr), None
    sys.stdout, sys.stderr = out, err
    try:
        if unit.error:
            raise unit.error
        linecache.cache[unit.name] = len(unit.code), None, unit.code.splitlines(keepends=True), unit.name
        for name, source in unit.needs.items():
            space[name] = left[source.version].get(name)
        for name in unit.names.changes & unit.needs.keys():  # the value above stays as it is
            space[name] = own_copy(space[name])
        tree = ast.Module(list(unit.tree.body), [])
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        for part, mode in ((tree, "exec"), (last, "eval")):
            value = part and eval(compile(part, unit.name, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), space)
            if hasattr(value, "__await__"):
                value = await value
        if value is not None and not unit.code.rstrip().endswith(";"):
            display(value)
        show_figures()
        for old in [version for version in left if version[0] == unit.cell and not unit.is_setup]:
            del left[old]
        left[unit.version] = {name: space[name] for name in unit.names.sets | unit.names.changes if name in space}
        return True
    except BaseException as error:  # SystemExit, too: it must not end the worker
        out.flush(), err.flush()
        close_figures()
        post("error", message(error), "")
        return False
    finally:
        out.flush(), err.flush()
        sys.stdout, sys.stderr = before


def own_copy(value):
    if isinstance(value, (types.ModuleType, types.FunctionType, type)):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def message(error):
    """The traceback without our own lines; for a missing package, what there is instead."""
    said = traceback.TracebackException.from_exception(error)
    lines = () if isinstance(error, SyntaxError) else [line for line in said.stack if line.filename != __file__]
    said.stack = traceback.StackSummary.from_list(lines)
    text = "".join(said.format())
    if isinstance(error, ModuleNotFoundError):
        text += f"In the page there are Python's own modules, numpy and matplotlib, and no {error.name}.\n"
    return text if len(text) < LIMIT else text[:LIMIT // 2] + "\n...\n" + text[-LIMIT // 2:]


class Stream(io.TextIOBase):
    """Posts what is printed, at most twenty times a second, and no more than LIMIT characters a cell."""

    def __init__(self, kind):
        self.kind = kind
        self.restart()

    def restart(self):
        self.parts, self.sent, self.last = [], 0, 0.0

    def writable(self):
        return True

    def write(self, text):
        if self.sent < LIMIT:
            self.parts.append(text[:LIMIT - self.sent])
            self.sent += len(text)
            if self.sent >= LIMIT:
                self.parts.append("\n... and more, which is not shown.\n")
                self.flush()
        if self.parts and time.monotonic() - self.last > 0.05:
            self.flush()
        return len(text)

    def flush(self):
        if self.parts:
            post(self.kind, "".join(self.parts), "")
            self.parts, self.last = [], time.monotonic()


out, err = Stream("stdout"), Stream("stderr")


def display(*values, raw=False, **_):
    """Show values as a notebook does: as HTML, SVG or PNG if they have it, else as text."""
    out.flush(), err.flush()
    for value in values:
        if hasattr(value, "savefig"):
            show_figure(value)
            continue
        rich = value if raw else {mime: as_mime(value, method) for mime, method in (
            ("text/html", "_repr_html_"), ("image/svg+xml", "_repr_svg_"), ("image/png", "_repr_png_"))}
        text = rich.get("text/plain") if raw else repr(value)
        mime = next((mime for mime in ("text/html", "image/svg+xml", "image/png") if rich.get(mime)), None)
        data = rich[mime] if mime else text[:LIMIT]
        post(mime or "text", b64encode(data).decode() if isinstance(data, bytes) else data, text or "")


def as_mime(value, method):
    show = getattr(value, method, None)
    return show() if callable(show) and not isinstance(value, type) else None


def show_figure(figure):
    picture = io.StringIO()
    figure.savefig(picture, format="svg", bbox_inches="tight")
    out.flush()
    post("image/svg+xml", picture.getvalue(), "")


def show_figures():
    """What the cell drew, in the order of its figures; then they are closed, as in a notebook."""
    if plt := sys.modules.get("matplotlib.pyplot"):
        for number in plt.get_fignums():
            show_figure(plt.figure(number))
    close_figures()


def close_figures():
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")
