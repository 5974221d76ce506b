"""How a configuration becomes a detector and the windows that it takes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import memguard
from memguard.config.compose import config_folder, register_resolvers
from memguard.config.trust import NOBODY, NotTrustedError, trust_of
from memguard.data.datasets.folder import folder
from memguard.detection.detector import Detector
from memguard.errors import ConfigError, DataError
from memguard.training.build import build, build_datamodule, build_detector, build_loss
from memguard.training.buildable import OWN, require_buildable
from memguard.training.experiment import _detector_to_train

LOSSES = "memguard.model.losses"


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    small = ["model=mnad_tiny", "model.width=4", "memory.dim=8"]
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", [*small, *overrides])


def built(*overrides: str) -> Detector:
    return build_detector(composed(*overrides))


def test_every_setting_reaches_its_object() -> None:
    detector = built(
        "loss.compactness=2", "loss.separateness=5", "loss.margin=0.3", "memory.size=3",
        "optimizer.lr=0.07", "guard.threshold=0.4", "guard.quantile=0.2", "guard.scope=video",
        "scoring.weight=0.9", "scoring.smoothing=7",
    )  # fmt: skip
    terms: dict[str, Any] = dict(detector.loss.terms)
    assert {name: term.weight for name, term in terms.items()} == {
        "pixel": 1,
        "compactness": 2,
        "separateness": 5,
    }
    assert terms["separateness"].compute.keywords == {"margin": 0.3}
    assert detector.memory.items.shape == (3, 8)
    guard = detector.guard
    assert (guard.threshold, guard.quantile, guard.scope, guard.enabled) == (
        0.4,
        0.2,
        "video",
        True,
    )
    assert (detector.scoring.weight, detector.scoring.smoothing) == (0.9, 7)


@pytest.mark.parametrize(
    ("task", "channels", "past"), [("pred", 1, 4), ("pred", 3, 4), ("recon", 1, 0)]
)
def test_a_network_takes_the_windows_of_its_task(task: str, channels: int, past: int) -> None:
    detector = built(f"task={task}", f"data.channels={channels}")
    first = next(detector.autoencoder.encoder.parameters())
    assert first.shape[1] == max(past, 1) * channels


@pytest.mark.parametrize(
    ("scope", "enabled", "apart"),
    [("video", True, True), ("dataset", False, True), ("dataset", True, False)],
)
def test_videos_are_tested_apart_where_no_memory_goes_from_one_to_the_next(
    scope: str, enabled: bool, apart: bool, shared_scene: Path
) -> None:
    config = composed(f"guard.scope={scope}", f"guard.enabled={enabled}", "data.holdout=0.3")
    data = build_datamodule(config, folder(shared_scene))
    assert data.videos_apart is apart
    assert (data.holdout, data.length) == (0.3, 5)


@pytest.mark.parametrize(("precision", "innermost"), [("32", False), ("bf16-mixed", True)])
def test_in_16_bits_channels_are_innermost(precision: str, innermost: bool) -> None:
    layout = built(f"trainer.precision={precision}").layout
    assert layout is (torch.channels_last if innermost else torch.contiguous_format)


def test_a_training_needs_training_videos(shared_scene: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_scene / "test", tmp_path / "test")
    config = memguard.compose(
        ["dataset=folder", f"dataset.root={tmp_path}", "model=mnad_tiny", "logger=csv"]
    )
    with pytest.raises(DataError, match="folder has no training videos, and its test alone"):
        memguard.train(config, tmp_path / "run")


def test_a_training_ignores_places_in_what_it_holds_out() -> None:
    upper_right = "ignored=[[[0.5,0],[1,0],[1,0.25],[0.5,0.25]]]"
    ignored = _detector_to_train(composed(upper_right, "data.frame_size=[16,32]")).held_out.ignored
    assert ignored is not None
    assert ignored.shape == (16, 32)
    assert ignored[:4, 16:].all()
    assert ignored.sum() == 4 * 16
    assert _detector_to_train(composed()).held_out.ignored is None


@pytest.mark.parametrize("compiled", [True, False])
def test_steps_are_compiled_where_that_is_set(compiled: bool) -> None:
    assert built(f"compile={compiled}").compiled is compiled


def test_a_class_is_built_under_its_own_key_alone() -> None:
    for group, classes in OWN.items():
        for other in {key for key in OWN if key != group}:
            for target in classes:
                require_buildable({group: {"_target_": target}}, NOBODY)
                with pytest.raises(NotTrustedError, match=rf"{other}\._target_ is {target}"):
                    require_buildable({other: {"_target_": target}}, NOBODY)


@pytest.mark.parametrize(
    ("group", "argument"), [("data", "benchmark"), ("data", "videos_apart"), ("model", "weights")]
)
def test_arguments_that_are_no_settings_are_refused(group: str, argument: str) -> None:
    (target,) = OWN[group]
    with pytest.raises(NotTrustedError, match=rf"{group}\.{argument} is nothing that"):
        require_buildable({group: {"_target_": target, argument: 1}}, NOBODY)


def test_an_optimizer_alone_may_be_a_partial() -> None:
    adam = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}
    require_buildable({"optimizer": adam}, NOBODY)
    (target,) = OWN["model"]
    with pytest.raises(NotTrustedError, match=r"model\._partial_ is True"):
        require_buildable({"model": {"_target_": target, "_partial_": True}}, NOBODY)


@pytest.mark.parametrize("group", ["model", "memory", "dataset", "data", "scoring"])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("os.getcwd", "cannot work: .*takes no keyword arguments"),
        ("builtins.dict", r"\._target_=builtins\.dict cannot work: it makes a dict, but"),
        ("torch.nn.Lineal", "cannot work: "),
    ],
)
def test_a_class_of_another_kind_is_refused_in_a_sentence(
    group: str, target: str, reason: str, scene: Path
) -> None:
    config = composed("dataset=folder", f"dataset.root={scene}", f"{group}._target_={target}")
    trust = trust_of(config)
    with pytest.raises(ConfigError, match=rf"^{group}.*{reason}") as error:
        build(group, config[group], trust, **({"benchmark": None} if group == "data" else {}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "kind", "settings"),
    [
        ([], "Adam", {"lr": 2e-4, "fused": True}),
        (["optimizer=adamw", "task=recon"], "AdamW", {"lr": 2e-5, "weight_decay": 0.01}),
        (["optimizer=sgd", "optimizer.lr=0.02"], "SGD", {"lr": 0.02, "momentum": 0.9}),
    ],
)
def test_an_optimizer_is_an_option(
    overrides: list[str], kind: str, settings: dict[str, Any]
) -> None:
    config = composed(*overrides, "model=mnad")
    made = build("optimizer", config.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert type(made).__name__ == kind
    assert made.defaults | settings == made.defaults


@pytest.mark.parametrize(
    ("name", "function", "interval", "needs_end"),
    [
        ("cosine", "cosine", "step", True),
        ("warmup_cosine", "warmup_cosine", "step", True),
        ("step", "StepLR", "epoch", False),
    ],
)
def test_a_schedule_is_an_option(name: str, function: str, interval: str, needs_end: bool) -> None:
    schedule = built(f"scheduler={name}").schedule
    assert schedule
    assert (schedule.interval, schedule.needs_end) == (interval, needs_end)
    assert schedule.make.func.__name__ == function  # type: ignore[attr-defined]
    assert built(f"scheduler={name}", "scheduler.interval=epoch").schedule.interval == "epoch"  # type: ignore[union-attr]


def test_none_leaves_the_learning_rate() -> None:
    assert built("scheduler=none").schedule is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["scheduler.interval=batch"], r"^scheduler cannot work: interval=batch must be step or e"),
        (
            ["+scheduler.warmup=0.1"],
            r"^scheduler\.warmup is nothing that .*cosine takes; it takes i",
        ),
        (["+scheduler.total_steps=9"], r"^scheduler\.total_steps is nothing"),
        (["scheduler=warmup_cosine", "scheduler.warmup=1"], r"^scheduler cannot work: warmup=1"),
        (["scheduler=step", "scheduler.gamma=x"], r"^scheduler cannot work: can't multiply"),
        (["scheduler=step", "scheduler.step_size=0"], r"^scheduler cannot work: integer modulo by"),
        (["optimizer=sgd", "optimizer.momentum=-1"], r"^optimizer cannot work: Invalid momentum"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_before_the_data_is_read(
    overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _detector_to_train(composed(*overrides))


def test_a_number_is_the_weight_of_a_published_term_and_a_group_is_a_term() -> None:
    loss = built("loss=[gradient_difference,ms_ssim]", "loss.gradient_difference.alpha=2",
                 "loss.gradient_difference.weight=0.5", "data.frame_size=32").loss  # fmt: skip
    terms: dict[str, Any] = dict(loss.terms)
    weights = {name: term.weight for name, term in terms.items()}
    assert weights == {
        "pixel": 1, "compactness": 0.1, "separateness": 0.1, "gradient_difference": 0.5,
        "ms_ssim": 1,
    }  # fmt: skip
    assert terms["gradient_difference"].compute.keywords == {"alpha": 2}


def test_a_checkpoint_of_a_version_without_terms_has_the_published_loss() -> None:
    earlier = OmegaConf.create({"compactness": 0.2, "separateness": 0.3, "margin": 0.7})
    terms: dict[str, Any] = dict(build_loss(earlier).terms)
    weights = {name: term.weight for name, term in terms.items()}
    assert weights == {"pixel": 1, "compactness": 0.2, "separateness": 0.3}
    assert terms["separateness"].compute.keywords == {"margin": 0.7}


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"edges": 0.5}, r"^loss\.edges cannot work: a term is a group"),
        ({"edges": {"weight": 1}}, r"^loss\.edges cannot work: a term is a group"),
        (
            {"edges": {"_target_": "os.getcwd", "weight": 1}},
            r"^loss\.edges\._target_ is os\.getcwd",
        ),
        ({"dark": {"_target_": f"{LOSSES}.pixel_loss", "weight": -1}}, r"^loss\.dark .*weight=-1"),
        ({"dark": {"_target_": f"{LOSSES}.pixel_loss", "alpha": 1}}, r"^loss\.dark\.alpha is not"),
        ({"dark": {"_target_": f"{LOSSES}.pixel_loss", "target": 1}}, r"^loss\.dark\.target is n"),
        ({"items": {"_target_": f"{LOSSES}.pixel_loss"}}, r"^loss cannot work: .* named items"),
    ],
)
def test_a_term_that_cannot_work_is_refused_in_a_sentence(
    terms: dict[str, Any], sentence: str
) -> None:
    settings = OmegaConf.create({"compactness": 0.1, "separateness": 0.1, **terms})
    with pytest.raises(ConfigError, match=sentence) as error:
        build_loss(settings)
    assert "\n" not in str(error.value)


def half(query: torch.Tensor, by: float = 2) -> torch.Tensor:
    return query / by


class Half:
    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, query: torch.Tensor) -> torch.Tensor:
        return half(query, self.by)


def test_a_term_of_ones_own_is_a_function_or_a_class() -> None:
    own = {"a": {"_target_": f"{__name__}.half", "by": 4, "weight": 3},
           "b": {"_target_": f"{__name__}.Half", "by": 5}}  # fmt: skip
    config = OmegaConf.create({"loss": own})
    terms: dict[str, Any] = dict(build_loss(config.loss, trust_of(config)).terms)
    assert (terms["a"].weight, float(terms["a"](query=torch.tensor(8.0)))) == (3, 2)
    assert (terms["b"].weight, float(terms["b"](query=torch.tensor(8.0)))) == (
        1,
        pytest.approx(1.6),
    )
    with pytest.raises(ConfigError, match=r"^loss\.a\._target_ is .*half, which is none"):
        build_loss(config.loss)


def test_a_term_of_ones_own_that_reads_something_else_is_refused() -> None:
    own = {"rounded": {"_target_": "torch.nn.SmoothL1Loss", "beta": 0.5}}
    config = OmegaConf.create({"loss": own})
    with pytest.raises(ConfigError, match=r"^loss\.rounded cannot work: it reads input, but"):
        build_loss(config.loss, trust_of(config))


class Net(torch.nn.Module):
    """A network that takes less and more than the published one."""

    def __init__(self, features: int, depth: int = 2) -> None:
        super().__init__()
        self.took = features, depth


class Everything(torch.nn.Module):
    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.took = settings


def test_a_network_of_ones_own_is_given_what_it_takes_of_the_published_settings() -> None:
    config = composed(f"model._target_={__name__}.Net", "+model.depth=5")
    assert build("model", config.model, trust_of(config)).took == (8, 5)
    config = composed(f"model._target_={__name__}.Everything")
    assert set(build("model", config.model, trust_of(config)).took) == {
        "channels", "width", "features", "past", "skip_connections",
    }  # fmt: skip


class Looked(torch.nn.Module):
    def __init__(self, kind: str | None) -> None:
        super().__init__()
        if not kind:
            raise AssertionError
        self.took = {"wide": 3}[kind]


@pytest.mark.parametrize(
    ("kind", "reason"), [(None, "AssertionError (AssertionError"), ("deep", "'deep' (KeyError")]
)
@pytest.mark.parametrize("group", ["model", "memory"])
def test_any_error_of_ones_own_class_is_a_sentence(
    group: str, kind: str | None, reason: str
) -> None:
    settings = OmegaConf.create({"_target_": f"{__name__}.Looked", "kind": kind})
    with pytest.raises(ConfigError) as error:
        build(group, settings, trust_of(None, __name__.partition(".")[0]))
    assert str(error.value) == f"{group} cannot work: {reason} in {__name__}.Looked)."


def test_a_setting_that_no_network_takes_is_refused() -> None:
    config = composed(f"model._target_={__name__}.Net", "+model.deptj=5")
    with pytest.raises(ConfigError, match=r"^model cannot work: .*unexpected .*deptj"):
        build("model", config.model, trust_of(config))
