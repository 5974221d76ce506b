from pathlib import Path

import numpy as np
import pytest

from memguard.report.plots.memory import MemoryHistory, memory_history


@pytest.mark.parametrize("size", [1, 4, 40])
@pytest.mark.parametrize("dead", [True, False])
@pytest.mark.filterwarnings("error")
def test_a_memory_of_any_size_is_drawn(size: int, dead: bool, tmp_path: Path) -> None:
    share = np.full((2, size), 1 / size)
    if dead:
        share[:, 0] = 0
    there = np.ones((2, size), dtype=bool)
    figure = memory_history(MemoryHistory(1, there, share, np.zeros((2, size)), np.eye(size)))
    figure.savefig(tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 0
    now = figure.axes[1]
    assert now.get_title(loc="left").startswith(f"{int(dead)} of {size} dead")
    assert [bar.get_height() for bar in now.patches] == share[-1].tolist()
    crosses = [line for line in now.lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == ([0] if dead else [])


@pytest.mark.filterwarnings("error")
def test_a_number_of_items_that_changes_is_drawn(tmp_path: Path) -> None:
    there = np.array([[1, 0, 0, 0, 0], [1, 0, 1, 1, 0], [0, 0, 1, 1, 0]], dtype=bool)
    share = np.where(there, 1 / there.sum(axis=1, keepdims=True), 0)
    drift = np.full((3, 5), np.nan)
    drift[2, 2] = 0.1
    figure = memory_history(MemoryHistory(4, there, share, drift, np.eye(5)))
    figure.savefig(tmp_path / "memory.png")
    now = figure.axes[1]
    assert now.get_title(loc="left").startswith("0 of 2 dead")
    assert [bar.get_x() + bar.get_width() / 2 for bar in now.patches] == [2, 3]
    (number,) = [axes for axes in figure.axes if axes.get_ylabel() == "number of items"]
    (line,) = number.lines
    assert line.get_xdata().tolist() == [4, 5, 6]
    assert line.get_ydata().tolist() == [1, 3, 2]
    constant = MemoryHistory(4, there[1:2], share[1:2], drift[1:2], np.eye(5))
    assert not [a for a in memory_history(constant).axes if a.get_ylabel() == "number of items"]
