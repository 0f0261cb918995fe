"""The self-check of the exercises: `check(fn)` reports, `hint(fn)` helps, `grade(fn)` is for tests and tools.

An exercise is data, in one module per chapter beside this file: a reference, named probe inputs, and misconceptions,
which are wrong implementations with a name. An answer that is wrong just as a misconception is wrong, on every probe,
gets that misconception's message; any other wrong answer gets the smallest failing probe in plain words.
What a report says depends on the answer alone: no times, paths or addresses.
"""
import contextlib
import functools
import html
import importlib
import inspect
import io
import linecache
import math
import pkgutil
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

__all__ = ["check", "grade", "hint"]
SECONDS = 5.0  # for the whole check of one answer
STATUS = {  # status: the word that the learner sees, and a border colour that shows on white and on black
    "passed": ("PASSED", "#2da44e"),
    "failed": ("NOT YET", "#bf8700"),
    "unattempted": ("NOT ATTEMPTED YET", "#848d97"),
    "error": ("ERROR", "#cf222e"),
    "timeout": ("STOPPED", "#cf222e"),
}


@dataclass
class Misconception:
    """A wrong idea: its name, what the learner reads, and the ways in which learners write it.

    `rounding=True`: its wrong digits are rounding noise, so being wrong on the same probes counts as agreement.
    """
    name: str
    message: str
    wrong: Sequence[Callable]
    rounding: bool = False


@dataclass
class Property:
    """Something that every right answer does. `holds(fn)` is asked where no misconception explains the answer."""
    name: str
    message: str
    holds: Callable[[Callable], bool]


@dataclass
class Exercise:
    """What an answer is judged by. The learner's function has the name and the parameters of `reference`.

    probes: from a random generator, {plain words: arguments}, the smallest first. Arguments are arrays, numbers,
        strings, functions, and tuples and dicts of these.
    returns: names for the returned values where there are several: "dx, dW1, dW2".
    view: (returned value, *arguments) -> what is compared, for answers that are judged by what they do.
    tolerance: the largest error, relative to the largest expected number. 1e-4 lets float32 arithmetic pass.
    """
    reference: Callable
    probes: Callable[[np.random.Generator], dict[str, tuple]]
    misconceptions: Sequence[Misconception]
    hints: Sequence[str]
    properties: Sequence[Property] = ()
    returns: str = ""
    view: Callable | None = None
    tolerance: float = 1e-4


@dataclass
class Report:
    """What `check` shows. True if the answer passed; `misconception` is the name of the mistake, or None."""
    name: str
    status: str
    message: str
    misconception: str | None = None
    probes: list[tuple[str, str]] = field(default_factory=list)  # (plain words, "passed" or "not yet")
    printed: str = ""

    def __bool__(self):
        return self.status == "passed"

    def __repr__(self):
        lines = [f"{STATUS[self.status][0]}: {self.name}", self.message]
        lines += [f"  [{result}] {label}" for label, result in self.probes]
        lines += [f"  printed: {line}" for line in self.printed.splitlines()]
        return "\n".join(lines)

    def _repr_html_(self):
        word, colour = STATUS[self.status]
        marks = {"passed": "passed", "not yet": "<strong>not yet</strong>"}
        probes = "".join(f"<li>{marks[result]}: {_html(label)}</li>" for label, result in self.probes)
        printed = self.printed and f"<br>Your function printed:<pre>{_html(self.printed)}</pre>"
        return (f'<div role="status" style="border-left: .3em solid {colour}; color: currentColor; padding: .2em .8em">'
                f"<strong>{word}</strong>: <code>{_html(self.name)}</code><br>{_html(self.message)}"
                + (probes and f"<ul>{probes}</ul>") + printed + "</div>")


def check(fn: Callable) -> None:
    """Check `fn` against the exercise that has its name, and show the report."""
    report = grade(fn)
    _show(repr(report), report._repr_html_())


def hint(fn: Callable, n: int | None = None) -> None:
    """Show the hints of the exercise that `fn` answers, each folded; with `n`, the n-th alone (from 1)."""
    exercise, name, problem = _find(fn)
    hints = [(i, text) for i, text in enumerate(exercise.hints, 1) if n in (None, i)] if exercise else []
    if exercise and not hints:
        problem = f"There are {len(exercise.hints)} hints: `hint({name}, 1)` to `hint({name}, {len(exercise.hints)})`."
    _show(problem or "\n".join(f"Hint {i}: {text}" for i, text in hints),
          _html(problem) + "".join(f"<details><summary>Hint {i}</summary>{_html(text)}</details>" for i, text in hints))


