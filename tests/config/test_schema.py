"""Values that a setting cannot have, and keys that are none: each is a sentence that names it."""

import inspect
import math
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.groups import DatasetSettings
from memguard.config.problems import find_problems
from memguard.config.schema import (
    CalibrationSettings,
    Command,
    DenoiserSettings,
    EvaluationSettings,
    ExportSettings,
    PrepareSettings,
    ScoreSettings,
    TrainingSettings,
    WatchSettings,
    keys_of,
)
from memguard.config.validation import validate_by, validate_training
from memguard.config.values import group_of
from memguard.data.clips.datamodule import ClipDataModule
from memguard.errors import ConfigError
from memguard.training.build import OWN

NAN, INF, HUGE = math.nan, math.inf, 10**30
FOLLOWERS = (
    *("data.cache_dir", "data.past", "data.on_error", "data.cache", "paths.run_dir"),
    *("memory.width", "model.channels", "model.features", "model.past", "model.skip_connections"),
    *("callbacks.held_out_clips.folder", "callbacks.memory.folder", "denoise.channels"),
)
ODD = [{"a": 1}, [1, 2], "nonsense"]

# By hand, and not by the models themselves: values that no setting of the kind can have.
NOT_FLAGS = [*ODD, 0, 1, 1.0, NAN, "yes"]
NOT_NUMBERS = [*ODD, True, False, NAN, INF, -INF, -1, -0.5, "0.1"]
NOT_WHOLE = [*ODD, True, False, NAN, INF, -2, 1.5, 2.0, "2"]
NOT_COUNTS = [*NOT_WHOLE, HUGE]
NOT_NAMES = [*ODD, True, 0, 1, 1.5, NAN, ""]
NOT_PATHS = [{"a": 1}, [1, 2], True, 0, 1.5, NAN, "", " "]

NOT_PLACES = [True, 1, NAN, "", None, [[0, 0], [1, 1]], [[[0, 0], [1, 1], [2, 0]]]]

MISTYPED = ["rtsp:/u:pw@door", "rtsp//u:pw@door", "u:pw@door/1", "rtsp:door?password=pw"]
NO_HOOKS = ["ftp://door/hook", "https://", "http:/u:pw@door", "http://u:pw@door:80a", "http://a:0"]
NO_BROKERS = ["http://door", "mqtt://", "mqtt:/u:pw@door", "mqtt://u:pw@door:port"]
NEVER = ["07:00-19:00", "08:00-08:00"]

