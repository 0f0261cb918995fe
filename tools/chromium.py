"""Find a Chromium on this machine: the tests and the PDF drive it with Playwright."""
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

# The headless shell first: it has no window to draw, and opens a tab in a third of the time.
NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
MISSING = ("no Chromium: install it (Debian: apt install chromium; anywhere: "
           ".venv/bin/python -m playwright install chromium)")


def installed():
    """The path of a Chromium on this machine, or None."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    with sync_playwright() as playwright:  # perhaps Playwright has fetched its own
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None
