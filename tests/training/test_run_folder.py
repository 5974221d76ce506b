"""The run folder: a file that cannot be written takes no figure with it."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from memguard.data.datasets.benchmark import Benchmark
from memguard.errors import DataError
from memguard.training.provenance import Provenance
from memguard.training.run_folder import Results, write_run_folder

RESULTS = Results(
    Benchmark("door", train=(), test=()),
    OmegaConf.create({"seed": 7}),
    Provenance(7).finish(),
    {"val/psnr": 28.5},
    tested=None,
)


def test_a_finished_run_has_its_files_and_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run_folder(tmp_path, RESULTS, [])
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"val/psnr": 28.5}
    assert (tmp_path / "config.yaml").read_text() == "seed: 7\n"
    assert "28.5000" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["provenance.json", "config.yaml", "report.html", "metrics.json"])
def test_a_file_that_cannot_be_written_is_named_and_the_figures_are_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()  # where the file should be
    sentence = rf"{tmp_path}/{name} cannot be written \(.*\), and .* make room on its disk"
    with pytest.raises(DataError, match=sentence):
        write_run_folder(tmp_path, RESULTS, [])
    assert "28.5000" in capsys.readouterr().out
    assert not (tmp_path / "metrics.json").is_file()  # which marks a finished run
