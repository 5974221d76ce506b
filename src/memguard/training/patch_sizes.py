"""The sizes of patches: ``scoring.patch=auto`` measures what moves in the training videos."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from memguard.config.trust import Trust
from memguard.data.clips.moving_sizes import SIDE, moving_sizes
from memguard.data.datasets.benchmark import Benchmark, LabelsMissingError
from memguard.data.datasets.preparation import prepare
from memguard.data.video.reader import Video
from memguard.errors import ConfigError
from memguard.training.build import find_benchmark

AUTO = "auto"
WHERE_NOTHING_MOVES = (0.2, 0.1)

log = logging.getLogger(__name__)


def settle_patch_sizes(config: DictConfig, trust: Trust) -> None:
    """Replace ``scoring.patch=auto`` in a configuration by the measured sizes.

    Every process measures the same. A checkpoint stores the sizes with the other settings.

    Args:
        config: Of a training or a test.
        trust: Whose classes are built beside memguard's own.

    Raises:
        ConfigError: The dataset has no training videos.
        DataError: None of them can be used; the message has a line for each problem.
    """
    if config.scoring.patch != AUTO:
        return
    try:
        benchmark = find_benchmark(config, trust)
    except LabelsMissingError as missing:
        benchmark = missing.benchmark
    if not benchmark.train:
        raise ConfigError(
            f"scoring.patch=auto measures what moves in training videos, and {benchmark.name} has "
            "none: set scoring.patch to sizes, such as scoring.patch=[[0.1,0.05],[0.2,0.1]]."
        )
    sizes = moving_sizes(_training_videos(benchmark, config))
    if not sizes:
        log.warning("Nothing moves in the training videos of %s: patches have the size %s × %s "
                    "of the frame.", benchmark.name, *WHERE_NOTHING_MOVES)  # fmt: skip
    config.scoring.patch = [list(size) for size in sizes or [WHERE_NOTHING_MOVES]]


def _training_videos(benchmark: Benchmark, config: DictConfig) -> list[Video]:
    cache_dir = Path(config.paths.cache_dir).expanduser()
    preparation = prepare(replace(benchmark, test=()), cache_dir, length=config.data.past + 1)
    usable = [video.footage for video in preparation.train if video.footage and not video.problems]
    if not usable:
        preparation.require_no_problem()
    return [Video(footage.path, frame_size=SIDE, channels=1) for footage in usable]