def grade(fn: Callable, seed: int = 0) -> Report:
    """Judge `fn` by the exercise that has its name, on the probes drawn from `seed`. Whatever `fn` is, no exception."""
    exercise, name, problem = _find(fn)
    problem = problem or _signature_problem(exercise, fn, name, seed)
    if problem:
        return Report(name, "error", problem)
    probes, right, mistakes = _key(name, seed)
    mine, problems, printed, deadline = [], [], _Printed(), time.monotonic() + SECONDS
    with _quiet(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        for args, answer in zip(probes.values(), right):
            mine.append(_observe(exercise, fn, args, deadline))
            problems.append(_problem(exercise, fn, mine[-1], answer))
            if isinstance(mine[-1].error, _TimeUp):
                break
        named = _misconception(exercise, mine, right, mistakes) if any(problems) else None
        named = named or _broken_property(exercise, fn, mine, deadline)
    results = [(label, "not yet" if problem else "passed") for label, problem in zip(probes, problems)]
    results = results if not all(problems) else []
    printed = _plain("\n".join(dict.fromkeys(printed.getvalue().splitlines())), lines=3)

    if isinstance(mine[-1].error, _TimeUp):
        message = f"Stopped after {SECONDS:g} seconds. Is there a loop that never ends?"
        return Report(name, "timeout", message, None, results, printed)
    if all(_is_stub(outcome.error, fn) for outcome in mine):
        message = "Write your code in place of the `raise` line, run that cell, then this one again."
        return Report(name, "unattempted", message)
    if named:
        return Report(name, "failed", named.message, named.name, results, printed)
    for label, problem, outcome in zip(probes, problems, mine):
        if problem:
            message = f"{label[0].upper()}{label[1:]}: {problem}"
            return Report(name, "error" if outcome.error else "failed", message, None, results, printed)
    return Report(name, "passed", f"Right on all {len(probes)} probes.", None, results, printed)


# --- what an answer is compared with ---------------------------------------------------------------------------------

@functools.cache
def exercises() -> dict[str, Exercise]:
    """All exercises by name, from the `EXERCISES` of every module in this folder."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {exercise.reference.__name__: exercise for module in modules for exercise in module.EXERCISES}


def _find(fn) -> tuple[Exercise | None, str, str]:
    """(exercise, its name, ""), or (None, a name to show, a sentence that says what to pass instead)."""
    name = getattr(fn, "__name__", None)
    if not callable(fn) or inspect.isclass(fn) or not isinstance(name, str) or name == "<lambda>":
        return None, "?", "Pass a function made with `def`, without quotes and without calling it: `check(layer_norm)`."
    exercise = exercises().get(name.removesuffix("_solution"))
    if exercise:
        return exercise, exercise.reference.__name__, ""
    return None, name, f"No exercise is called `{name}`. The exercises are: {', '.join(sorted(exercises()))}."


def _signature_problem(exercise: Exercise, fn: Callable, name: str, seed: int) -> str:
    with contextlib.suppress(Exception):  # some callables do not tell
        signature = inspect.signature(fn)
        try:
            for args in {len(args): args for args in _key(name, seed)[0].values()}.values():
                signature.bind(*args)
        except TypeError:
            wanted = inspect.signature(exercise.reference)
            return _plain(f"Your function is `{name}{signature}`; the exercise needs `{name}{wanted}`.")
    return ""


@functools.lru_cache(maxsize=16)
def _key(name: str, seed: int):
    """The probes; the right outcomes; for every way to write a misconception, the misconception and its outcomes."""
    exercise = exercises()[name]
    probes = exercise.probes(np.random.default_rng(seed))

    def outcomes(fn):
        return [_observe(exercise, fn, args, math.inf) for args in probes.values()]
    with _quiet():
        mistakes = [(m, outcomes(fn)) for m in exercise.misconceptions for fn in m.wrong]
        return probes, outcomes(exercise.reference), mistakes


def _misconception(exercise, mine, right, mistakes) -> Misconception | None:
    """The misconception that is wrong just as the answer is, on every probe where both return something.

    A call that raises says nothing: statistics over axes (1, 2) are one idea, whether or not a matrix makes them fail.
    """
    def same(a, b):
        return not _difference(a.value, b.value, exercise.tolerance, words=False) and a.changed == b.changed

    for misconception, theirs in mistakes:
        pairs = [(a, b, answer) for a, b, answer in zip(mine, theirs, right) if not (a.error or b.error)]
        if misconception.rounding:
            agree = all(same(a, answer) == same(b, answer) for a, b, answer in pairs)
        else:
            agree = all(same(a, b) for a, b, _ in pairs)
        if agree and not all(same(b, answer) for _, b, answer in pairs):
            return misconception
    return None


def _broken_property(exercise, fn, mine, deadline) -> Property | None:
    for prop in exercise.properties if not any(outcome.error for outcome in mine) else ():
        with contextlib.suppress(Exception, SystemExit, _TimeUp):  # what cannot be asked is not known to be broken
            if not prop.holds(lambda *args: _limited(fn, _copy(args), deadline)):
                return prop
    return None


# --- running the learner's function ----------------------------------------------------------------------------------

class _Outcome(NamedTuple):
    value: Any  # what the call returned, through the exercise's view
    error: BaseException | None
    changed: str  # the name of an input that was changed in place


def _observe(exercise: Exercise, fn: Callable, probe: tuple, deadline: float) -> _Outcome:
    args = _copy(probe)
    try:
        value = _limited(fn, args, deadline)
        names = exercise.reference.__code__.co_varnames
        changed = next((name for name, a, b in zip(names, args, probe) if _difference(a, b, 0)), "")
        view = exercise.view and value is not None
        outcome = _Outcome(exercise.view(value, *_copy(probe)) if view else value, None, changed)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: it must not end the kernel
        outcome = _Outcome(None, error, "")
    return outcome if time.monotonic() < deadline else _Outcome(None, _TimeUp(), "")


class _TimeUp(BaseException):
    """Not an Exception, so `except Exception:` in an endless loop lets it pass. A bare `except:` swallows it, but then
    this object dies where that clause ends, and `again` has the next one raised right there, outside the `try`."""

    def __init__(self, again: Callable = lambda: None):
        self.again = again

    def __del__(self):
        self.again()


def _limited(fn: Callable, args: tuple, deadline: float):
    """fn(*args), or _TimeUp at the deadline: by an alarm where there is one (Unix, main thread), else by a tracer."""
    if deadline == math.inf:
        return fn(*args)
    running = True

    def again():
        if running:
            sys._getframe(2).f_trace = tracer
            sys.settrace(tracer)

    def tracer(frame, event, arg):
        frame.f_trace_opcodes = sys.version_info < (3, 12)  # there, `while True: pass` is one line event for ever
        if time.monotonic() > deadline:
            raise _TimeUp(again)
        return tracer

    def alarm(*_):
        if running:
            raise _TimeUp(again)

    by_alarm = sys.platform not in ("emscripten", "win32") and threading.current_thread() is threading.main_thread()
    start, old_trace, old_timer = time.monotonic(), sys.gettrace(), (0, 0)
    old_alarm = signal.signal(signal.SIGALRM, alarm) if by_alarm else None
    try:
        try:
            if by_alarm:
                old_timer = signal.setitimer(signal.ITIMER_REAL, max(deadline - start, 1e-3), 0.01)
            else:
                sys.settrace(tracer)
            return fn(*args)
        finally:
            running = False
    finally:  # a second one, in case the alarm rings at the start of the first
        running = False
        sys.settrace(old_trace)
        if by_alarm:
            left = old_timer[0] and max(old_timer[0] - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, old_timer[1])
            signal.signal(signal.SIGALRM, old_alarm)


class _Printed(io.StringIO):
    """Keeps what is printed first: an endless loop that prints must not fill the memory."""

    def write(self, text):
        if self.tell() < 2000:
            super().write(text[:2000])
        return len(text)


@contextlib.contextmanager
def _quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _copy(value):
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return tuple(map(_copy, value)) if isinstance(value, tuple) else value


# --- saying in words what is wrong -----------------------------------------------------------------------------------

def _problem(exercise: Exercise, fn: Callable, outcome: _Outcome, right: _Outcome) -> str:
    """What is wrong with the outcome of one probe, in a sentence; "" if nothing is."""
    if outcome.error:
        return _error_sentence(outcome.error, fn)
    if outcome.changed:
        return f"your function changes its input `{outcome.changed}` in place. Write `x = x + y`, not `x += y`."
    return _difference(outcome.value, right.value, exercise.tolerance, exercise.returns)


def _difference(got, want, tolerance: float, returns: str = "", name: str = "the result", words: bool = True) -> str:
    """"" if `got` is as good as `want`, else a sentence that says how the value called `name` differs.

    `words=False`, to match misconceptions: quicker, any text will do, and dtypes do not matter.
    """
    if isinstance(want, dict):
        expected = f"a dict with the keys {', '.join(map(str, want))}"
        fits = isinstance(got, dict) and got.keys() == want.keys()
        parts = ((key, got[key], want[key]) for key in want)
    elif isinstance(want, tuple):
        expected = f"{len(want)} values" + (returns and f" ({returns})")
        fits = isinstance(got, (tuple, list)) and len(got) == len(want)
        parts = zip(returns.split(", ") if returns else [f"{name}[{i}]" for i in range(len(want))], got, want)
    else:
        return _number_difference(got, want, tolerance, name, words)
    if not fits:
        return f"{name} should be {expected}; it is {_kind(got)}."
    return next(filter(None, (_difference(g, w, tolerance, "", part, words) for part, g, w in parts)), "")


def _number_difference(got, want, tolerance: float, name: str, words: bool) -> str:
    if got is want or type(got) is type(want) is str and got == want or _identical(got, want):
        return ""
    a, b = _real(got), _real(want)
    if b is None:  # a string or a function among the arguments
        return f"{name} is another object."
    array = isinstance(want, np.ndarray) and want.ndim
    if (type(got) is not np.ndarray if array else a is None) or np.shape(got) != b.shape:
        return f"{name} should be {f'an array of shape {b.shape}' if array else 'one number'}; it is {_kind(got)}."
    if a is None or words and array and got.dtype != want.dtype and "f" in got.dtype.kind + want.dtype.kind:
        return f"{name} has dtype {got.dtype}, expected {want.dtype}."
    if array and want.dtype.kind in "iu":
        tolerance = 0
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.01)  # not below .01: the rounding error of a zero is no mistake
    wrong = ~((np.abs(a - b) <= tolerance * scale) | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not words or not wrong.any():
        return "differs" if wrong.any() else ""
    first = tuple(map(int, np.argwhere(wrong)[0]))
    shown = (*first[:-1], slice(first[-1], first[-1] + 4) if first[-1] > 3 else slice(4)) if first else ()
    where = f" at {list(first)}" if len(first) > 1 or sum(first) > 3 else ""
    nan = " A nan or inf comes from a division by zero or an overflow." if not np.isfinite(a[first]) else ""
    return f"{name}: expected {_digits(b[shown])}, got {_digits(a[shown])}{where}.{nan}".removeprefix("the result: ")


def _identical(a, b) -> bool:
    """Bit for bit the same array: the quick answer to whether an input was left alone."""
    if not type(a) is type(b) is np.ndarray:
        return False
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def _real(value) -> np.ndarray | None:
    """A plain array or a number as float64, or None if the value is not real numbers."""
    if type(value) in (bool, int, float) or isinstance(value, np.generic) or type(value) is np.ndarray:
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return np.asarray(value, np.float64) if np.asarray(value).dtype.kind != "c" else None
    return None


def _digits(value: np.ndarray) -> str:
    texts = [f"{round(v, 4) + 0.0:.6g}" for v in value.ravel().tolist()]  # + 0.0: no -0
    return f"[{', '.join(texts)}]" if value.ndim else texts[0]


def _kind(value) -> str:
    if isinstance(value, np.ndarray):
        return f"a {type(value).__name__} of shape {value.shape}".replace("a ndarray", "an array")
    if isinstance(value, (dict, tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None (is a `return` missing?)" if value is None else f"of type {type(value).__name__}"


def _error_sentence(error: BaseException, fn: Callable) -> str:
    """The exception as one sentence, with the learner's own line."""
    said = {RecursionError: "the function calls itself without end",
            MemoryError: "an array does not fit into the memory",
            SystemExit: "`exit` would end the notebook; use `return`"}
    text = next((said[kind] for kind in said if isinstance(error, kind)), "")
    with contextlib.suppress(Exception):  # a learner's own exception may fail to print
        text = text or _plain(str(error))
    namespace, where = getattr(inspect.unwrap(fn), "__globals__", None), ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_globals is namespace:
            line = _plain(linecache.getline(frame.f_code.co_filename, number))
            where = f" in line {number}" + (line and f", `{line}`")
    sentence = f"{type(error).__name__.lstrip('_')}{where}{text and f': {text}'}"
    return sentence if sentence.endswith(".") else sentence + "."


def _is_stub(error: BaseException | None, fn: Callable) -> bool:
    """NotImplementedError raised by the function itself, not by something that it calls."""
    if not isinstance(error, NotImplementedError):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code is getattr(inspect.unwrap(fn), "__code__", None)


def _plain(text: str, lines: int = 1) -> str:
    """The first lines, shortened, without what differs from run to run: addresses and folders."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x...", text[:2000])
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:|~)?[\\/](?:[^\s'\"<>|:]*[\\/])+", "", text)
    return "\n".join(line if len(line) < 160 else line[:157] + "..." for line in text.strip().splitlines()[:lines])


def _html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _show(text: str, rich: str) -> None:
    """As HTML in a notebook, printed elsewhere. IPython is asked only if it runs already."""
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
        from IPython.display import display
        display({"text/plain": text, "text/html": rich}, raw=True)
    else:
        print(text)
