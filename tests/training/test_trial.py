"""Parts that do not fit are found before the first step."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.problems import find_problems
from memguard.config.schema import TrainingSettings
from memguard.errors import ConfigError
from memguard.model.schedules import Schedule
from memguard.training.build import build_detector
from memguard.training.trial import require_working_optimizer, require_working_step

MEMORIES = sorted(Path(config_folder(), "memory").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    small = ["model=mnad_tiny", "model.width=4", "memory.dim=8", "data.frame_size=32"]
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", [*small, *overrides])


@pytest.mark.parametrize("task", ["pred", "recon"])
def test_a_trial_leaves_the_detector_as_it_was(task: str) -> None:
    config = composed(f"task={task}", "loss=gradient_difference")
    detector = build_detector(config).train()
    before = deepcopy(detector.state_dict())
    require_working_step(detector, config)
    assert detector.training
    for name, value in detector.state_dict().items():
        assert value.equal(before[name]) or value.isnan().all(), name


@pytest.mark.parametrize("memory", [path.stem for path in MEMORIES])
def test_a_memory_works_by_its_name_alone(memory: str) -> None:
    config = composed(f"memory={memory}", "logger=csv")
    assert find_problems(TrainingSettings, config) == []
    require_working_step(build_detector(config), config)
    written = memory in ("mnad", "growing")
    assert config.guard.enabled == written
    assert (config.scoring.weight < 1) == (config.loss.compactness > 0) == written
    assert ("entropy" in config.loss) == (memory in ("memae", "multiscale"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["loss=ms_ssim"], r"^loss\.ms_ssim cannot work: scales=5 .* need frames of 176 .*32×32"),
        (
            ["loss=[gradient_difference]", "loss.gradient_difference.alpha=0"],
            r"^loss\.gradient_difference .*alpha=0",
        ),
        (["model.past=3"], r"^model cannot work: .*channels"),
    ],
)
def test_what_does_not_fit_is_a_sentence(overrides: list[str], sentence: str) -> None:
    config = composed(*overrides)
    with pytest.raises(ConfigError, match=sentence) as error:
        require_working_step(build_detector(config), config)
    assert "\n" not in str(error.value)


class Half(torch.nn.Module):
    def forward(self, fused: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        return skips[0][:, :1, ::2]


def test_a_network_that_makes_other_frames_is_refused() -> None:
    config = composed()
    detector = build_detector(config)
    detector.autoencoder.decoder = Half()  # type: ignore[assignment]
    with pytest.raises(
        ConfigError, match=r"^model .*makes \(1, 1, 16, 32\).*frame \(1, 1, 32, 32\)"
    ):
        require_working_step(detector, config)


def test_features_that_differ_from_the_items_name_both() -> None:
    config = composed("model.features=16")
    sentence = r"^model .* 16 features, but .*items have length 8: set memory\.dim=16\.$"
    with pytest.raises(ConfigError, match=sentence):
        require_working_step(build_detector(config), config)


def test_the_stride_of_a_network_divides_the_frame() -> None:
    config = composed()
    detector = build_detector(config)
    detector.autoencoder.stride = 12
    sentence = r"^data\.frame_size=32 .* multiple of 12, the stride of Autoencoder"
    with pytest.raises(ConfigError, match=sentence):
        require_working_step(detector, config)


@pytest.mark.parametrize("name", ["features", "stride"])
def test_a_network_names_its_features_and_stride(name: str) -> None:
    config = composed()
    detector = build_detector(config)
    delattr(detector.autoencoder, name)
    with pytest.raises(ConfigError, match=rf"^model cannot work: Autoencoder has no {name}; give"):
        require_working_step(detector, config)


def test_a_term_that_is_no_single_number_is_refused() -> None:
    config = composed()
    detector = build_detector(config)
    detector.loss.terms["pixel"].compute = lambda prediction, target: prediction - target
    with pytest.raises(ConfigError, match=r"^loss.pixel .* \(1, 1, 32, 32\), .* take its mean"):
        require_working_step(detector, config)


def test_a_memory_has_items() -> None:
    config = composed()
    detector = build_detector(config)
    detector.memory = torch.nn.Identity()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"^memory cannot work: Identity has no items; give it"):
        require_working_step(detector, config)


def test_a_schedule_makes_a_scheduler() -> None:
    detector = build_detector(composed())
    detector.schedule = Schedule(lambda optimizer: 3)  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigError, match=r"^scheduler cannot work: it makes 3 in place of"):
        require_working_optimizer(detector)
