from pathlib import Path

import pytest
import torch

from memguard.report.results import SCORE_COLUMNS, read_scores, write_scores


def test_scores_are_read_as_written(tmp_path: Path) -> None:
    frames = {
        column: torch.rand(4, dtype=torch.float64, generator=torch.manual_seed(0))
        for column in SCORE_COLUMNS
    }
    frames |= {
        "video": torch.tensor([1, 1, 2, 2]),
        "frame": torch.tensor([4.0, 5.0, 4.0, 5.0]),
        "written": torch.tensor([1.0, 0.0, 0.0, 1.0]),
        "label": torch.tensor([0.0, 1.0, -1.0, -1.0]),
    }
    write_scores(tmp_path / "scores.csv", frames, ["left out", "02", "01"])
    read, names = read_scores(tmp_path / "scores.csv")
    assert names == ["02", "01"]
    assert read["video"].tolist() == [0, 0, 1, 1]
    for column in SCORE_COLUMNS[1:]:
        assert read[column].tolist() == pytest.approx(frames[column].tolist(), rel=1e-7)
