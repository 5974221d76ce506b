"""The README's commands and code run."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"


def test_its_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        memory = names["SlowMemory"](size=2, dim=2)
        memory.items = torch.eye(2)
        memory.update(torch.tensor([[[0.6, 0.8]]]))  # moves the second item alone
        assert memory.items[0].tolist() == [1, 0]
        assert memory.items[1].tolist() == pytest.approx([0.1602, 0.9871], abs=1e-4)


def test_it_is_short() -> None:
    assert README.stat().st_size <= 8192


def test_its_links_into_the_project_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (README.parent / link).exists(), link