WRONG: dict[str, list[Any]] = {
    "memory.size": [*NOT_COUNTS, -1, None],
    "memory.scales": [*(True, 8, NAN, "8", None), [], [3], [True, 8], [8.0], ["8"], [8] * 5],
    "memory.sizes": [*(True, 8, NAN, "8", None), [], [0], [True, 8], [8.0], ["8"], [1] * 5],
    "memory.max_size": [*NOT_COUNTS, 0, 1001, None],
    "memory.novelty": [*NOT_NUMBERS, 0, 2.1, None],
    "memory.merge": [*NOT_NUMBERS, 2, None],
    "memory.shrinkage": [*NOT_NUMBERS, HUGE, None],
    "task.name": [*NOT_NAMES, "Pred", None],
    "task.past": [*NOT_COUNTS, -1, None],
    "task.skip_connections": [*NOT_FLAGS, None],
    "memory.dim": [*NOT_COUNTS, 0, None],
    "model.width": [*NOT_COUNTS, 0, None],
    "loss.pixel": [*NOT_NUMBERS, None],
    "loss.compactness": [*NOT_NUMBERS, None],
    "loss.separateness": [*NOT_NUMBERS, None],
    "loss.margin": [*NOT_NUMBERS, None],
    "denoise.width": [*NOT_COUNTS, 0, None],
    "denoise.weights": NOT_PATHS,
    "guard.threshold": [*NOT_NUMBERS, None],
    "guard.quantile": [*NOT_NUMBERS, 1.01, HUGE, None],
    "guard.scope": [*NOT_NAMES, None],
    "guard.enabled": [*NOT_FLAGS, None],
    "scoring.name": [*NOT_NAMES, None],
    "scoring.weight": [*NOT_NUMBERS, 1.01, HUGE, None],
    "scoring.patch": [
        *(*NOT_NUMBERS, 0.2, [0.2], [0.2, 0], [0.2, True], [0.2, NAN], [0.2, 2], None),
        *([[0.2]], [[0.2, 0.1], 0.1], [[0.2, 0.1], [0.1, 0]], [[0.2, 0.1]] * 11),
    ],
    "scoring.smoothing": [*NOT_NUMBERS, HUGE, None],
    "scoring.causal": [*NOT_FLAGS, None],
    "data.frame_size": [
        *(*NOT_COUNTS, 0, 100, None),
        *([32], [32, 48, 64], [0, 32], [32, 36], ["32", 48], [32, 4104]),
    ],
    "dataset.root": [*NOT_PATHS, None],
    "dataset.name": [*NOT_PATHS, None],
    "dataset.labels": NOT_PATHS,
    "dataset.on_error": [*NOT_NAMES, None],
    "dataset.cache": [*NOT_NAMES, None],
    "data.channels": [*NOT_COUNTS, 0, 2, None],
    "data.batch_size": [*NOT_COUNTS, 0, None],
    "data.threads": [*NOT_COUNTS, -1, None],
    "data.stretch": [*NOT_COUNTS, 0],
    "data.windows_per_epoch": [*NOT_WHOLE, 0],
    "data.holdout": [*NOT_NUMBERS, 1, 1.5, None],
    "optimizer.lr": [*NOT_NUMBERS, 0, None],
    "scheduler.interval": [*NOT_NAMES, None],
    "scheduler.warmup": [*NOT_NUMBERS, 1, None],
    "scheduler.step_size": [*NOT_WHOLE, 0, None],
    "scheduler.gamma": [*NOT_NUMBERS, 0, None],
    "compile": [*NOT_FLAGS, None],
    "seed": [*NOT_COUNTS, -1, 2**32, None],
    "batch_norm": [*NOT_NAMES, None],
    "ignored": NOT_PLACES,
    "test": [*NOT_FLAGS, None],
    "print_config": [*NOT_FLAGS, None],
    "tags": [{"a": 1}, [1, 2], ["a", ""], ["a", "b" * 65], "nonsense", True, 0, NAN, None],
    "train": [*NOT_FLAGS, None],
    "options": ["nonsense", 3, True, [1, 2], None],
    "checkpoint": NOT_PATHS,
    "weights": NOT_PATHS,
    "optimized_metric": [*NOT_PATHS, None],
    "paths.cache_dir": [*NOT_PATHS, None],
    "paths.data_dir": NOT_PATHS,
    "trust": [{"a": 1}, [1, 2], ["my_pkg", "not a name"], True, 0, NAN, "", "my pkg", "1st", "a."],
    "data.seed": [*NOT_COUNTS, -1, None],
    "optimizer.fused": NOT_FLAGS,
    "callbacks.checkpoint.every_minutes": [*NOT_NUMBERS, None],
    "callbacks.checkpoint.monitor": NOT_PATHS,
    "callbacks.checkpoint.mode": NOT_NAMES,
    "callbacks.early_stopping.patience": [*NOT_WHOLE, -1],
    "callbacks.early_stopping.monitor": NOT_PATHS,
    "callbacks.early_stopping.mode": NOT_NAMES,
    "callbacks.ema.decay": [*NOT_NUMBERS, 0, 1, None],
    "callbacks.pseudo_auroc.windows": [*NOT_COUNTS, 0, None],
    "callbacks.test_each_epoch.enabled": [*NOT_FLAGS, None],
    "callbacks.held_out_clips.clips": [*NOT_COUNTS, 0, None],
    "callbacks.memory.figure_every": [*NOT_WHOLE, 0, None],
    "logger.wandb.settings.init_timeout": [*NOT_NUMBERS, 0, None],
    "logger.wandb.settings.finish_timeout": [*NOT_NUMBERS, 0, None],
    "logger.wandb.mode": [*NOT_NAMES, None],
    "trainer.accelerator": NOT_PATHS,
    "trainer.max_epochs": [*NOT_WHOLE, 0],
    "trainer.max_steps": [*NOT_WHOLE, 0],
    "trainer.fast_dev_run": [*ODD, NAN, -1, 1.5, "2"],
    "trainer.min_epochs": [*NOT_WHOLE, -1],
    "trainer.min_steps": [*NOT_WHOLE, -1],
    "trainer.max_time": [[1, 2], True, 10, NAN, ""],
    "trainer.precision": [*NOT_NAMES, 8, "16-true", "bf16-true", "64-true", 64],
    "trainer.num_nodes": [*NOT_WHOLE, 0],
    "trainer.limit_train_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_val_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_test_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_predict_batches": [*NOT_NUMBERS, 1.5],
    "trainer.overfit_batches": [*NOT_NUMBERS, 1.5],
    "trainer.devices": [True, False, 1025, HUGE],
    "trainer.check_val_every_n_epoch": [*NOT_WHOLE, 0],
    "trainer.num_sanity_val_steps": NOT_WHOLE,
    "trainer.log_every_n_steps": [*NOT_WHOLE, 0],
    "trainer.profiler": [[1, 2], "nonsense", True, 0, 1, 1.5, NAN, ""],
    "trainer.accumulate_grad_batches": [*NOT_WHOLE, 0],
    "trainer.gradient_clip_val": NOT_NUMBERS,
    "trainer.gradient_clip_algorithm": NOT_NAMES,
    "trainer.reload_dataloaders_every_n_epochs": [*NOT_WHOLE, -1],
    "trainer.enable_checkpointing": NOT_FLAGS,
    "trainer.enable_progress_bar": NOT_FLAGS,
    "trainer.enable_model_summary": NOT_FLAGS,
    "trainer.benchmark": NOT_FLAGS,
    "trainer.inference_mode": NOT_FLAGS,
    "trainer.use_distributed_sampler": NOT_FLAGS,
    "trainer.detect_anomaly": NOT_FLAGS,
    "trainer.sync_batchnorm": NOT_FLAGS,
    "trainer.enable_autolog_hparams": NOT_FLAGS,
}  # fmt: skip

