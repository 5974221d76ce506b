"""The list of packages of a box without PyTorch."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_edge_takes_some_of_our_packages_and_a_runtime() -> None:
    declared = set(
        re.findall(r'^    "([\w-]+[^";]*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    )
    lines = (ROOT / "edge.txt").read_text().splitlines()
    needed = {line for line in lines if not line.startswith("#")}
    assert needed <= declared
    assert not any(name in line for line in needed for name in ("torch", "lightning"))
