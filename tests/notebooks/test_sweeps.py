"""Notebook 03 runs from its first cell to its last."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_sweeps.ipynb"


def test_the_notebook_shows_a_sweep_and_its_figures(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    assert any("Sweep of memory.size" in text for text in texts)
    assert texts[-1].startswith("4 of 4 jobs were finished already")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
