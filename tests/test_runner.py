"""What runs a cell in the page, on plain CPython: which cells it needs, what it shows, how it fails."""
import asyncio
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "assets" / "live"))


@pytest.fixture
def runner(monkeypatch):
    """A runner.py of its own; what it does to the interpreter is put back."""
    import runner

    for name in ("IPython", "IPython.display"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("builtins.input", input)
    monkeypatch.setattr("builtins.display", None, raising=False)
    for name in ("MPLBACKEND", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "agg")
    return importlib.reload(runner)


class Page:
    """Cells as the page holds them; `press` does what its Run button does."""

    def __init__(self, runner, *codes):
        self.runner, self.codes, self.shown = runner, list(codes), []
        runner.start(lambda kind, data, text: self.shown.append((kind, data)))

    def press(self, index):
        """Run cell `index`: (the cells that ran, what they showed)."""
        self.shown = []
        cells = [{"id": i, "name": f"Cell {i}", "code": code, "setup": i == 0} for i, code in enumerate(self.codes[:index + 1])]
        todo = [cell for cell, _ in self.runner.plan(cells, [index])]
        loop = ThreadPoolExecutor(1)  # Playwright keeps a loop running in this thread
        for at in range(len(todo)):
            if not loop.submit(asyncio.run, self.runner.run()).result():
                todo = todo[:at + 1]
                break
        shown = []
        for kind, data in self.shown:  # what is printed comes in pieces
            if shown and shown[-1][0] == kind and kind.startswith("std"):
                kind, data = kind, shown.pop()[1] + data
            shown.append((kind, data))
        return list(dict.fromkeys(todo)), shown


def text(shown):
    return "".join(data for kind, data in shown if kind in ("stdout", "text", "error"))


# --- which cells a cell needs ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("codes, needed", [
    (["import math", "x = 1", "y = 2", "print(x)"], [1, 3]),  # not y
    (["import math", "x = 1", "x = 2", "print(x)"], [2, 3]),  # the nearest one
    (["import math", "x = 1", "x = x + 1", "print(x)"], [1, 2, 3]),
    (["import math", "x = []", "x.append(1)", "print(x)"], [1, 2, 3]),
    (["import math", "x = {}", "x['a'] = 1", "print(x)"], [1, 2, 3]),
    (["import math", "x = 1", "x += 1", "print(x)"], [1, 2, 3]),
    (["import math", "x = 1", "if x: x = 5", "print(x)"], [1, 2, 3]),
    (["import math", "x = 1", "for x in (7, 8): pass", "print(x)"], [2, 3]),
    (["import math", "x = 1", "def f(): return x", "print(f())"], [1, 2, 3]),
    (["import math", "def f(): return x", "x = 1", "print(f())"], [1, 2, 3]),
    (["import math", "x = 1", "def f(x): return x", "print(f(2))"], [2, 3]),
    (["import math", "x = 1", "f = lambda: x", "print(f())"], [1, 2, 3]),
    (["import math", "x = 1", "print([x for x in range(3)])"], [2]),
    (["import math", "y = 3", "print([x for x in range(y)])"], [1, 2]),
    (["import math", "log = []", "def f(): log.append(1)", "f()", "print(log)"], [1, 2, 3, 4]),
    (["import math", "class A:\n    def f(self): return x", "x = 1", "print(A().f())"], [1, 2, 3]),
    (["import math", "import random\nrng = random.Random(0)", "rng.random()", "print(rng.random())"], [1, 2, 3]),
    (["import math", "import random\nrng = random.Random(0)", "def draw(r): return r.random()", "draw(rng)", "print(rng.random())"],
     [1, 2, 3, 4]),
    (["import math", "a, (b, *c) = 1, (2, 3)", "print(c)"], [1, 2]),
    (["import math", "with open('/dev/null') as f: pass", "print(f.name)"], [1, 2]),
    (["import math", "print(n := 4)", "print(n)"], [1, 2]),
])
def test_a_cell_brings_what_it_needs_and_no_more(runner, codes, needed):
    page = Page(runner, *codes)
    in_order = Page(importlib.reload(runner), *codes)
    wanted = [text(in_order.press(index)[1]) for index in range(len(codes))][-1]
    page = Page(importlib.reload(runner), *codes)
    ran, shown = page.press(len(codes) - 1)
    assert ran == needed
    assert text(shown).endswith(wanted) and wanted


