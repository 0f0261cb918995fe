"""What every test needs: the chapters' modules importable, one BLAS thread, and for some a built book and a browser."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
sys.path[:0] = [str(ROOT / "chapters"), str(ROOT / "tools")]
from playwright.sync_api import sync_playwright  # noqa: E402
from serve import Handler, Server  # noqa: E402

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
          "img-src 'self' data:; connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'")

BOOK_URL = "https://example.org/book/"  # where it would be published


def copy_of_the_repository(to):
    """The files of this working tree, without what is made from them."""
    made = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", ".*_cache", ".ipynb_checkpoints")
    return Path(shutil.copytree(ROOT, to, ignore=made))


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The built book's folder: built from a copy, so that a reader's own _build stays as it is."""
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


def installed():
    """The path of a Chromium on this machine, or None."""
    if found := next(filter(None, map(shutil.which, BROWSERS)), None):
        return found
    with sync_playwright() as playwright:  # perhaps Playwright has fetched its own
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@pytest.fixture(scope="session")
def browser():
    path = installed()
    if not path:
        missing = ("no Chromium: install it (Debian: apt install chromium; anywhere: "
                   ".venv/bin/python -m playwright install chromium)")
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=QUIET) as browser:
        yield browser


def listen(page, site):
    """Keep the page from other hosts; what it asked for is in page.seen and page.asked, its complaints in page.said."""
    page.seen, page.asked, page.said = [], [], []

    def route(route):
        url = route.request.url
        page.seen.append(url)
        if url.startswith((site, "data:", "blob:")):
            return route.fallback()
        page.asked.append(url)
        return route.abort()

    page.route("**/*", route)
    page.on("console", lambda message: message.type in ("error", "warning") and page.said.append(f"{message.text} ({message.location['url']})"))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    return page