COMMANDS: dict[str, type[Command]] = {
    "train": TrainingSettings,
    "train_denoiser": DenoiserSettings,
    "evaluate": EvaluationSettings,
    "score": ScoreSettings,
    "calibrate": CalibrationSettings,
    "export": ExportSettings,
    "watch": WatchSettings,
    "prepare": PrepareSettings,
}
NEEDED = {
    "evaluate": ["baseline=previous_frame"],
    "score": ["checkpoint=last.ckpt", "video=a.mp4"],
    "calibrate": ["checkpoint=last.ckpt", "video=a.mp4", "output=new.ckpt"],
    "export": ["checkpoint=last.ckpt", "output=door.onnx"],
    "train": ["model=mnad_tiny"],
    "watch": ["cameras=cameras.yaml"],
}

OF_OTHER_COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("evaluate", "checkpoint"): NOT_PATHS,
    ("evaluate", "baseline"): NOT_NAMES,
    ("evaluate", "run"): NOT_PATHS,
    ("evaluate", "every_epoch"): [*NOT_FLAGS, None],
    ("evaluate", "optimized_metric"): [*NOT_PATHS, None],
    ("evaluate", "paths.cache_dir"): [*NOT_PATHS, None],
    ("score", "checkpoint"): [*NOT_PATHS, None],
    ("score", "alarm.false_per_hour"): [*NOT_NUMBERS, 0, None],
    ("score", "backend"): [*NOT_NAMES, None, "torch_export"],
    ("score", "annotate"): [*NOT_FLAGS, None],
    ("score", "video"): [*ODD[:2], True, -1, 1.5, NAN, "", None, *MISTYPED],
    ("score", "ignored"): NOT_PLACES,
    ("score", "conditions"): [*NOT_FLAGS, None],
    ("score", "standing"): [*NOT_FLAGS, None],
    ("score", "events.shortest"): [*NOT_NUMBERS, -1, None],
    ("score", "events.longest"): [*NOT_NUMBERS, 0, None],
    ("score", "events.snapshots"): [*NOT_FLAGS, None],
    ("score", "events.clip"): [*NOT_NUMBERS, 61],
    ("score", "events.keep_days"): [*NOT_NUMBERS, 0, None],
    ("score", "events.keep_gigabytes"): [*NOT_NUMBERS, 0, None],
    ("score", "notify.webhook"): [*NOT_PATHS, "door/hook", *NO_HOOKS],
    ("score", "notify.mqtt"): [*NOT_PATHS, "door:1883", *NO_BROKERS],
    ("score", "notify.command"): [{"a": 1}, [1, 2], [], [""], "nonsense", True, 0, NAN, ""],
    ("score", "notify.cooldown"): [*NOT_NUMBERS, None],
    ("score", "notify.most_per_hour"): [*NOT_WHOLE, 0, None],
    ("score", "paths.cache_dir"): [*NOT_PATHS, None],
    ("calibrate", "checkpoint"): [*NOT_PATHS, None],
    ("calibrate", "video"): [*ODD[:2], True, -1, 1.5, NAN, "", None, *MISTYPED],
    ("calibrate", "output"): [*NOT_PATHS, None],
    ("calibrate", "ignored"): NOT_PLACES,
    ("calibrate", "paths.cache_dir"): [*NOT_PATHS, None],
    ("export", "checkpoint"): [*NOT_PATHS, None],
    ("export", "format"): [*NOT_NAMES, None],
    ("export", "precision"): [*NOT_NAMES, None, "int8"],
    ("export", "video"): NOT_PATHS,
    ("export", "output"): [*NOT_PATHS, None, "door.xml", "door"],
    ("export", "paths.cache_dir"): [*NOT_PATHS, None],
    ("watch", "cameras"): [*NOT_PATHS, None],
    ("watch", "folder"): [*NOT_PATHS, None],
    ("watch", "serve"): [*NOT_PATHS, "8090", "door", "door:port"],
    ("watch", "ray.address"): NOT_PATHS,
    ("watch", "checkpoint"): NOT_PATHS,
    ("watch", "ignored"): NOT_PLACES,
    ("watch", "conditions"): [*NOT_FLAGS, None],
    ("watch", "standing"): [*NOT_FLAGS, None],
    ("watch", "hours"): [True, 1, "07:00-19:00", [], ["7-19"], ["07:00-24:00"], ["07:00"], NEVER],
    ("watch", "alarm.false_per_hour"): [*NOT_NUMBERS, 0, None],
    ("watch", "events.shortest"): [*NOT_NUMBERS, -1, None],
    ("watch", "events.longest"): [*NOT_NUMBERS, 0, None],
    ("watch", "events.snapshots"): [*NOT_FLAGS, None],
    ("watch", "events.clip"): [*NOT_NUMBERS, 61],
    ("watch", "events.keep_days"): [*NOT_NUMBERS, 0, None],
    ("watch", "events.keep_gigabytes"): [*NOT_NUMBERS, 0, None],
    ("watch", "notify.webhook"): [*NOT_PATHS, "door/hook", *NO_HOOKS],
    ("watch", "notify.mqtt"): [*NOT_PATHS, "door:1883", *NO_BROKERS],
    ("watch", "notify.command"): [{"a": 1}, [1, 2], [], [""], "nonsense", True, 0, NAN, ""],
    ("watch", "notify.cooldown"): [*NOT_NUMBERS, None],
    ("watch", "notify.most_per_hour"): [*NOT_WHOLE, 0, None],
    ("watch", "paths.cache_dir"): [*NOT_PATHS, None],
    ("prepare", "dataset.root"): [*NOT_PATHS, None],
    ("prepare", "download"): [*NOT_FLAGS, None],
    ("prepare", "window"): [*NOT_COUNTS, 0, None],
    ("prepare", "paths.cache_dir"): [*NOT_PATHS, None],
}


