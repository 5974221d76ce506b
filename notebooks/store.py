"""Execute the notebooks and store them with their outputs: ``python notebooks/store.py``.

They run in order in an empty folder, so that the first generates the street and trains, and the
second looks into what it trained. It takes some five minutes on two CPU cores.
"""

import re
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BARS_END = "\x1b[?25h"  # progress bars hide the cursor, and show it again when they end


def execute(path: Path, folder: Path) -> Any:
    """Run a notebook in a folder.

    Args:
        path: The notebook.
        folder: Where its cells run.

    Returns:
        The notebook with its outputs.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=1200, resources=resources).execute()


def tidy(notebook: Any, folder: Path) -> None:
    """Leave what a reader wants to see: no progress bars, warnings, times or absolute paths."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = list(_tidied(cell.outputs, folder))
    notebook.metadata.language_info = {"name": "python"}


def _tidied(outputs: list[Any], folder: Path) -> Iterator[Any]:
    for name, group in groupby(outputs, lambda output: output.get("name")):
        if name == "stdout":
            text = "".join(output.text for output in group).rsplit(BARS_END, 1)[-1]
            lines = "\n".join(line.rstrip() for line in ESCAPE.sub("", text).splitlines())
            text = _relative(lines.strip(), folder) + "\n"
            yield nbformat.v4.new_output("stream", name="stdout", text=text)
        elif name is None:
            for output in group:
                plain = _relative(output.data["text/plain"], folder)
                if plain.strip() and "ipywidgets" not in plain:
                    output.data.pop("text/html", None)
                    output.data["text/plain"] = plain
                    yield output


def _relative(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(f"{tempfile.gettempdir()}/", "")


def main() -> None:
    """Execute and store all notebooks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for path in NOTEBOOKS:
            notebook = execute(path, folder)
            tidy(notebook, folder)
            nbformat.write(notebook, path)
            print(path.name)


if __name__ == "__main__":
    main()
