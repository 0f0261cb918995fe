"""What every test needs: the chapters' modules importable, one BLAS thread, and for some a built book and a browser."""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
sys.path[:0] = [str(ROOT / "chapters"), str(ROOT / "tools")]
import chromium  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from serve import Handler, Server  # noqa: E402

OLDEST, NEWEST = 11, 14  # of the supported Python 3
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
          "img-src 'self' data:; connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'")
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # the browser reaches no other host
KEPT = Path.home() / ".cache" / "prove-it"  # on this machine: what takes long to make, and which chapters have passed
BOOK_URL = "https://example.org/book/"  # where it would be published


def copy_of_the_repository(to):
    """The files of this working tree, without what is made from them."""
    made = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", ".*_cache", ".ipynb_checkpoints")
    return Path(shutil.copytree(ROOT, to, ignore=made))


def without_pictures(cell):
    """What a cell has printed; of a figure only that it is one, because pictures differ between processors (as in nbval.ini)."""
    for output in cell.get("outputs", []):
        if "<svg" in output.get("data", {}).get("image/svg+xml", ""):
            output.data["image/svg+xml"] = "a figure"
    return cell.get("outputs")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def jupyterlab(command, folder, environment):
    """Start JupyterLab in a folder with a command line, for a reader without settings; its address, as long as it runs."""
    port, log = free_port(), folder.parent / "jupyterlab.log"
    options = f"--no-browser --allow-root --port={port} --ServerApp.port_retries=0 --IdentityProvider.token=x"
    command = f'{command} ARGS="{options}"' if command.startswith("make") else f"{command} {options}"
    own = {name: str(folder.parent / name.lower()) for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    with log.open("w") as said:
        server = subprocess.Popen(command, shell=True, cwd=folder, env=environment | own, start_new_session=True,
                                  stdout=said, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=x"):
                break
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        else:
            raise AssertionError("JupyterLab did not answer within a minute")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@functools.cache
def pythons():
    """{minor version: its interpreter} of the supported Pythons on this machine, this one among them."""
    found = {sys.version_info.minor: sys.executable}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(OLDEST, NEWEST + 1):
        installed = [[str(folder / "bin" / "python")] for folder in sorted(versions.glob(f"3.{minor}.*"))]
        for command in [[f"python3.{minor}"], ["py", f"-3.{minor}"], *installed]:
            try:
                asked = subprocess.run([*command, "-c", "import sys, ensurepip; print(sys.version_info.minor, sys.executable)"],
                                       capture_output=True, text=True)
            except OSError:
                continue
            if asked.returncode == 0 and asked.stdout.startswith(f"{minor} "):
                found.setdefault(minor, asked.stdout.split(" ", 1)[1].strip())
                break
    return found


def kept(name, made_from, make):
    """A folder that make(folder) fills, kept on this machine for as long as it is made from the same bytes."""
    folder = KEPT / f"{name}-{hashlib.sha256(made_from).hexdigest()[:10]}"
    if not (folder / "ready").exists():
        for old in folder.parent.glob(f"{name}-*"):
            shutil.rmtree(old)
        make(folder)
        (folder / "ready").touch()
    return folder


# --- runs of whole chapters ------------------------------------------------------------------------------------------

@functools.cache
def runs_with():
    """All that a chapter runs with but its own file: what it imports, what runs it, and the versions of everything."""
    browser = Path(chromium.installed() or "none")
    digest = hashlib.sha256(f"{sys.version} {browser} {browser.exists() and browser.stat().st_mtime}".encode())
    for folder in ("chapters", "assets", "_ext", "tools", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".ipynb" and "__pycache__" not in path.parts:
                digest.update(f"\n{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    for name in ("Makefile", "_config.yml", "_toc.yml", "index.md", "requirements.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest


def run_of(item):
    """(the file that remembers when this run of a chapter passed, what it says if nothing has changed since)"""
    chapter = next(Path(value) for value in item.callspec.params.values() if str(value).endswith(".ipynb"))
    digest = runs_with().copy()
    digest.update(chapter.read_bytes())
    name = hashlib.sha256(item.nodeid.encode()).hexdigest()[:10]
    return KEPT / "passed" / name, digest.hexdigest()


def pytest_runtest_setup(item):
    if item.get_closest_marker("whole_chapter") and not os.environ.get("CI"):
        remembers, now = run_of(item)
        if remembers.exists() and remembers.read_text() == now:
            pytest.skip("nothing that the chapter runs with has changed since it passed here; CI=true runs it all the same")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.passed and item.get_closest_marker("whole_chapter"):
        remembers, now = run_of(item)
        remembers.parent.mkdir(parents=True, exist_ok=True)
        remembers.write_text(now)
    return report


# --- the book and the browser ----------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The built book's folder: built from a copy, so that a reader's own _build stays as it is. Each worker builds it once."""
    copy = copy_of_the_repository(tmp_path_factory.mktemp("book") / "copy")
    done = subprocess.run([sys.executable, "tools/book.py"], cwd=copy, env=os.environ | {"BOOK_URL": BOOK_URL},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "_build" / "html"


@pytest.fixture(scope="session")
def site(book):
    """The book's address while it is served on this machine: below a folder, as on GitHub Pages, under a strict policy."""
    class Strict(Handler):
        def translate_path(self, path):
            return super().translate_path(path.removeprefix("/book")) if path.startswith("/book/") else str(book / "nothing")

        def end_headers(self):
            self.send_header("Content-Security-Policy", POLICY)
            super().end_headers()

    with Server(("127.0.0.1", 0), functools.partial(Strict, directory=book)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/book"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    path = chromium.installed()
    if not path:
        pytest.fail(chromium.MISSING) if os.environ.get("CI") else pytest.skip(chromium.MISSING)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=[*chromium.QUIET, ALONE]) as browser:
        yield browser


@pytest.fixture(scope="session")
def tab(browser):
    """A tab that many tests use, one after the other: to open one costs a second. `fresh` comes first."""
    return browser.new_context().new_page()


def fresh(tab, site, width, scheme="light"):
    """Make a used tab as good as new, on a file of the site that is no page: nothing is kept, nothing intercepted or heard."""
    tab.unroute_all()
    tab.context.unroute_all()
    tab.context.set_offline(False)
    tab.goto(f"{site}/_static/book.css")
    tab.evaluate("localStorage.clear(), sessionStorage.clear()")
    tab.mouse.move(0, 0)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    return listen(tab, site)


def listen(page, site):
    """What the page asks for is in page.seen, what of other hosts in page.asked, its complaints in page.said. (The browser
    reaches no other host; to keep requests back one by one would switch its cache off, and a test would take longer.)"""
    again = hasattr(page, "said")
    page.seen, page.asked, page.said = [], [], []
    if again:
        return page

    def asks(request):
        page.seen.append(request.url)
        if not request.url.startswith((site, "data:", "blob:")):
            page.asked.append(request.url)

    page.on("request", asks)
    page.on("console", lambda message: message.type in ("error", "warning") and page.said.append(f"{message.text} ({message.location['url']})"))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    return page


def until(page, true, arg=None):
    """Wait for an expression to be true in the page. Playwright's own wait_for_function needs eval, which the policy forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(true, arg):
        assert time.monotonic() < end, f"not within half a minute: {true}"
        page.wait_for_timeout(50)


DAY_1 = "2027-03-01T20:00:00"
BROKEN = {  # a browser that keeps nothing
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };",
    "blocked": "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked', 'SecurityError'); } });",
}


@pytest.fixture(scope="session")
def armchair(browser):
    """A tab for one reader after the other, as `tab` is, but with a clock that stands still."""
    return browser.new_context().new_page()


@pytest.fixture
def reader(browser, site, armchair):
    """A function that opens a page of the book for a reader who has never been there; a second page is a second tab."""
    contexts = []

    def opened(path, at=DAY_1, script="", tab_of=None, **options):
        if tab_of:
            page = listen(tab_of.context.new_page(), site)
        elif script or options or contexts:  # what cannot be taken back from a tab needs one of its own, and so do two readers
            page = listen(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options).new_page(), site)
        else:
            page = fresh(armchair, site, 1280)
        if not tab_of:
            contexts.append(page.context)
        page.clock.set_fixed_time(at)
        if script:
            page.add_init_script(script)
        page.goto(f"{site}/{path}")
        return page

    yield opened
    for context in contexts:
        said = [complaint for page in context.pages for complaint in page.said + page.asked
                if not re.match("full|blocked|Got invalid theme mode", complaint)]  # the theme's scripts, where nothing can be kept
        for page in context.pages:
            if page is not armchair:
                page.close()
        if context is not armchair.context:
            context.close()
        assert not said
