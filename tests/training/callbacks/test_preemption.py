"""Checkpoints of a training that keeps only some epochs, is stopped, or meets a full disk."""

import errno
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from memguard.training.callbacks import preemption
from memguard.training.callbacks.preemption import SafeCheckpoints
from memguard.training.checkpoints import WholeFiles

STEPS = 4  # of an epoch


class Line(pl.LightningModule):
    """Learns a line."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.line(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Signal(pl.Callback):
    """Sends the signal to stop in one of the steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(
    folder: Path, epochs: int, *callbacks: pl.Callback, max_steps: int = -1, **options: Any
) -> None:
    usual = {"filename": "{epoch}", "save_top_k": -1, "save_last": True, "every_n_epochs": 2}
    keeper = SafeCheckpoints(**{"every_minutes": 10, "dirpath": folder} | usual | options)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, max_steps=max_steps, logger=False,
        callbacks=[*callbacks, keeper], enable_progress_bar=False, enable_model_summary=False,
        plugins=[WholeFiles()],
    )  # fmt: skip
    trainer.fit(Line(), DataLoader(torch.ones(STEPS, 1)))


def steps(folder: Path) -> dict[str, int]:
    """The step of each checkpoint."""
    return {
        path.name: torch.load(path, weights_only=True)["global_step"] for path in folder.iterdir()
    }


def test_the_last_epoch_is_saved_though_it_is_not_one_to_keep(tmp_path: Path) -> None:
    fit(tmp_path, 3)
    assert steps(tmp_path) == {"epoch=1.ckpt": 2 * STEPS, "last.ckpt": 3 * STEPS}


@pytest.mark.parametrize("end", [STEPS - 1, 2 * STEPS, 2 * STEPS + 1])
def test_the_last_step_is_saved_wherever_in_an_epoch_it_is(tmp_path: Path, end: int) -> None:
    fit(tmp_path, 5, max_steps=end)
    assert steps(tmp_path)["last.ckpt"] == end


@pytest.mark.parametrize("step", [STEPS + 1, STEPS - 1, 3 * STEPS - 1])
def test_a_signal_loses_no_step(tmp_path: Path, step: int) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, 5, Signal(step))
    assert steps(tmp_path)["last.ckpt"] == step + 1


LAST_ALONE = {"filename": "last", "save_top_k": 1, "save_last": None, "every_n_epochs": 1}


class FullDisk(pl.Callback):
    """A disk that is full from one step to another.

    Attributes:
        tried: The steps at which something was to be written.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, first: int = 0, last: float = torch.inf
    ) -> None:
        self.tried: list[int] = []
        save = torch.save

        def save_if_there_is_room(checkpoint: dict[str, Any], file: Any) -> None:
            step = checkpoint["global_step"]
            self.tried.append(step)
            if first <= step <= last:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            save(checkpoint, file)

        monkeypatch.setattr(torch, "save", save_if_there_is_room)


def last_message(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.records[-1].getMessage()


def test_where_nothing_could_be_written_a_stopped_training_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FullDisk(monkeypatch)
    with pytest.raises(SystemExit), caplog.at_level(logging.WARNING):
        fit(tmp_path, 5, Signal(STEPS + 1), **LAST_ALONE)
    assert list(tmp_path.iterdir()) == []
    assert f"Nothing of it is saved, as {tmp_path}/last.ckpt could not" in last_message(caplog)
    assert "Nothing is lost" not in caplog.text
    assert "train again" in last_message(caplog)


def test_a_stopped_training_names_the_step_that_its_last_whole_checkpoint_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FullDisk(monkeypatch, STEPS + 1)
    with pytest.raises(SystemExit), caplog.at_level(logging.WARNING):
        fit(tmp_path, 5, Signal(2 * STEPS + 1), **LAST_ALONE)
    assert steps(tmp_path) == {"last.ckpt": STEPS}
    said = last_message(caplog)
    assert f"Step {2 * STEPS + 2} is not saved" in said
    assert f"checkpoint={tmp_path}/last.ckpt resumes from step {STEPS}." in said
    assert "Nothing is lost" not in caplog.text


def test_a_checkpoint_that_could_not_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preemption, "MINUTES_TO_RETRY", 0.0)
    disk = FullDisk(monkeypatch, STEPS, STEPS + 1)
    with pytest.raises(SystemExit), caplog.at_level(logging.WARNING):
        fit(tmp_path, 5, Signal(STEPS + 2), **LAST_ALONE)
    # The end of the epoch, twice in the next one, and the step that the signal met.
    assert disk.tried == [STEPS, STEPS, STEPS + 1, STEPS + 2, STEPS + 3]
    assert steps(tmp_path) == {"last.ckpt": STEPS + 3}
    assert "Nothing is lost" in last_message(caplog)


def test_a_full_disk_is_not_tried_at_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(monkeypatch)
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, 3, **LAST_ALONE)
    assert disk.tried == [STEPS, 2 * STEPS, 3 * STEPS, 3 * STEPS]
    assert "The training has ended. Nothing of it is saved" in last_message(caplog)


def test_where_the_next_epoch_cannot_be_written_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch, 2 * STEPS)
    fit(tmp_path, 2, save_top_k=1, every_n_epochs=1)
    assert steps(tmp_path) == {"epoch=0.ckpt": STEPS, "last.ckpt": STEPS}


def test_a_checkpoint_names_no_files_for_removal(tmp_path: Path) -> None:
    own, other = tmp_path / "run" / "a.ckpt", tmp_path / "dear"
    own.parent.mkdir()
    own.touch()
    for path in (other, f"simplecache::file://{other}", f"{own.parent}/../dear", own.parent):
        keeper = SafeCheckpoints(every_minutes=10, dirpath=own.parent, filename="last")
        path = str(path)
        keeper.load_state_dict(
            keeper.state_dict()
            | {
                "best_model_path": path,
                "kth_best_model_path": path,
                "last_model_path": path,
                "best_k_models": {path: torch.tensor(1.0), str(own): torch.tensor(2.0)},
            }
        )
        assert keeper.best_model_path == keeper.last_model_path == keeper.kth_best_model_path == ""
        assert list(keeper.best_k_models) == [str(own)]
    keeper.load_state_dict(keeper.state_dict() | {"best_model_path": str(own)})
    assert keeper.best_model_path == str(own)


class Hours(pl.Callback):
    """A clock by which each step takes four minutes; an error ends the training in one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
        self.seconds, self.last = 0.0, last
        monkeypatch.setattr(preemption.time, "monotonic", lambda: self.seconds)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seconds += 4 * 60
        if trainer.global_step == self.last:
            raise RuntimeError("The machine is lost.")


def test_no_more_is_lost_than_the_minutes_between_two_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="lost"):
        fit(tmp_path, 1, Hours(monkeypatch, 3))
    assert steps(tmp_path) == {"last.ckpt": 3}  # after twelve minutes, of ten that may be lost
    (tmp_path / "last.ckpt").unlink()
    with pytest.raises(RuntimeError, match="lost"):
        fit(tmp_path, 1, Hours(monkeypatch, 2))
    assert steps(tmp_path) == {}


def test_an_epochs_own_file_does_not_stand_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, failed = torch.save, []

    def save_but_once(checkpoint: dict[str, Any], file: Any) -> None:
        if Path(file.name).name.startswith("last") and not failed:
            failed.append(file.name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(checkpoint, file)

    monkeypatch.setattr(torch, "save", save_but_once)
    fit(tmp_path, 1, every_n_epochs=1)
    assert failed
    assert steps(tmp_path) == {"epoch=0.ckpt": STEPS, "last.ckpt": STEPS}
