"""The summary on the screen."""

from pathlib import Path

import pytest

from memguard.report.results import print_summary


def test_a_run_without_metrics_lists_its_files_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    print_summary("Training on ped2", {}, [], tmp_path)
    assert capsys.readouterr().out == f"{tmp_path / 'metrics.json'}\n"
