"""The notebooks run from top to bottom, and are committed with their outputs."""

import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

# A network that trains in a second, in place of the minutes that readers have.
SMALL = (
    "dataset=folder model=mnad_tiny model.width=4 memory.dim=32 memory.size=4 data.frame_size=32 "
    "data.threads=0 trainer.max_epochs=1"
)


def run(name: str, folder: Path) -> Any:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def test_the_second_continues_from_the_first(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTEBOOK_OVERRIDES", f"{SMALL} dataset.root={shared_scene}")
    assert pictures(run("01_quickstart", tmp_path)) == 2
    assert (tmp_path / "runs" / "quickstart" / "report.html").is_file()
    inside = run("02_inside_the_memory", tmp_path)
    assert pictures(inside) == 3
    assert any("32 frames, 4 items" in output.get("text", "") for output in outputs(inside))


@pytest.mark.parametrize(
    ("name", "count"), [("01_quickstart", 2), ("02_inside_the_memory", 3), ("03_sweeps", 2)]
)
def test_they_are_committed_with_tidy_outputs(name: str, count: int) -> None:
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert pictures(notebook) == count
    texts = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in outputs(notebook)
    ]
    assert all(texts)
    assert not re.search(r"\x1b|(?<![\w.])/\w+/|Traceback|it/s", "\n".join(texts))
    assert path.stat().st_size < 600_000


def test_storing_them_leaves_out_progress_warnings_and_absolute_paths(tmp_path: Path) -> None:
    store = runpy.run_path(str(NOTEBOOKS / "store.py"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("!run")])
    warning = {"text/html": "<pre/>", "text/plain": 'install "ipywidgets" for Jupyter'}
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="UserWarning"),
        nbformat.v4.new_output("display_data", data=warning),
        nbformat.v4.new_output("stream", name="stdout", text="\x1b[?25lEpoch 1 ━━━ 3.1it/s"),
        nbformat.v4.new_output("stream", name="stdout", text="\x1b[?25h\n\x1b[1mauroc\x1b[0m 1 \n"),
        nbformat.v4.new_output("stream", name="stdout", text=f"{tmp_path}/runs/metrics.json\n"),
        nbformat.v4.new_output("execute_result", data={"text/plain": f"{tmp_path}/a.html"}),
    ]
    store["tidy"](notebook, tmp_path)
    shown = [o.get("text") or o.data["text/plain"] for o in notebook.cells[0].outputs]
    assert shown == ["auroc 1\nruns/metrics.json\n", "a.html"]
