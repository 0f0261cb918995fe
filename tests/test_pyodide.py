"""The chapters in the book's own Pyodide, under Node: each cell, run before those above it, prints what is stored."""
import json
import subprocess

import nbformat
import pytest
import runtime
from conftest import ROOT


def node(script, *arguments):
    """The lines of JSON that a script prints."""
    command = [runtime.node(), ROOT / "tests" / script, runtime.runtime(), ROOT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_our_matrix_product_is_numpys_to_the_last_bit_and_faster():
    [found] = node("matmul_in_pyodide.mjs")
    assert found["products"] > 4000 and not found["differ"]
    assert found["ratio"] < 0.5  # 0.1 to 0.2 where it was measured


@pytest.mark.parametrize("chapter", sorted(ROOT.glob("chapters/q*.ipynb")), ids=lambda path: path.stem)
def test_a_chapter_in_pyodide(chapter):
    printed = {}
    for result in node("notebooks_in_pyodide.mjs", chapter):
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