def test_of_the_setup_cell_only_what_is_needed_runs(runner):
    page = Page(runner, "import math\nimport nosuchmodule\nnosuchmodule.style('x')\n\ndef f():\n    return math.pi", "print(round(f(), 2))")
    assert page.press(1) == ([0, 1], [("stdout", "3.14\n")])
    ran, shown = page.press(0)
    assert ran == [0] and "No module named 'nosuchmodule'" in text(shown) and "numpy and matplotlib, and no nosuchmodule" in text(shown)


def test_a_call_in_the_setup_cell_belongs_to_what_it_is_made_on(runner):
    page = Page(runner, "style = []\nstyle.append('ours')\nother = 1", "print(style)")
    assert page.press(1) == ([0, 1], [("stdout", "['ours']\n")])


def test_a_cell_prints_the_same_whatever_ran_before(runner):
    codes = ["import random", "rng = random.Random(0)\nx = [0]", "x.append(1)\nprint(x, rng.random())", "x.append(2)\nprint(x, rng.random())",
             "x = 'later'\nprint(rng.random())"]
    in_order = [Page(runner, *codes)]
    wanted = [text(in_order[0].press(index)[1]) for index in range(5)]
    page = Page(importlib.reload(runner), *codes)
    for index in (3, 2, 4, 2, 3, 4, 3, 2):
        assert text(page.press(index)[1]).endswith(wanted[index]), index


def test_an_edit_above_runs_again_and_nothing_else_does(runner):
    page = Page(runner, "import math", "a = 1", "b = 2", "c = a * 10", "print(c, b)")
    assert page.press(4)[0] == [1, 2, 3, 4]
    assert page.press(4)[0] == [4]
    page.codes[1] = "a = 5"
    assert page.press(4) == ([1, 3, 4], [("stdout", "50 2\n")])


def test_old_values_are_let_go(runner):
    page = Page(runner, "import math", "a = 1", "print(a)")
    for value in range(20):
        page.codes[1] = f"a = {value}"
        page.press(2)
    assert len(runner.left) <= 3


# --- what a cell shows -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code, shown", [
    ("1 + 1", [("text", "2")]),
    ("1 + 1;", []),
    ("print('a')\n3", [("stdout", "a\n"), ("text", "3")]),
    ("None", []), ("x = 1", []), ("", []), ("# only a comment", []),
    ("%matplotlib inline\n7", [("text", "7")]),
    ("import asyncio\nawait asyncio.sleep(0)\n'z'", [("text", "'z'")]),
    ("import sys\nprint('e', file=sys.stderr)", [("stderr", "e\n")]),
    ("class H:\n    def _repr_html_(self): return '<b>x</b>'\nH()", [("text/html", "<b>x</b>")]),
    ("from IPython.display import display\ndisplay(1, 'b')", [("text", "1"), ("text", "'b'")]),
])
def test_outputs_are_a_notebooks(runner, code, shown):
    assert Page(runner, "import math", code).press(1)[1] == shown


def test_a_report_of_the_self_check_is_html(runner):
    shown = Page(runner, "from selfcheck import check", "def layer_norm(x, gamma, beta, eps=1e-5):\n    raise NotImplementedError",
                 "check(layer_norm)").press(2)[1]
    assert [kind for kind, _ in shown] == ["text/html"] and "NOT ATTEMPTED YET" in shown[0][1]


def test_a_flood_is_cut(runner):
    shown = Page(runner, "import math", "for i in range(200_000): print(i)\n'x' * 10**7").press(1)[1]
    printed = "".join(data for kind, data in shown if kind == "stdout")
    assert runner.LIMIT < len(printed) < runner.LIMIT + 100 and printed.endswith("... and more, which is not shown.\n")
    assert len(shown[-1][1]) == runner.LIMIT


def test_errors_show_the_readers_lines_alone(runner):
    page = Page(runner, "import math", "def f():\n    return 1 / 0", "f()", "if", "raise SystemExit", "input()")
    ran, shown = page.press(2)
    assert ran == [1, 2] and "return 1 / 0" in text(shown) and 'File "Cell 1", line 2' in text(shown)
    for index, words in ((3, "SyntaxError"), (4, "SystemExit"), (5, "write the value into the code instead")):
        assert words in text(page.press(index)[1])
    assert not any("runner.py" in text(page.press(index)[1]) for index in range(2, 6))


def test_a_cell_that_cannot_be_read_stops_those_that_need_it(runner):
    page = Page(runner, "import math", "def f(x)\n    return x", "print(f(1))")
    ran, shown = page.press(2)
    assert ran == [1] and "SyntaxError" in text(shown)
