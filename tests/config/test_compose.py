"""A configuration as ``conf/`` and a command compose it."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import memguard
from memguard.cli import COMMANDS
from memguard.config.command_line import as_meant
from memguard.config.compose import config_folder, published_settings, register_resolvers
from memguard.config.keys import unknown_keys
from memguard.config.validation import validate
from memguard.errors import ConfigError
from memguard.training.build import build_detector


def composed(*overrides: str, name: str = "train") -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, list(overrides))
    # These name the run folder, which only a running command has.
    return OmegaConf.masked_copy(config, [k for k in config if k not in ("logger", "callbacks")])


@pytest.mark.parametrize(
    ("task", "compactness", "rate", "threshold", "weight", "past"),
    [("pred", 0.1, 2e-4, 0.01, 0.6, 4), ("recon", 0.01, 2e-5, 0.015, 0.7, 0)],
)
def test_each_task_at_the_published_size_has_the_published_settings(
    task: str, compactness: float, rate: float, threshold: float, weight: float, past: int
) -> None:
    config = composed(f"task={task}", "model=mnad")
    assert config.loss.compactness == config.loss.separateness == compactness
    assert config.optimizer.lr == rate
    assert config.guard.threshold == threshold
    assert config.scoring.weight == weight
    assert config.data.past == config.task.past == past
    assert (config.data.frame_size, config.data.channels, config.data.batch_size) == (256, 3, 4)
    assert (config.memory.size, config.memory.dim, config.trainer.max_epochs) == (10, 512, 60)
    validate(config)


@pytest.mark.parametrize("task", ["pred", "recon"])
def test_published_experiments_have_the_published_order_and_batch_norm(task: str) -> None:
    for config in (
        composed(f"experiment=paper_ped2_{task}"),
        composed(f"experiment=paper_avenue_{task}"),
        published_settings(task),
    ):
        assert (config.data.stretch, config.batch_norm) == (1, "running")
    assert composed(f"task={task}").batch_norm == "measured"


@pytest.mark.parametrize(
    "order", [("task=recon", "model=mnad_small"), ("model=mnad_small", "task=recon")]
)
def test_the_small_model_finds_its_own_gate_for_both_tasks(order: tuple[str, str]) -> None:
    config = composed(*order)
    assert config.guard.threshold == "auto"
    assert (config.model.width, config.memory.dim, config.data.batch_size) == (32, 256, 4)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("train", "job"), ("train", "hydra"), ("train", "all"), ("evaluate", "job"),
        ("score", "all"), ("calibrate", "all"), ("prepare", "all"), ("train_denoiser", "all"),
        ("export", "all"),
    ],
)  # fmt: skip
def test_every_command_shows_its_settings_resolved(
    command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # and restored afterwards
    register_resolvers()
    with initialize_config_dir(config_folder(), "memguard", version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert running is not None
        running.show_cfg(command, [], shown, package=None, resolve=True)
    printed = OmegaConf.create(capsys.readouterr().out)
    if command == "train":
        key = "paths.run_dir" if shown == "job" else "hydra.run.dir"
        assert re.fullmatch(r"runs/street_pred/[\d_-]+", str(OmegaConf.select(printed, key)))


def test_the_trainer_names_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    monkeypatch.setattr("torch.cpu.get_capabilities", dict, raising=False)
    for name, precision in (("cpu", "32-true"), ("gpu", "bf16-mixed")):
        trainer = composed(f"trainer={name}").trainer
        assert (trainer.accelerator, trainer.devices, trainer.precision) == (name, 1, precision)
    assert composed("trainer=default").trainer.precision == "bf16-mixed"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    trainer = composed("trainer=mps").trainer
    assert (trainer.accelerator, trainer.precision) == ("mps", "32-true")


@pytest.mark.parametrize("name", ["fast_dev_run", "limit", "overfit", "profile"])
def test_a_debug_run_is_shorter_whatever_it_debugs(name: str) -> None:
    config = composed("experiment=small_ped2_pred", f"debug={name}")
    validate(config)
    assert config.dataset._target_ == "memguard.data.datasets.ucsd.ped2"
    assert config.trainer.max_epochs == {"limit": 2, "overfit": 20, "profile": 1}.get(name, 15)


def test_a_step_is_compiled_for_one_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"compile=true cannot work with trainer\.devices=2"):
        validate(composed("model=mnad_small", "compile=true", "trainer.devices=2"))
    with pytest.raises(ConfigError, match=r"compile=true cannot work with trainer\.num_nodes=2"):
        validate(composed("model=mnad_small", "compile=true", "+trainer.num_nodes=2"))
    assert not composed("experiment=paper_ped2_pred", "trainer.accelerator=cpu").compile
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert composed("experiment=paper_ped2_pred").compile
    assert not composed("experiment=paper_ped2_pred", "trainer=ddp").compile
    monkeypatch.setattr("memguard.distributed.nodes", lambda: 2)
    assert not composed("experiment=paper_ped2_pred", "trainer.devices=1").compile
    monkeypatch.setattr("memguard.distributed.nodes", lambda: 1)
    assert not composed("experiment=paper_ped2_pred", "trainer.accelerator=cpu").compile


@pytest.mark.parametrize("overrides", [["memory=none"], ["memory.size=1", "loss.separateness=0"]])
@pytest.mark.parametrize("model", ["mnad", "mnad_tiny"])
def test_a_memory_can_be_left_out_or_be_one_item(overrides: list[str], model: str) -> None:
    config = composed(f"model={model}", *overrides)
    validate(config)
    size = 0 if overrides == ["memory=none"] else 1
    assert build_detector(config).memory.items.shape == (size, config.memory.dim)
    # The size alone is rejected.
    with pytest.raises(ConfigError, match=f"memory.size={size} cannot work"):
        validate(composed(f"model={model}", f"memory.size={size}"))


def test_the_published_settings_do_not_depend_on_the_running_command() -> None:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        settings = published_settings("recon")
        still = compose("train", ["model=mnad_tiny"])
    assert (settings.data.frame_size, settings.scoring.weight) == (256, 0.7)
    assert still.data.frame_size == 64


@pytest.mark.parametrize("name", ["paper", "small"])
@pytest.mark.parametrize("task", ["pred", "recon"])
def test_experiments_on_ped2_differ_in_size_alone(name: str, task: str) -> None:
    config = composed(f"experiment={name}_ped2_{task}")
    validate(config)
    size, epochs = (256, 60) if name == "paper" else (128, 15)
    assert (config.task.name, config.data.frame_size, config.trainer.max_epochs) == (
        task, size, epochs,
    )  # fmt: skip
    assert config.dataset._target_ == "memguard.data.datasets.ucsd.ped2"


def test_the_chosen_options_are_in_the_configuration() -> None:
    options = memguard.compose(["dataset=ped2", "experiment=small_ped2_recon"]).options
    assert (options.dataset, options.task) == ("ped2", "recon")
    assert options.experiment == "small_ped2_recon"
    assert options.sweep is None
    assert not [group for group in options if group.startswith("hydra")]


def test_words_are_a_list() -> None:
    with pytest.raises(ConfigError, match=r"a list of words: write \['dataset=ped2'\]"):
        memguard.compose("dataset=ped2")


@pytest.mark.parametrize("name", [name.replace("-", "_") for name in COMMANDS][:-1])
def test_the_help_of_a_command_has_examples_of_its_own(name: str) -> None:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, return_hydra_config=True)
    words = [line.split() for line in config.hydra.help.how_to.splitlines() if "python -m" in line]
    assert words
    for python, m, module, *overrides in words:
        assert (python, m, module) == ("python", "-m", f"memguard.{name}")
        assert unknown_keys(name, config_folder(), as_meant(overrides)) is None
