"""The self-check accepts every right answer, names every known mistake, and never fails on a learner.

The exercises are those that chapters/selfcheck registers. The answers to those of a chapter are in
tests/selfcheck_answers, in a file named like the chapter's module.
"""

import ast
import copy
import faulthandler
import functools
import importlib.util
import inspect
import io
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import selfcheck
from selfcheck import Exercise, Misconception, check, grade, hint

try:
    EXERCISES = selfcheck.exercises()
except Exception as error:  # printed as this sentence alone
    raise pytest.Collector.CollectError(f"chapters/selfcheck cannot be imported: {type(error).__name__}: {error}") from None
every_exercise = pytest.mark.parametrize("name", EXERCISES)


def answers(name):
    """The answers file of the chapter that the exercise belongs to."""
    module = EXERCISES[name].reference.__module__.rpartition(".")[2]
    path = Path(__file__).parent / "selfcheck_answers" / f"{module}.py"
    assert path.exists(), (
        f"Add tests/selfcheck_answers/{module}.py with RIGHT and WRONG answers, like the others there."
    )
    spec = importlib.util.spec_from_file_location(f"answers_{module}", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    assert name in found.RIGHT and name in found.WRONG, f"{path.name}: add `{name}` to RIGHT and WRONG."
    return found


def named(fn, name):
    """`fn` as the learner's answer: with the exercise's name, and nothing else of it changed."""
    return types.FunctionType(fn.__code__, fn.__globals__, name, fn.__defaults__, fn.__closure__)


def written(body, signature="x, gamma, beta, eps=1e-5", name="layer_norm", **namespace):
    """An answer from the text of its body, as typed into a cell."""
    exec(
        f"def {name}({signature}):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}",
        namespace := {"np": np, **namespace},
    )
    return namespace[name]


# --- every exercise: right answers, mistakes, mutants ----------------------------------------------------------------


@every_exercise
def test_right_answers_pass(name):
    right = answers(name).RIGHT[name]
    assert len(right) >= 5, f"{name}: give at least 5 right answers in different styles"
    for fn in right:
        report = grade(named(fn, name))
        assert report and report.status == "passed" and report.misconception is None, (
            f"{name}: the right answer {fn.__name__} does not pass\n{report!r}"
        )


@every_exercise
def test_mistakes_are_named(name):
    exercise = EXERCISES[name]
    names = [mistake.name for mistake in [*exercise.misconceptions, *exercise.properties]]
    assert len(names) == len(set(names)), f"{name}: two mistakes have one name"
    for misconception in exercise.misconceptions:
        for i, wrong in enumerate(misconception.wrong):
            report = grade(named(wrong, name))
            assert (report.status, report.misconception) == ("failed", misconception.name), (
                f"{name}: way {i + 1} of {misconception.name} gets another verdict\n{report!r}"
            )
            assert report.message == misconception.message
    wrong = answers(name).WRONG[name]
    assert any(expected is None for _, expected in wrong), f"{name}: give a wrong answer that no misconception explains"
    broken = {expected for _, expected in wrong}
    assert broken >= {prop.name for prop in exercise.properties}, f"{name}: give an answer that breaks each property"
    probes = list(selfcheck._key(name, 0)[0])
    for fn, expected in wrong:
        report = grade(named(fn, name))
        assert not report and report.misconception == expected, (
            f"{name}: {fn.__name__} should fail with the mistake {expected}, not {report.misconception}\n{report!r}"
        )
        if expected is None:  # the first failing probe, in its words
            passed = {label for label, result in report.probes if result == "passed"}
            first = next(label for label in probes if label not in passed)
            assert report.message.lower().startswith(first.lower()), report.message


@every_exercise
@pytest.mark.parametrize("factor, passes", [(1 + 1e-6, True), (1.003, False)])
def test_tolerance_is_for_rounding_alone(name, factor, passes):
    reference = EXERCISES[name].reference

    def scaled(value):
        if isinstance(value, dict):
            return {key: scaled(part) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(map(scaled, value))
        return (value * np.array(factor, value.dtype)) if isinstance(value, np.ndarray) else value * factor

    answer = functools.wraps(reference)(lambda *args: scaled(reference(*args)))
    assert bool(grade(answer)) == passes, (
        f"{name}: the reference times {factor} should {'pass' if passes else 'fail'}\n{grade(answer)!r}"
    )


@every_exercise
def test_no_verdict_depends_on_the_random_numbers(name):
    exercise, known = EXERCISES[name], answers(name)
    right = [(named(fn, name), None) for fn in known.RIGHT[name]]
    wrong = [(named(fn, name), expected) for fn, expected in known.WRONG[name]]
    for seed in range(1, 26):
        ways = [(named(m.wrong[seed % len(m.wrong)], name), m.name) for m in exercise.misconceptions]
        for fn, expected in [*right, *wrong, *ways]:
            report, passes = grade(fn, seed), (fn, expected) in right
            assert (bool(report), report.misconception) == (passes, expected), (
                f"{name}: on the probes of seed {seed}, {fn.__code__.co_name} should "
                f"{'pass' if passes else f'fail with the mistake {expected}'}\n{report!r}"
            )


@every_exercise
def test_every_mutant_of_the_reference_is_rejected(name):
    equivalent = getattr(answers(name), "EQUIVALENT", {}).get(name, {})
    survivors, count = set(), 0
    for line, fn in mutants(EXERCISES[name].reference):
        count += 1
        if grade(fn):
            survivors.add(line)
    assert count >= 30, (
        f"{name}: only {count} wrong versions can be made by one edit of the reference, and 30 are needed to "
        "trust the probes: choose a function with more to get wrong"
    )
    passed, rejected = sorted(survivors - set(equivalent)), sorted(set(equivalent) - survivors)
    assert not passed, (
        f"{name}: the reference passes with each of these lines in it. Add a probe that fails it, or enter the line "
        "in EQUIVALENT with the reason why it computes the same:\n" + "\n".join(passed)
    )
    assert not rejected, f"{name}: take out of EQUIVALENT what does not pass:\n" + "\n".join(rejected)
    assert all(equivalent.values()), f"{name}: give a reason for each line in EQUIVALENT"


@every_exercise
def test_messages_are_for_learners(name):
    exercise = EXERCISES[name]
    texts = [mistake.message for mistake in [*exercise.misconceptions, *exercise.properties]] + list(exercise.hints)
    for text in texts:
        start = text[0].isupper() or text.startswith(tuple(inspect.signature(exercise.reference).parameters))
        assert start, f"{name}: start with a capital, or the name of an argument: {text}"
        assert text.endswith((".", "?")), f"{name}: end in a full stop or a question mark: {text}"
        assert "\n" not in text and len(text) <= 320, f"{name}: write one line of at most 320 characters: {text}"
    assert len(exercise.hints) >= 2, f"{name}: give at least 2 hints"
    labels = list(selfcheck._key(name, 0)[0])
    assert labels == list(selfcheck._key(name, 1)[0]), "a probe's words must not depend on the random numbers"
    for fn in [exercise.reference, *(m.wrong[0] for m in exercise.misconceptions)]:
        assert repr(grade(named(fn, name))) == repr(grade(named(fn, name)))
        assert not re.search(r"0x|/\w+/|\\\\|nan\b.*nan\b.*nan\b.*nan\b.*nan", repr(grade(named(fn, name))))


def mutants(reference):
    """(changed line, function) for every single edit of the reference's source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(reference)))
    if ast.get_docstring(tree.body[0]):
        del tree.body[0].body[0]
    before, seen = ast.unparse(tree).splitlines(), set()
    local = set(reference.__code__.co_varnames)
    for i, node in enumerate(ast.walk(tree)):
        for edit in edits(node, local):
            mutant = copy.deepcopy(tree)
            target = next(other for j, other in enumerate(ast.walk(mutant)) if i == j)
            new = edit(target)
            if new is not target:
                Replace(target, new).visit(mutant)
            text = ast.unparse(ast.fix_missing_locations(mutant))
            if text in seen or text.splitlines() == before:
                continue
            seen.add(text)
            namespace = dict(reference.__globals__)
            exec(text, namespace)
            changed = [line.strip() for line in text.splitlines() if line not in before]
            yield " | ".join(changed) or "a line removed: " + text, namespace[reference.__name__]


class Replace(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


SWAPS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.MatMult: [ast.Mult],
    ast.FloorDiv: [ast.Div],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
}
METHODS = {
    "mean": ["sum"],
    "sum": ["mean"],
    "var": ["std"],
    "std": ["var"],
    "max": ["min"],
    "min": ["max"],
    "maximum": ["minimum"],
    "minimum": ["maximum"],
    "exp": ["expm1"],
    "log": ["log1p"],
    "zeros": ["ones"],
    "ones": ["zeros"],
}


def edits(node, local):
    """Functions that change a node in place, or return what to put there."""

    def put(text):
        return lambda _: ast.parse(text, mode="eval").body

    def attribute(name, value):
        def edit(n):
            setattr(n, name, value)
            return n

        return edit

    if isinstance(node, ast.BinOp):
        yield from (attribute("op", op()) for op in SWAPS.get(type(node.op), []))
        yield from (lambda n: n.left, lambda n: n.right)
    if isinstance(node, ast.Compare):
        yield from (attribute("ops", [op()]) for op in SWAPS.get(type(node.ops[0]), []))
    if isinstance(node, ast.UnaryOp):
        yield lambda n: n.operand
        if isinstance(node.operand, ast.Constant):  # an axis
            yield from (put("None"), put("0"), put("-2"))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield put(str(not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield from (put(repr(node.value + 1)), put(repr(node.value - 1)), put(repr(node.value * 2)))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield put("''")
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in local:
        yield from map(put, sorted(local - {node.id}))
    if isinstance(node, ast.Attribute):
        yield from (attribute("attr", other) for other in METHODS.get(node.attr, []))
    if isinstance(node, ast.Call):
        for part, field in (("args", node.args), ("keywords", node.keywords)):
            for k in range(len(field)):
                yield lambda n, part=part, k=k: getattr(n, part).pop(k) and n
        if node.args:
            yield lambda n: n.args[0]
    if isinstance(node, (ast.If, ast.IfExp)):
        yield lambda n: attribute("test", ast.UnaryOp(ast.Not(), n.test))(n)
    if isinstance(node, ast.FunctionDef):
        for k in range(len(node.body) - 1):
            yield lambda n, k=k: n.body.pop(k) and n
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        for k in range(len(node.elts)):
            yield lambda n, k=k: n.elts.pop(k) and n


# --- every learner: no traceback, one sentence -----------------------------------------------------------------------

GOOD = "return gamma * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) + beta"
NOT_AN_ANSWER = "Pass a function made with `def`"


class Quacks:
    __name__ = "layer_norm"

    def __call__(self, x, gamma, beta, eps=1e-5):
        return eval(GOOD.removeprefix("return "), {"np": np}, locals())


@pytest.mark.parametrize("thing", [None, 3, "layer_norm", np.zeros(3), lambda x: x, Quacks, functools.partial(max), []])
def test_not_a_function(thing):
    assert grade(thing).status == "error" and grade(thing).message.startswith(NOT_AN_ANSWER)
    shown = io.StringIO()
    with redirect_stdout(shown):
        check(thing)
        hint(thing)
    assert shown.getvalue().count(NOT_AN_ANSWER) == 2


def test_unknown_name_lists_the_exercises():
    report = grade(written(GOOD, name="layernorm"))
    assert report.status == "error" and "`layernorm`" in report.message
    assert all(name in report.message for name in EXERCISES)


def test_other_callables_pass():
    good = written(GOOD)

    @functools.wraps(good)
    def decorated(*args, **kwargs):
        return good(*args, **kwargs)

    renamed = written("return layer_norm(a, b, c, d)", "a, b, c, d=1e-5", layer_norm=good, name="layer_norm_solution")
    for fn in (Quacks(), decorated, good.__get__(None, object), renamed, functools.cache(good)):
        assert "unhashable" in grade(fn).message if fn.__class__ is type(functools.cache(len)) else grade(fn), grade(fn)


def sentences():
    """(name, body of the answer, status, words that the message must have)."""
    error, failed = "error", "failed"
    return [
        ("own line", "y = 1\nreturn foo", error, ["NameError", "line 3", "name 'foo' is not defined"]),
        ("helper's line", "def helper(a):\n    return a @ 3\nreturn helper(x)", error, ["ValueError", "line 3"]),
        ("np redefined", "return np.mean(x)", error, ["AttributeError", "'int' object has no attribute 'mean'"]),
        (
            "own exception",
            "class Odd(Exception):\n    def __str__(self): raise KeyError\nraise Odd",
            error,
            ["Odd in line 4."],
        ),
        ("exit", "import sys\nsys.exit(1)", error, ["SystemExit", "use `return`"]),
        ("quit", "raise SystemExit", error, ["SystemExit"]),
        ("generator exit", "raise GeneratorExit", error, ["GeneratorExit"]),
        ("recursion", "return layer_norm(x, gamma, beta, eps)", error, ["RecursionError", "calls itself without end"]),
        ("memory", "return np.ones((10**7, 10**7, 8))", error, ["MemoryError", "does not fit"]),
        (
            "path and address",
            "raise ValueError('no /home/someone/data.npy at', object())",
            error,
            ["data.npy", "0x..."],
        ),
        ("long", "raise ValueError('long ' * 1000)", error, ["..."]),
        ("none", "x - x.mean()", failed, ["should be an array of shape (4,)", "None (is a `return` missing?)"]),
        ("list", "return x.tolist()", failed, ["should be an array of shape (4,)", "a list of 4"]),
        ("tuple", "return x, gamma", failed, ["a tuple of 2"]),
        ("number", "return 3.0", failed, ["of type float"]),
        ("numpy number", "return x.mean()", failed, ["of type float64"]),
        ("0-d array", "return np.array(1.0)", failed, ["an array of shape ()"]),
        ("shape", "return x[..., :2]", failed, ["should be an array of shape (4,)", "of shape (2,)"]),
        ("huge view", "return np.broadcast_to(1.0, (10**9, 10**9))", failed, ["of shape (1000000000, 1000000000)"]),
        ("string", "return 'no'", failed, ["of type str"]),
        ("function", "return layer_norm", failed, ["of type function"]),
        ("generator", "yield x", failed, ["of type generator"]),
        ("matrix", "return np.asmatrix(x)", failed, ["a matrix of shape (1, 4)"]),
        ("masked", "return np.ma.masked_array(x)", failed, ["a MaskedArray of shape (4,)"]),
        ("integers", "return x.astype(int)", failed, ["dtype int", "expected float64"]),
        ("complex", "return x * 1j", failed, ["dtype complex128"]),
        ("objects", "return x.astype(object)", failed, ["dtype object"]),
        ("strings", "return x.astype(str)", failed, ["dtype <U", "expected float64"]),
        ("no minus zero", "return -1e-9 * x", failed, ["got [0, 0, 0, 0]"]),
        ("nan", "return x * np.nan", failed, ["got [nan, nan, nan, nan]", "A nan or inf comes from"]),
        ("inf", "return x / 0", failed, ["got [inf, inf, inf, inf]", "A nan or inf comes from"]),
        (
            "values",
            "return 2 * x",
            failed,
            ["One token [1, 2, 3, 4], gamma 1, beta 0: expected [-1.3416, -0.4472, 0.4472, 1.3416], got [2, 4, 6, 8]."],
        ),
        ("in place", f"x -= 1\n{GOOD}", failed, ["changes its input `x` in place"]),
        ("in place, other input", f"gamma *= 2\n{GOOD}", failed, ["changes its input `gamma` in place"]),
        (
            "float64 for float32",
            GOOD.replace("x.mean", "x.astype(float).mean"),
            failed,
            ["Float32 features near 4096: the result has dtype float64, expected float32."],
        ),
    ]


@pytest.mark.parametrize("body, status, words", [pytest.param(*rest, id=case) for case, *rest in sentences()])
def test_one_sentence(body, status, words):
    fn = written(body, np=1) if "np.mean(x)" in body else written(body)
    report = grade(fn)
    assert (report.status, report.misconception) == (status, None), repr(report)
    assert all(word in report.message for word in words), report.message
    assert "Traceback" not in repr(report) and "/home" not in repr(report) and "selfcheck" not in repr(report)
    assert "\n" not in report.message and len(report.message) < 400 and report.message.endswith("."), report.message
    assert repr(grade(fn)) == repr(report)


@pytest.mark.parametrize(
    "signature", ["x", "x, gamma, beta", "x, gamma, beta, eps, more", "*, x, gamma, beta, eps=0.1", ""]
)
def test_wrong_signature(signature):
    report = grade(written("return x", signature))
    assert report.status == "error"
    assert (
        report.message
        == f"Your function is `layer_norm({signature})`; the exercise needs `layer_norm(x, gamma, beta, eps=1e-05)`."
    )


def test_own_line_is_shown(tmp_path):
    path = tmp_path / "cell.py"  # a notebook cell is a file to the traceback, too
    path.write_text(
        "import numpy as np\ndef layer_norm(x, gamma, beta, eps=1e-5):\n    y = x @ np.zeros(99)  # oops\n    return y\n"
    )
    exec(compile(path.read_text(), str(path), "exec"), namespace := {})
    report = grade(namespace["layer_norm"])
    assert "ValueError in line 3, `y = x @ np.zeros(99)  # oops`: matmul" in report.message
    assert str(tmp_path) not in repr(report)


def test_unattempted_only_by_its_own_stub():
    stub = written('"""Docstring."""\nraise NotImplementedError("your turn")')
    assert grade(stub).status == "unattempted" and not grade(stub)
    assert grade(functools.wraps(stub)(lambda *args: stub(*args))).status == "unattempted"
    assert grade(written("def inner(): raise NotImplementedError\ninner()")).status == "error"
    half = grade(written(f"if x.ndim > 2: raise NotImplementedError\n{GOOD}"))
    assert half.status == "error" and "NotImplementedError" in half.message and len(half.probes) > 5


def test_prints_are_kept_short(capsys):
    report = grade(
        written(f"print('shape', x.shape)\nprint(object())\nfor i in range(10**5): print('flood', i)\n{GOOD}")
    )
    assert report and len(report.printed.splitlines()) == 3 and len(repr(report)) < 2000
    assert report.printed.startswith("shape (4,)\n<object object at 0x...>")
    report = grade(written(f"import sys, warnings\nprint('e' * 10**6, file=sys.stderr)\nwarnings.warn('w')\n{GOOD}"))
    assert report and report.printed.startswith("eee") and len(report.printed) < 400
    assert capsys.readouterr() == ("", "")
    printed = selfcheck._Printed()
    for _ in range(100):
        printed.write("again" * 1000)
    assert printed.tell() <= 4000, "an endless loop that prints must not fill the memory"


def test_global_state_does_not_matter():
    with np.errstate(all="raise"):
        assert grade(written(GOOD))
        assert grade(written(GOOD.replace("+ eps", "")), 3).misconception == "eps-missing"
    state = np.geterr()
    assert grade(written(f"np.seterr(all='raise')\nnp.random.seed(0)\nnp.set_printoptions(precision=1)\n{GOOD}"))
    assert np.geterr() == state
    np.set_printoptions()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grade(written(GOOD.replace("+ eps", ""))).misconception == "eps-missing"
        assert grade(written(f"import warnings\nwarnings.warn('w')\n{GOOD}"))


def test_keyboard_interrupt_still_interrupts():
    with pytest.raises(KeyboardInterrupt):
        grade(written("raise KeyboardInterrupt"))


# --- endless loops ---------------------------------------------------------------------------------------------------

LOOPS = {
    "one line": "while True: pass",
    "two lines": "while True:\n    pass",
    "for": "for _ in iter(int, 1): pass",
    "numpy": "while True:\n    x.mean()",
    "prints": "while True:\n    print('again')",
    "except Exception": "while True:\n    try:\n        x = x + 1\n    except Exception:\n        pass",
    "bare except": "while True:\n    try:\n        x = x.mean()\n    except:\n        pass",
    "bare except, empty": "while True:\n    try:\n        pass\n    except:\n        pass",
    "nested": "while True:\n    try:\n        while True:\n            try:\n                x.mean()\n            except: pass\n    except: pass",
    "finally": "while True:\n    try:\n        x.mean()\n    finally:\n        continue",
    "converted": "try:\n    while True: x.mean()\nexcept BaseException as error:\n    raise ValueError('no') from error",
    "swallowed, then right": f"try:\n    while True: x.mean()\nexcept:\n    {GOOD}",
    "helper": "def helper():\n    while True:\n        try:\n            x.mean()\n        except:\n            pass\nreturn helper()",
    "late": f"if x.ndim > 2:\n    while True: pass\n{GOOD}",
}


@pytest.mark.parametrize("how", ["alarm", "tracer"])
@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
@pytest.mark.filterwarnings("ignore")
def test_endless_loops_are_stopped(body, how, monkeypatch):
    if how == "tracer":
        monkeypatch.setattr(threading, "main_thread", lambda: None)  # as off the main thread
    elif not hasattr(signal, "setitimer"):
        pytest.skip("no alarm on this system")
    monkeypatch.setattr(selfcheck, "SECONDS", 0.2)
    faulthandler.dump_traceback_later(30, exit=True)  # a loop that is not stopped must not hang the tests
    trace, handler = sys.gettrace(), hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    report = grade(written(body))
    faulthandler.cancel_dump_traceback_later()
    assert report.status == "timeout" and time.monotonic() - start < 3
    assert report.message == "Stopped after 0.2 seconds. Is there a loop that never ends?"
    assert sys.gettrace() is trace
    if handler:
        assert signal.getsignal(signal.SIGALRM) is handler and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    time.sleep(0.03)  # an alarm that was left running would ring here
    monkeypatch.undo()
    assert grade(written(GOOD))


def test_a_waiting_alarm_is_put_back():
    if not hasattr(signal, "setitimer"):
        pytest.skip("no alarm on this system")
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        assert grade(written(GOOD))
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_works_in_a_thread():
    reports = []

    def work():
        reports.extend([grade(written(GOOD)), grade(written("return 2 * x")), sys.gettrace()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [report.status for report in reports[:2]] == ["passed", "failed"] and reports[2] is None


# --- results of other kinds: what later chapters return and take -----------------------------------------------------


@pytest.fixture
def register(monkeypatch):
    def add(reference, probes, misconceptions=(), **options):
        monkeypatch.setitem(EXERCISES, reference.__name__, Exercise(reference, probes, misconceptions, [], **options))
        selfcheck._key.cache_clear()

    yield add
    selfcheck._key.cache_clear()


def test_dicts(register):
    def budget(n, d):
        return {"train_flops": 6 * n * d, "weight_bytes": 2 * n}

    forward_only = Misconception(
        "forward-only", "Only the forward pass.", [lambda n, d: {"train_flops": 2 * n * d, "weight_bytes": 2 * n}]
    )
    register(budget, lambda rng: {"8 billion": (8_000_000_000, 15 * 10**12), "1": (1.0, 1.0)}, [forward_only])

    def said(body):
        return grade(written(body, "n, d", "budget"))

    assert said("return {'weight_bytes': 2.0 * n, 'train_flops': np.float64(6) * n * d}")
    assert said("return dict(train_flops=2 * n * d, weight_bytes=2 * n)").misconception == "forward-only"
    assert (
        "8 billion: train_flops: expected 7.2e+23, got 8e+09."
        == said("return dict(train_flops=n, weight_bytes=2 * n)").message
    )
    assert (
        "a dict with the keys train_flops, weight_bytes; it is a dict of 1."
        in said("return dict(train_flops=n)").message
    )
    assert (
        "train_flops should be one number; it is None" in said("return dict(train_flops=None, weight_bytes=n)").message
    )
    assert "it is a tuple of 2" in said("return n, d").message
    assert "it is of type int" in said("return dict(train_flops=10**400, weight_bytes=n)").message


def test_numbers_and_ragged_lists(register):
    def lm_loss(logits, tokens):
        return float(logits.sum()) + int(tokens.sum())

    register(lm_loss, lambda rng: {"small": (np.ones((2, 3)), np.arange(3))})

    def said(body):
        return grade(written(body, "logits, tokens", "lm_loss"))

    for right in ("return 9.0", "return 9", "return np.float32(9)", "return np.array(9.0)"):
        assert said(right)
    for body, words in {
        "return np.ones(3)": "one number; it is an array of shape (3,)",
        "return [[1, 2], [3]]": "a list of 2",
        "return 9j": "of type complex",
        "return np.complex64(9)": "of type complex64",
        "return 8": "Small: expected 9, got 8.",
        "tokens[0] = 5\nreturn 9.0": "`tokens` in place",
        "return float('nan')": "got nan. A nan or inf",
    }.items():
        assert words in said(body).message, said(body)


def test_nested_tuples_dicts_and_in_place_changes(register):
    def cached_step(x, P, cache):
        keys = np.concatenate([cache[0], x[None]])
        return x @ P["q"], (keys, cache[1])

    probe = (np.ones(3), {"q": np.eye(3)}, (np.zeros((0, 3)), np.zeros((0, 3))))
    register(cached_step, lambda rng: {"an empty cache": probe}, returns="y, cache")

    def said(body):
        return grade(written(body, "x, P, cache", "cached_step"))

    assert said("return x, (x[None], cache[1])") and said("return [x, [x[None], cache[1]]]")
    assert (
        "An empty cache: cache[0] should be an array of shape (1, 3); it is an array of shape (0, 3)."
        == said("return x, cache").message
    )
    assert "should be 2 values (y, cache); it is an array of shape (3,)" in said("return x").message
    assert "`P` in place" in said("P['q'] += 1\nreturn x, (x[None], cache[1])").message
    assert "`P` in place" in said("P['k'] = 1\nreturn x, (x[None], cache[1])").message
    assert "`cache` in place" in said("cache[0].resize((5, 3), refcheck=False)\nreturn x, (x[None], cache[1])").message


def test_in_place_misconception(register):
    def relu(x):
        return np.maximum(x, 0)

    def clobbers(x):
        x[x < 0] = 0
        return x

    register(relu, lambda rng: {"signs": (np.array([-1.0, 1]),)}, [Misconception("clobbers", "In place.", [clobbers])])
    assert grade(written("return np.maximum(x, 0, out=x)", "x", "relu")).misconception == "clobbers"
    assert grade(written("return x * (x > 0)", "x", "relu"))


def test_integers_are_compared_exactly(register):
    def ids(x):
        return x + 1

    register(ids, lambda rng: {"large": (np.array([30000, 5]),)})
    assert grade(written("return (x + 1).astype('int32')", "x", "ids"))
    assert "expected [30001, 6], got [30002, 6]" in grade(written("return x + np.array([2, 1])", "x", "ids")).message
    assert "dtype float64" in grade(written("return x + 1.0", "x", "ids")).message


def test_judged_by_what_the_answer_does(register):
    def write_fact(w, key):
        return np.append(w, key)

    leaks = Misconception("leaks", "It leaks.", [lambda w, key: w + key])
    register(
        write_fact,
        lambda rng: {"one": (np.array([1.0, 2]), 3.0)},
        [leaks],
        view=lambda out, w, key: np.array([out.sum(), out.max()]),
    )
    for body in ("return np.append(w, key)", "return np.insert(w, 0, key)", "return [w[0], w[1], key] @ np.eye(3)"):
        assert grade(written(body, "w, key", "write_fact"))
    assert grade(written("return key + w", "w, key", "write_fact")).misconception == "leaks"
    assert "is None" in grade(written("pass", "w, key", "write_fact")).message
    assert grade(written("return 'no'", "w, key", "write_fact")).status == "error"


# --- how it looks ----------------------------------------------------------------------------------------------------


def test_report_reads_without_colour(monkeypatch):
    bodies = {
        "PASSED": GOOD,
        "NOT YET": "return 2 * x",
        "NOT ATTEMPTED YET": "raise NotImplementedError",
        "ERROR": "return foo",
        "STOPPED": "while True: pass",
    }
    for word, body in bodies.items():
        if word == "STOPPED":
            monkeypatch.setattr(selfcheck, "SECONDS", 0.2)
        report = grade(written(body))
        assert repr(report).startswith(f"{word}: layer_norm\n{report.message}")
        page = report._repr_html_()
        assert page.startswith('<div role="status"') and f"<strong>{word}</strong>" in page and "currentColor" in page
        assert "<script" not in page and " id=" not in page and "background" not in page
        assert repr(report).isascii(), "a Windows console shows ASCII everywhere"
    page = grade(written("print('<b>&')\nraise ValueError('<i>&')"))._repr_html_()
    assert "<b>" not in page and "<i>" not in page and "&lt;i&gt;&amp;" in page


def test_check_prints_and_returns_nothing(capsys):
    assert check(written(GOOD)) is None
    assert capsys.readouterr().out == repr(grade(written(GOOD))) + "\n"


def test_hints(capsys):
    fn, texts = written("raise NotImplementedError"), EXERCISES["layer_norm"].hints
    assert hint(fn) is None
    assert capsys.readouterr().out.splitlines() == [f"Hint {i}: {text}" for i, text in enumerate(texts, 1)]
    hint(fn, 2)
    assert capsys.readouterr().out == f"Hint 2: {texts[1]}\n"
    for n in (0, -1, len(texts) + 1, "first"):
        hint(fn, n)
        assert (
            capsys.readouterr().out
            == f"There are {len(texts)} hints: `hint(layer_norm, 1)` to `hint(layer_norm, {len(texts)})`.\n"
        )


def test_in_ipython():
    pytest.importorskip("IPython")
    script = textwrap.dedent("""
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.utils.capture import capture_output
        shell = InteractiveShell.instance()
        shell.run_cell("import numpy as np\\nfrom selfcheck import check, hint\\ndef layer_norm(x, gamma, beta, eps=1e-5):\\n    return x @ 1")
        with capture_output() as out:
            shell.run_cell("check(layer_norm); hint(layer_norm)")
        report, hints = (o.data for o in out.outputs)
        assert report["text/plain"].startswith("ERROR") and "in line 4, `return x @ 1`" in report["text/plain"], report
        assert report["text/html"].startswith('<div role="status"') and hints["text/html"].count("<details>") == 4
    """)
    chapters = Path(selfcheck.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], cwd=chapters, check=True, timeout=60)


def test_importing_is_quick_and_lazy():
    script = (
        "import sys, numpy, time; t = time.process_time(); import selfcheck; t = time.process_time() - t; "
        "assert 'IPython' not in sys.modules and not [m for m in sys.modules if m.startswith('selfcheck.')]; print(t)"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(selfcheck.__file__).parents[1], check=True, capture_output=True
    )
    assert float(out.stdout) < 0.1


@every_exercise
def test_a_check_is_quick(name):
    grade(EXERCISES[name].reference)
    start = time.process_time()
    assert grade(EXERCISES[name].reference)
    assert time.process_time() - start < 0.2
