"""Imported checkpoints: the place of each of the authors' tensors, and files that are rejected."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from memguard.config.compose import register_resolvers
from memguard.config.validation import require_complete
from memguard.convert.official import import_checkpoint
from memguard.errors import CheckpointError, ConfigError
from memguard.training.checkpoints import CONFIG_KEY, read_checkpoint


@pytest.fixture
def files(tmp_path: Path, published: ModuleType) -> Path:
    """A folder with model.pth and keys.pt of a `pred` training, smaller than published."""
    torch.manual_seed(0)
    register_resolvers()
    torch.save(published.convAE("pred", width=3, features=16, size=5), tmp_path / "model.pth")
    torch.save(F.normalize(torch.rand(5, 16), dim=1), tmp_path / "keys.pt")
    return tmp_path


def imported(folder: Path, **settings: str) -> dict[str, Any]:
    output = folder / "out" / "mnad.ckpt"
    defaults = {"model": folder / "model.pth", "items": folder / "keys.pt", "output": output}
    requested = defaults | {"task": "pred"} | settings
    import_checkpoint(OmegaConf.create({key: str(value) for key, value in requested.items()}))
    return read_checkpoint(output)


def change(path: Path, how: Callable[[dict[str, Tensor]], None]) -> None:
    """Change a saved network's state."""
    state = torch.load(path, weights_only=False).state_dict()
    how(state)
    torch.save(state, path)


def test_a_checkpoint_has_the_files_sizes_and_the_published_settings(files: Path) -> None:
    checkpoint = imported(files)
    config = OmegaConf.create(checkpoint[CONFIG_KEY])
    assert (config.model.width, config.memory.size, config.memory.dim) == (3, 5, 16)
    assert (config.data.frame_size, config.data.channels, config.data.past) == (256, 3, 4)
    assert (config.guard.threshold, config.guard.scope) == (0.01, "dataset")
    assert (config.scoring.weight, config.trainer.precision) == (0.6, "32-true")
    assert torch.equal(checkpoint["state_dict"]["memory.items"], torch.load(files / "keys.pt"))
    assert [path.name for path in (files / "out").iterdir()] == ["mnad.ckpt"]


def test_sizes_are_those_of_the_file_down_to_grey_frames(
    files: Path, published: ModuleType
) -> None:
    network = published.convAE("recon", width=2, features=16, size=5, channels=1)
    torch.save(network, files / "model.pth")
    config = OmegaConf.create(imported(files, task="recon")[CONFIG_KEY])
    assert (config.model.width, config.data.channels, config.data.past) == (2, 1, 0)
    assert (config.guard.threshold, config.scoring.weight) == (0.015, 0.7)


def test_the_dataset_is_left_to_whoever_evaluates(files: Path) -> None:
    config = OmegaConf.create(imported(files)[CONFIG_KEY])
    with pytest.raises(ConfigError, match=r"^dataset is not set: add dataset=… to the command"):
        require_complete(config)


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.pop(name)


def with_nan(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state[name].view(-1)[:1].fill_(torch.nan)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (without("decoder.moduleDeconv1.6.bias"), r"lacks decoder\.moduleDeconv1\.6\.bias \(1 "),
        (without("encoder.moduleConv1.1.running_var"), r"lacks encoder\.moduleConv1\.1\.running_v"),
        (lambda state: state.clear(), r"lacks decoder\.moduleConv\.0\.bias \(112 such tensors\)"),
        (lambda state: state.update(other=torch.ones(1)), r"also has other \(1 such tensors\)"),
        (with_nan("decoder.moduleConv.4.running_mean"), r": decoder\.moduleConv\.4.* NaN"),
        (
            lambda state: state.update({"encoder.moduleConv2.0.weight": torch.ones(3)}),
            r" with task=pred: encoder\.moduleConv2\.0\.weight is 3, expected 6×3×3×3",
        ),
    ],
)
def test_a_network_of_another_form_is_rejected(
    files: Path, how: Callable[[dict[str, Tensor]], None], sentence: str
) -> None:
    change(files / "model.pth", how)
    with pytest.raises(CheckpointError, match=rf"^{files / 'model.pth'}.*{sentence}"):
        imported(files)
    assert not (files / "out").exists()


def test_the_layer_that_is_not_used_and_the_counters_may_be_missing(files: Path) -> None:
    def forget(state: dict[str, Tensor]) -> None:
        for name in [n for n in state if "moduleBatchNorm" in n or n.endswith("_tracked")]:
            del state[name]

    whole = imported(files)["state_dict"]
    change(files / "model.pth", forget)
    part = imported(files)["state_dict"]
    assert part.keys() == whole.keys()
    assert all(torch.allclose(part[n], whole[n], equal_nan=True) for n in whole)


def test_the_wrong_task_is_rejected(files: Path, published: ModuleType) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"model\.pth with task=recon: .*is 3×12×3×3, expected 3×3×3×3: give the task",
    ):
        imported(files, task="recon")
    torch.save(published.convAE("recon", width=3, features=16, size=5), files / "model.pth")
    with pytest.raises(CheckpointError, match=r"task=pred: .*is 3×3×3×3, expected 3×12×3×3"):
        imported(files)


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        (F.normalize(torch.ones(5, 8), dim=1), r"keys\.pt for .*: .* is 5×8, expected 5×16"),
        (torch.full((5, 16), torch.nan), r"keys\.pt: the matrix of items has values that are NaN"),
        (torch.ones(5, 16), r"keys\.pt: the items' lengths go from 4 to 4, but"),
        (torch.ones(16), r"keys\.pt holds no matrix of two or more items: set items"),
        ({"items": torch.ones(5, 16)}, r"keys\.pt holds no matrix of two or more items"),
        (nn.Linear(16, 5), r"keys\.pt holds no matrix of two or more items"),
    ],
)  # fmt: skip
def test_items_of_another_form_are_rejected(files: Path, items: Any, sentence: str) -> None:
    torch.save(items, files / "keys.pt")
    with pytest.raises(CheckpointError, match=sentence):
        imported(files)
    assert not (files / "out").exists()


def test_items_in_place_of_the_network_are_rejected(files: Path) -> None:
    with pytest.raises(CheckpointError, match=r"keys\.pt holds a Tensor, expected a network"):
        imported(files, model=str(files / "keys.pt"))


def test_an_unknown_task_is_rejected(files: Path) -> None:
    with pytest.raises(ConfigError, match=r"task=predict cannot work: it must be pred or recon"):
        imported(files, task="predict")


def test_a_missing_setting_is_reported(files: Path) -> None:
    with pytest.raises(ConfigError, match="items is not set"):
        import_checkpoint(OmegaConf.create({"model": "model.pth", "items": "???"}))


def test_a_failed_import_leaves_the_output_as_it_was(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(files)
    before = (files / "out" / "mnad.ckpt").read_bytes()

    def disk_full(checkpoint: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(CheckpointError, match=r"No space.*output"):
        imported(files)
    assert (files / "out" / "mnad.ckpt").read_bytes() == before
    assert [path.name for path in (files / "out").iterdir()] == ["mnad.ckpt"]


def test_an_output_inside_a_file_is_rejected(files: Path) -> None:
    with pytest.raises(CheckpointError, match=r"keys\.pt/mnad\.ckpt cannot be written"):
        imported(files, output=str(files / "keys.pt" / "mnad.ckpt"))
