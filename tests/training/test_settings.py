"""Settings in checkpoints: resolved when they are written, and old ones resolved when read."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.config.compose import config_folder, register_resolvers
from memguard.training.checkpoints import CONFIG_KEY
from memguard.training.settings import GROUPS, leaves, plain_settings, read_settings
from memguard.training.trained import as_trained, restore

WEIGHTS = Path(__file__).parents[2] / "experiments" / "weights"


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", list(overrides))


@pytest.mark.parametrize(
    "overrides",
    [[], ["experiment=paper_ped2_pred"], ["trainer=ddp", "task=recon"], ["dataset=avenue"]],
)
def test_stored_settings_are_plain_and_have_all_that_decides(overrides: list[str]) -> None:
    stored = plain_settings(composed(*overrides))
    assert set(stored) == set(GROUPS)
    for key, value in leaves(stored):
        assert type(value) in (str, int, float, bool, type(None)), key
        assert "${" not in str(value), key
    assert "cache_dir" not in stored["data"]
    assert "strategy" not in stored["trainer"]
    assert stored["model"]["features"] == stored["memory"]["dim"]


def test_a_square_is_stored_as_one_number() -> None:
    sizes = {"[64,64]": 64, "64": 64, "[32,64]": [32, 64]}
    for given, stored in sizes.items():
        settings = plain_settings(composed(f"data.frame_size={given}"))
        assert settings["data"]["frame_size"] == stored


def test_a_dataset_is_found_in_the_data_folder_of_whoever_reads() -> None:
    inside = plain_settings(composed("dataset=ped2", "paths.data_dir=/train/data"))
    assert "/train/data" not in str(inside)
    read, unknown = read_settings(inside, {"data_dir": "/mine", "cache_dir": "/cache"})
    assert read["dataset"]["root"] == "/mine/ped2"
    outside = plain_settings(composed("dataset=folder", "dataset.root=door"))
    read, unknown = read_settings(outside, {"data_dir": "/mine", "cache_dir": "/cache"})
    assert (read["dataset"]["root"], unknown) == ("door", {})


def test_references_of_older_files_are_resolved_within_the_file() -> None:
    old = {
        "task": {"past": 4},
        "a": {"one": {"two": [1, 2]}, "same": "${.one}"},
        "model": {
            "past": "${task.past}", "all": "${a.one}", "up": "${..task.past}", "b": "${.past}",
        },
        "data": {"name": "x${task.past}y${task.past}"},
        "dataset": {"root": "${paths.data_dir}/ped2"},
        "paths": {"data_dir": "${oc.env:HOME}"},
    }  # fmt: skip
    read, unknown = read_settings(old, {"data_dir": "/mine"})
    assert read["model"] == {"past": 4, "all": {"two": [1, 2]}, "up": 4, "b": 4}
    assert read["a"]["same"] == {"two": [1, 2]}
    assert read["data"]["name"] == "x4y4"
    assert read["dataset"]["root"] == "/mine/ped2"
    assert unknown == {}


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}", "${oc.decode:1}", "${oc.select:task.past}", "${hydra:job.name}",
        "${now:%Y}", "${task[past]}", "${${b}}", "${", "???", "\\${task.past}",
        "${memguard.default_precision:}", "x ${oc.env:HOME}", "${nowhere.else}", "${a}",
        "${task}${oc.env:HOME}",
    ],
)  # fmt: skip
def test_whatever_else_is_an_expression_is_unknown(text: str) -> None:
    read, unknown = read_settings({"task": {"past": 4}, "b": "task.past", "a": text})
    assert read["a"] == "???"
    assert (text == "???") == ("a" not in unknown)


@pytest.mark.parametrize("name", ["pred_seed0", "pred_small_seed0"])
def test_committed_checkpoints_load(name: str) -> None:
    detector, config = restore(WEIGHTS / f"{name}.ckpt")
    width = 64 if name == "pred_seed0" else 32
    assert (config.model.width, config.model.past, config.guard.scope) == (width, 4, "dataset")
    assert config.dataset._target_ == "memguard.data.datasets.ucsd.ped2"
    lengths = detector.memory.items.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(10))
    assert "${" not in OmegaConf.to_yaml(config, resolve=True)


def test_a_request_overrides_the_trained_settings_and_null_leaves_them() -> None:
    trained = {"seed": 1, "scoring": {"weight": 0.6, "smoothing": 2}, "trainer": {"max_epochs": 7}}
    requested = OmegaConf.create({"seed": 2, "scoring": {"weight": None, "smoothing": 3}})
    config = as_trained(None, {CONFIG_KEY: trained}, requested)
    assert (config.seed, config.scoring.weight, config.scoring.smoothing) == (2, 0.6, 3)
    assert config.trainer.max_epochs == 7


def test_another_dataset_takes_no_setting_of_the_trained_one() -> None:
    dataset = {"_target_": "memguard.data.datasets.avenue.avenue", "root": "/a", "labels": "masks"}
    for requested, expected in (
        ({"root": "/b"}, dataset | {"root": "/b"}),
        (
            {"_target_": "memguard.data.datasets.folder.folder", "root": "/b"},
            {"_target_": "memguard.data.datasets.folder.folder", "root": "/b"},
        ),
    ):
        request = OmegaConf.create({"dataset": requested})
        config = as_trained(None, {CONFIG_KEY: {"dataset": dataset}}, request)
        assert config.dataset == expected | {"on_error": "raise", "cache": "none"}
