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
    figure = memory_history(MemoryHistory(1, share, np.zeros((2, size)), np.eye(size)))
    figure.savefig(tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 0
    now = figure.axes[1]
    assert now.get_title(loc="left").startswith(f"{int(dead)} of {size} dead")
    assert [bar.get_height() for bar in now.patches] == share[-1].tolist()
    crosses = [line for line in now.lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == ([0] if dead else [])
