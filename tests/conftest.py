"""What every test needs: the chapters' modules importable, one BLAS thread, and for some a built book."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
sys.path.insert(0, str(ROOT / "chapters"))


def copy_of_the_repository(to):
    """The files of this working tree, without what is made from them."""
    made = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", ".*_cache", ".ipynb_checkpoints")
    return Path(shutil.copytree(ROOT, to, ignore=made))


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The built book's folder: built from a copy, so that a reader's own _build stays as it is."""
    copy = copy_of_the_repository(tmp_path_factory.mktemp("book") / "copy")
    done = subprocess.run([sys.executable, "tools/book.py"], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "_build" / "html"
