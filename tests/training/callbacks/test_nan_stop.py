"""A training stops before it saves values that are no numbers, and names the frames."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from memguard.data.clips.windows import ClipBatch
from memguard.errors import TrainingError
from memguard.training.callbacks.nan_stop import StopAtNaN
from memguard.training.callbacks.preemption import SafeCheckpoints

VIDEOS = [SimpleNamespace(source=name) for name in ("a.mp4", "b.mp4")]


def trainer_at(step: int, checkpoints: Path) -> Any:
    """A trainer of two videos after a step."""
    return SimpleNamespace(
        global_step=step,
        datamodule=SimpleNamespace(benchmark=SimpleNamespace(train=VIDEOS)),
        checkpoint_callback=SafeCheckpoints(every_minutes=10, dirpath=checkpoints),
    )


def take_step(
    stop: StopAtNaN, trainer: Any, loss: float, item: float = 1.0, device: str = "cuda"
) -> None:
    """End a training step whose windows end with frame 7 of b.mp4 and the step's own of a.mp4."""
    detector = SimpleNamespace(
        device=torch.device(device), memory=SimpleNamespace(items=torch.tensor([[item]]))
    )
    video, frame = torch.tensor([1, 0]), torch.tensor([7, trainer.global_step])
    batch = ClipBatch(torch.zeros(2, 5, 1, 8, 8), video, frame, video)
    outputs = {"loss": torch.tensor(loss)}
    stop.on_train_batch_end(trainer, cast(Any, detector), outputs, batch, 0)


@pytest.mark.parametrize("spoilt", [{"loss": torch.nan}, {"loss": 1.0, "item": torch.inf}])
def test_a_step_without_numbers_stops_a_training_on_a_cpu_at_once(
    spoilt: dict[str, float], tmp_path: Path
) -> None:
    stop = StopAtNaN()
    take_step(stop, trainer_at(3, tmp_path), 1.0, device="cpu")
    with pytest.raises(TrainingError) as error:
        take_step(stop, trainer_at(4, tmp_path), device="cpu", **spoilt)
    assert str(error.value) == (
        "The loss or the memory is no number any more after step 4, whose windows ended with frame "
        "7 of b.mp4, frame 4 of a.mp4: look at these frames, and train again with a lower "
        "optimizer.lr or trainer.precision=32-true."
    )


def test_on_a_gpu_the_first_of_such_steps_is_found_before_the_next_checkpoint(
    tmp_path: Path,
) -> None:
    (tmp_path / "last.ckpt").touch()
    stop = StopAtNaN()
    for step, loss in enumerate((1.0, torch.nan, torch.nan, 1.0)):
        take_step(stop, trainer_at(step, tmp_path), loss)
    found = f"after step 1, .* train again with checkpoint={tmp_path}/last.ckpt with a lower"
    with pytest.raises(TrainingError, match=found):
        stop.on_save_checkpoint(trainer_at(4, tmp_path), cast(Any, None), {"state_dict": {}})


def test_weights_without_numbers_are_not_saved(tmp_path: Path) -> None:
    stop, trainer = StopAtNaN(), trainer_at(9, tmp_path)
    take_step(stop, trainer, 1.0)
    weights = {"autoencoder.head": torch.ones(2), "memory.items": torch.tensor([1.0, torch.nan])}
    with pytest.raises(TrainingError, match=r"After step 9 there are values in memory\.items"):
        stop.on_save_checkpoint(trainer, cast(Any, None), {"state_dict": weights})
