"""The chapters in the book's own Pyodide, under Node: each cell, run before those above it, prints what is stored."""
import json
import subprocess

import nbformat
import pytest
import runtime
from conftest import ROOT


@pytest.mark.parametrize("chapter", sorted(ROOT.glob("chapters/q*.ipynb")), ids=lambda path: path.stem)
def test_a_chapter_in_pyodide(chapter):
    script = ROOT / "tests" / "notebooks_in_pyodide.mjs"
    done = subprocess.run([runtime.node(), script, runtime.runtime(), ROOT, chapter], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = {}
    for line in done.stdout.splitlines():
        result = json.loads(line)
        assert result["ok"], f"{result['cell']}: {result['outputs'][-1][1]}"
        printed[result["cell"]] = [(kind, data) for kind, data, _ in result["outputs"]]
    cells = [cell for cell in nbformat.read(chapter, 4).cells if cell.cell_type == "code"]
    assert list(printed) == [cell.id for cell in cells]
    for cell in cells:
        stored = [output.get("data", output) for output in cell.outputs]
        shown = printed[cell.id]
        assert "".join(data for kind, data in shown if kind == "stdout") == "".join(output.get("text", "") for output in stored), cell.id
        html = [output["text/html"] for output in stored if "text/html" in output]
        assert [data for kind, data in shown if kind == "text/html"] == html, cell.id
        pictures = sum("image/svg+xml" in output for output in stored)
        assert [kind for kind, data in shown].count("image/svg+xml") == pictures, cell.id