def composed(name: str, *overrides: str) -> DictConfig:
    """Compose the configuration of a command, without the values of a running Hydra."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, list(overrides))
    tree = OmegaConf.to_container(config)
    return OmegaConf.create(without_hydra(tree))


def without_hydra(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    taken = ("${hydra:", "${memguard.run_name:", "${memguard.sweep_name:", "${memguard.wandb_mode:")
    mine = {k: v for k, v in tree.items() if not str(v).startswith(taken)}
    return {key: without_hydra(value) for key, value in mine.items()}


def resolved(config: DictConfig) -> DictConfig:
    return OmegaConf.create(OmegaConf.to_container(config, resolve=True))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def training() -> DictConfig:
    config = composed("train", "model=mnad_tiny", "dataset=avenue")
    config.logger.wandb.mode = "offline"
    validate_training(config)
    return resolved(config)


def at_fault(command: str, config: DictConfig, key: str, value: Any) -> list[str]:
    """The keys that the problems are about with a value in place of what is there."""
    changed = OmegaConf.merge(config)
    OmegaConf.update(changed, key, value, merge=False, force_add=True)
    problems = find_problems(COMMANDS[command], changed)  # type: ignore[arg-type]
    assert not any("\n" in problem.sentence for problem in problems)
    assert not any("pw" in problem.sentence for problem in problems)
    return [problem.keys[0] for problem in problems]


def test_each_setting_is_tried_below() -> None:
    assert set(WRONG) == {key for key in keys_of(TrainingSettings) if key not in FOLLOWERS}
    for name in ("train_denoiser", "evaluate", "score", "calibrate", "export", "prepare"):
        own = set(keys_of(COMMANDS[name])) - set(WRONG) - set(FOLLOWERS)
        assert own <= {key for command, key in OF_OTHER_COMMANDS if command == name}


@pytest.mark.parametrize("key", WRONG)
def test_no_impossible_value_passes(key: str, training: DictConfig) -> None:
    for value in WRONG[key]:
        assert at_fault("train", training, key, value) == [key], value


@pytest.mark.parametrize(("name", "key"), OF_OTHER_COMMANDS)
def test_nor_does_one_of_the_other_commands(name: str, key: str) -> None:
    config = composed(name, *NEEDED.get(name, []))
    validate_by(COMMANDS[name], config)
    config = resolved(config)
    for value in OF_OTHER_COMMANDS[name, key]:
        assert at_fault(name, config, key, value) == [key], value


@pytest.mark.parametrize("name", ["evaluate", "score"])
@pytest.mark.parametrize("key", ["guard.threshold", "scoring.weight", "loss.margin", "seed"])
def test_a_request_may_leave_values_as_trained(name: str, key: str) -> None:
    config = resolved(composed(name, *NEEDED.get(name, [])))
    assert at_fault(name, config, key, None) == []
    for value in set(map(str, WRONG[key])) - {"None"}:
        assert at_fault(name, config, key, value) == [key]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("memory.size=true", "memory.size=true cannot work: it must be a whole number"),
        ("memory.size=1.5", "memory.size=1.5 cannot work: .* at least 2 .*, or 0 .none."),
        ("seed=true", "seed=true cannot work: it must be a whole number of at least 0"),
        ("optimizer.lr=.inf", "optimizer.lr=.inf cannot work: it must be a number above 0"),
        ("optimizer.lr=inf", "optimizer.lr=inf cannot work: it must be a number above 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan cannot work: it must be a number above 0"),
        ("loss.compactness=null", "loss.compactness=null cannot work"),
        ("data.windows_per_epoch=0", "it must be a whole number of at least 1"),
        ("data.batch_size='${nowhere}'", "data.batch_size cannot work: .*nowhere"),
    ],
)
def test_what_a_command_can_say_is_shown_as_it_said_it(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validate_training(composed("train", "model=mnad_tiny", override))


def test_a_group_that_a_command_leaves_out_has_no_rules() -> None:
    tiny = "model=mnad_tiny", "logger=none"
    validate_training(composed("train", *tiny, "~callbacks.memory"))
    with pytest.raises(ConfigError, match=r"callbacks\.memory\.figure_every=null cannot work"):
        validate_training(composed("train", *tiny, "~callbacks.memory.figure_every"))


def problems(*overrides: str, **changes: Any) -> list[str]:
    """The sentences that refuse a training; ``__`` in a name stands for a dot."""
    config = composed("train", "model=mnad_tiny", "logger=csv", *overrides)
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    return [problem.sentence for problem in find_problems(TrainingSettings, config)]


def test_all_problems_are_reported_at_once_in_the_order_of_the_configuration() -> None:
    overrides = ["memory.size=-1", "trainer.max_epochs=0", "guard.threshold=auto", "data.holdout=0"]
    with pytest.raises(ConfigError) as error:
        validate_training(composed("train", "model=mnad_tiny", "logger=csv", *overrides))
    assert str(error.value).splitlines() == [
        "The configuration has 3 problems:",
        "guard.threshold=auto needs held-out normal frames, but data.holdout=0: set data.holdout "
        "to 0.05, or guard.threshold to a number.",
        "trainer.max_epochs=0 cannot work: it must be a whole number of at least 1, or -1 for as "
        "many as trainer.max_steps takes, or null.",
        "memory.size=-1 cannot work: it must be a whole number of at least 2 and at most 1000000, "
        "or 0 (none).",
    ]


def test_a_check_waits_for_the_values_that_it_reads() -> None:
    assert len(problems("memory.size=1")) == 1
    assert problems("memory.size=1", "loss.separateness=many") == [
        "loss.separateness=many cannot work: it must be a number of at least 0."
    ]
    assert len(problems("memory.size=1", "loss.compactness=many")) == 2


def test_a_value_that_follows_another_does_not_repeat_its_fault() -> None:
    assert problems("seed=-1") == [
        "seed=-1 cannot work: it must be a whole number of at least 0 and at most 4294967295."
    ]
    assert len(problems("seed=-1", "data.seed=-2")) == 2
    unset = ["my.steps is not set: add my.steps=… to the command."]
    assert problems("+my.steps=???", "trainer.max_steps=${my.steps}") == unset
    assert problems("+my.steps=???", "memory.dim=${my.steps}") == unset
    assert problems("dataset=folder") == [
        "dataset.root is not set: add dataset.root=… to the command."
    ]


def test_a_list_or_a_callback_that_leads_nowhere_is_one_problem() -> None:
    lost = "Interpolation key 'nowhere' not found"
    assert problems("scoring.patch=['${nowhere}',0.1]") == [f"scoring.patch.0 cannot work: {lost}."]
    assert problems("+callbacks.mine.monitor='${nowhere}'") == [
        f"callbacks.mine.monitor cannot work: {lost}."
    ]


MINE = """\
# @package _global_
defaults:
  - override /model: mnad_tiny
  - override /logger: csv
