"""Open the chapters in JupyterLab (`make lab`, or python tools/lab.py, with any of JupyterLab's own options).

JupyterLab starts with the settings of assets/lab, where a reader's own do not say otherwise. The chapters are trusted first:
of a notebook that is not, JupyterLab shows no figure until its cells are run.
"""
import contextlib
import sys
from pathlib import Path

import nbformat
from jupyterlab.labapp import main
from nbformat.sign import NotebookNotary

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    for path in ROOT.glob("chapters/q*.ipynb"):
        with contextlib.suppress(Exception), NotebookNotary() as notary:  # JupyterLab says what cannot be read or written
            notary.sign(nbformat.read(path, 4))
    main([f"--notebook-dir={ROOT / 'chapters'}", f"--LabApp.app_settings_dir={ROOT / 'assets' / 'lab'}", *sys.argv[1:]])
