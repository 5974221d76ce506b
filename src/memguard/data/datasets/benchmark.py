"""The benchmark: the videos of a dataset, with their labels and masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from memguard.data.datasets.labels import Labels
from memguard.errors import DataError

NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class VideoRecord:
    """A video of a dataset.

    Attributes:
        name: The name of the video in results, e.g. "01".
        source: A video file or a folder of frames.
        labels: Returns the labels for a number of frames; None: unlabelled.
        masks: A file or folder with pixel ground truth, for
            :func:`~memguard.data.datasets.labels.read_masks`; None: there is none.
        tracks: A file with the boxes of the anomalies, for
            :func:`~memguard.data.datasets.labels.read_tracks`; None: there is none.
        scene: The scene of the video, in datasets of several.
    """

    name: str
    source: Path
    labels: Labels | None = None
    masks: Path | None = None
    tracks: Path | None = None
    scene: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A dataset: training videos, all normal, and test videos.

    Attributes:
        name: The name of the dataset in results.
        train: The training videos.
        test: The test videos.
        label_set: The label set in use, in datasets of several.
        ignored_files: The files beside the videos without the suffix of a video.

    Example:
        >>> video = VideoRecord("01", Path("street/train/01.mp4"))
        >>> Benchmark("avenue", train=(video,), test=(), label_set="masks").title
        'avenue, labels: masks'
    """

    name: str
    train: tuple[VideoRecord, ...]
    test: tuple[VideoRecord, ...]
    label_set: str | None = None
    ignored_files: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """The name, with the label set in datasets of several."""
        return f"{self.name}, labels: {self.label_set}" if self.label_set else self.name


class LabelsMissingError(DataError):
    """The labels of a dataset are missing; its videos can be used without them.

    Args:
        sentence: The message.
        benchmark: The dataset without labels.
    """

    def __init__(self, sentence: str, benchmark: Benchmark) -> None:
        super().__init__(sentence)
        self.benchmark = benchmark


def records(
    videos: Mapping[str, Path],
    *,
    labels: Mapping[str, Labels] = NONE,
    masks: Mapping[str, Path | None] = NONE,
    tracks: Mapping[str, Path] = NONE,
    scenes: Mapping[str, str] = NONE,
) -> tuple[VideoRecord, ...]:
    """Join the parts of each video by its name.

    Args:
        videos: The video file or frame folder of each name.
        labels: Labels by name.
        masks: Files or folders with pixel ground truth by name; a path that does not exist counts
            as None.
        tracks: Files with tracks by name, likewise.
        scenes: Scenes by name.

    Example:
        >>> records({"01_001": Path("01_001.avi")}, scenes={"01_001": "01"})[0].scene
        '01'
    """
    return tuple(
        VideoRecord(
            name=video,
            source=source,
            labels=labels.get(video),
            masks=_existing(masks.get(video)),
            tracks=_existing(tracks.get(video)),
            scene=scenes.get(video),
        )
        for video, source in videos.items()
    )


def _existing(path: Path | None) -> Path | None:
    return path if path and path.exists() else None
