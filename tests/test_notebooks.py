"""The notebooks run from top to bottom, and are committed without what they show."""

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


def test_the_second_goes_on_from_the_first(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTEBOOK_OVERRIDES", f"{SMALL} dataset.root={shared_scene}")
    assert pictures(run("01_quickstart", tmp_path)) == 2
    assert (tmp_path / "runs" / "quickstart" / "report.html").is_file()
    inside = run("02_inside_the_memory", tmp_path)
    assert pictures(inside) == 3
    assert any("32 frames, 4 items" in output.get("text", "") for output in outputs(inside))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_they_are_committed_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