gaurd:
  threshold: 0.1
memory:
  sise: 3
callbacks:
  memory:
    every: 2
trainer:
  max_epoch: 3
lr: 0.1
"""


def test_unknown_keys_of_a_file_are_refused_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(MINE)
    config = composed("train", f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine")
    assert [problem.sentence for problem in find_problems(TrainingSettings, config)] == [
        "trainer.max_epoch is not known: did you mean trainer.max_epochs?",
        "callbacks.memory.every is not known: did you mean callbacks.memory.figure_every?",
        "memory.sise is not known: did you mean memory.size?",
        "gaurd is not known: did you mean guard?",
        "lr is not known: did you mean optimizer.lr?",
    ]
    file.write_text(MINE.removeprefix("# @package _global_\n").replace("override ", ""))
    config = composed("train", f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine")
    sentence = "experiment has no effect: begin its file with the line # @package _global_."
    assert sentence in [problem.sentence for problem in find_problems(TrainingSettings, config)]


def test_keys_of_ones_own_pass() -> None:
    assert problems("+repeat=1", "+my.own=2") == []
    assert problems("+width=8", "model.width=${width}") == []
    assert problems("+task.lag=2", "data.threads=${task.lag}") == []
    assert problems("+task.lag=2") == [
        "task.lag is not known: it must be one of name, past, skip_connections."
    ]
    assert problems("+memory.banks=2", "data.threads=${memory.banks}") == [
        "memory.banks is not known: it must be one of dim, max_size, merge, novelty, scales, "
        "shrinkage, size, sizes, width."
    ]
    assert problems("+optimizer.weight_decay=0.1", "trainer.profiler=simple") == []
    assert problems("+callbacks.mine._target_=my.Callback", "+callbacks.mine.every=2") == []


def test_memories_at_skips_need_a_decoder_that_takes_them() -> None:
    assert problems("memory=multiscale") == []
    assert (
        problems("memory=multiscale", "memory.scales=[8]", "memory.sizes=[9]", "task=recon") == []
    )
    assert problems("memory=multiscale", "task=recon") == [
        "memory.scales=[8, 4] cannot work with task.skip_connections=false, as the decoder takes "
        "no skips: choose memory=memae, or task=pred."
    ]


def test_a_memory_merges_items_that_are_nearer_than_novel_ones() -> None:
    assert problems("memory=growing", "memory.merge=0.4") == []
    assert problems("memory=growing", "memory.merge=0.6") == [
        "memory.merge=0.6 cannot work with memory.novelty=0.5, as each new item would be merged at "
        "once: set memory.merge to less."
    ]


@pytest.mark.parametrize("name", ["score", "watch"])
def test_an_event_is_reported_before_it_ends(name: str) -> None:
    config = composed(name, *NEEDED[name], "events.shortest=5", "events.longest=5")
    assert find_problems(COMMANDS[name], config) == []  # type: ignore[arg-type]
    config.events.shortest = 8
    (problem,) = find_problems(COMMANDS[name], config)  # type: ignore[arg-type]
    assert problem.sentence == (
        "events.shortest=8 cannot work with events.longest=5, as every event ends before it is "
        "reported: set events.shortest to less."
    )


@pytest.mark.parametrize("group", ["model", "memory", "dataset", "scoring", "optimizer"])
def test_a_class_of_ones_own_takes_what_it_likes(group: str) -> None:
    kept = {"dataset": ["on_error", "cache"], "scoring": ["weight"]}.get(group, [])
    config = composed("train", "model=mnad_tiny", "logger=csv")
    own = {key: config[group][key] for key in kept} | {"_target_": "my.Class", "depths": [1, 2]}
    OmegaConf.update(config, group, own, merge=False)
    # A reference to what the class does not take leads nowhere.
    config.model.features, config.loss.separateness = 8, 0
    assert find_problems(TrainingSettings, config) == []
    config[group]._target_ = "memguard.model.Class"
    if group != "optimizer":
        assert at_fault("train", config, f"{group}.depths", 1) != []


def test_what_memguard_reads_of_any_guard_is_checked() -> None:
    own = {"guard___target_": "my.Guard", "guard__levels": [1, 2]}
    assert problems(**own) == []
    assert problems("~guard.quantile", **own) == []
    assert problems("guard.scope=camera", **own) == [
        "guard.scope=camera cannot work: it must be dataset or video."
    ]
    assert len(problems("~guard.scope", **own)) == 1


@pytest.mark.parametrize(
    ("key", "nearly"),
    [
        ("memory.size", "2"), ("memory.size", 2.0), ("memory.size", True),
        ("loss.margin", "1"), ("loss.margin", True),
        ("data.channels", "1"), ("data.channels", 1.0), ("data.channels", True),
        ("guard.enabled", "true"), ("guard.enabled", 1), ("guard.enabled", 1.0),
        ("trainer.precision", 32.0), ("trainer.max_epochs", -1.0),
    ],
)  # fmt: skip
def test_nearly_right_types_are_refused(key: str, nearly: Any, training: DictConfig) -> None:
    assert at_fault("train", training, key, nearly) == [key]


def options(group: str) -> list[str]:
    return [f"{group}={file.stem}" for file in sorted(Path(config_folder(), group).glob("*.yaml"))]


GROUPS = (
    *("callbacks", "dataset", "guard", "logger", "loss", "memory", "model", "optimizer"),
    *("scheduler", "scoring", "task", "trainer"),
)
OPTIONS = {group: options(group) for group in GROUPS}


def together(turn: int) -> list[str]:
    """One of each group; memory=multiscale cannot work with task=recon."""
    choices = [each[turn % len(each)] for each in OPTIONS.values()]
    if "memory=multiscale" in choices:
        choices = [choice.replace("task=recon", "task=pred") for choice in choices]
    return choices


# Until each option has had its turn.
TOGETHER = [together(turn) for turn in range(max(map(len, OPTIONS.values())))]


@pytest.mark.parametrize("choices", [*TOGETHER, *([name] for name in options("experiment"))])
def test_the_defaults_of_each_option_pass(choices: list[str]) -> None:
    config = composed("train", "dataset.root=videos", "logger=csv", *choices)
    if "wandb" in config.logger:
        config.logger.wandb.mode = "offline"
    assert find_problems(TrainingSettings, config) == []


@pytest.mark.parametrize(
    "name", ["train_denoiser", "evaluate", "score", "calibrate", "export", "prepare"]
)
def test_the_defaults_of_each_command_pass(name: str) -> None:
    validate_by(COMMANDS[name], composed(name, *NEEDED.get(name, [])))


# Arguments that a builder passes itself, and earlier names of them.
GIVEN = {"data": {"benchmark", "videos_apart"}, "dataset": {"on_error", "cache"}}


@pytest.mark.parametrize("group", ["model", "memory", "guard", "scoring", "data"])
def test_a_group_has_the_keys_and_choices_that_its_classes_take(group: str) -> None:
    signatures = [inspect.signature(made, eval_str=True) for made in OWN[group].values()]
    taken = {name: each for made in signatures for name, each in made.parameters.items()}
    settings = group_of(TrainingSettings.model_fields[group])
    assert settings
    assert set(settings.model_fields) == set(taken) - GIVEN.get(group, set())
    for name, field in settings.model_fields.items():
        if get_origin(taken[name].annotation) is Literal:
            assert field.annotation in (taken[name].annotation, Any)


def test_a_dataset_has_the_keys_and_choices_that_datasets_take() -> None:
    taken = {
        name for made in OWN["dataset"].values() for name in inspect.signature(made).parameters
    }
    assert set(DatasetSettings.model_fields) == taken | GIVEN["dataset"]
    loading = inspect.signature(ClipDataModule, eval_str=True).parameters
    for name in GIVEN["dataset"]:
        assert DatasetSettings.model_fields[name].annotation == loading[name].annotation
