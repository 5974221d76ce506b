"""Calibration: normal hours give a checkpoint its alarms, and the look of its camera.

They are scored as live scoring does it.
"""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from memguard.config.schema import CalibrationSettings
from memguard.config.trainer import require_accelerator
from memguard.config.validation import validate_by
from memguard.data.video.addresses import true_source
from memguard.data.video.stream import Interruption, Stream
from memguard.detection.alarm import QUANTILES, Alarm, OptionalAlarm
from memguard.detection.detector import Detector
from memguard.detection.ignored import ignored_places
from memguard.detection.normal_pictures import NormalPictures
from memguard.errors import ConfigError, DataError
from memguard.files import written_whole
from memguard.live.recording import progress_bar, streams_of
from memguard.live.scorer import FEWEST_FRAMES, LiveScorer, changes_of, restored
from memguard.live.standing import BRIDGED, CALIBRATED
from memguard.report.alarm_levels import alarm_levels
from memguard.report.rows import RESERVED_BYTES, not_written
from memguard.training.machine import warn_of_busy_cores


@dataclass
class NormalVideo:
    """The patch errors, the differences from the background, and the pictures of normal video.

    Attributes:
        pictures: Collects the pictures.
        stretches: For each stretch without an interruption, the errors of its frames, in order.
        differences: For each stretch, the differences of its frames from a background that has
            settled.
        seconds: The length of all stretches.
        problems: The errors of videos that cannot be read to their end.
    """

    pictures: NormalPictures
    stretches: list[list[float]] = field(default_factory=list)
    differences: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """The number of scored frames."""
        return sum(map(len, self.stretches))

    @property
    def fps(self) -> float:
        """The mean number of scored frames per second."""
        return self.frames / self.seconds

    def teach(self, detector: Detector) -> None:
        """Calibrate the alarms of a detector, and have its reference learn.

        Too little video leaves its alarm of things that stand not calibrated.
        """
        detector.alarm.calibrate([torch.tensor(errors) for errors in self.stretches])
        detector.standing = OptionalAlarm()
        if sum(map(len, self.differences)) >= CALIBRATED * self.fps:
            differences = [torch.tensor(found) for found in self.differences]
            calibrate_standing(detector.standing, differences, self.fps)
        self.pictures.teach(detector.reference)

    def add(
        self, stream: Stream, scorer: LiveScorer, ignored: np.ndarray | None, progress: Progress
    ) -> None:
        """Measure a stream to its end; a camera, which has none, until Ctrl-C.

        Raises:
            DataError: It cannot be read to its end. The frames before are added.
        """
        task, began = progress.add_task(stream.name, total=stream.length, fps=0.0), time.monotonic()
        background = scorer.background(ignored)
        number = 0
        self._begin_stretch()
        try:
            for scored in scorer.watch(stream, ignored):
                if isinstance(scored, Interruption):
                    self._begin_stretch()
                    background.forget()
                    continue
                self.stretches[-1].append(scorer.alarm.error(scored.score))
                if found := background.add(scored.rgb, scored.moment.seconds):
                    self.differences[-1].append(found.error)
                self.pictures.add(scored.rgb)
                self.seconds += 1 / stream.fps
                number += 1
                fps = number / (time.monotonic() - began)
                progress.update(task, completed=scored.moment.frame + 1, fps=fps)
        except KeyboardInterrupt:
            if stream.length is not None:
                raise

    def _begin_stretch(self) -> None:
        self.stretches.append([])
        self.differences.append([])
        self.pictures.begin()


def calibrate_standing(alarm: Alarm, differences: Sequence[torch.Tensor], fps: float) -> None:
    """Calibrate the alarm of things that stand still, by the events that they are.

    Args:
        alarm: The alarm.
        differences: For each stretch of normal video, (frames,), the error of each frame's
            :class:`~memguard.live.standing.Difference`.
        fps: Frames per second.
    """
    alarm.calibrate(differences, round(BRIDGED * fps))


def calibrate(config: DictConfig) -> None:
    """Write a copy of a checkpoint with the alarms and the look of normal video.

    The levels of the alarms are printed.

    Args:
        config: A configuration that ``conf/calibrate.yaml`` composes.

    Raises:
        UserError: The configuration, the checkpoint or a video cannot be used, or the output is
            there already or cannot be written. All other videos are measured, and the output is
            written.
    """
    validate_by(CalibrationSettings, config)
    require_accelerator(config)
    output = Path(config.output)
    if output.exists():
        raise ConfigError(
            f"output={output} is there already: name another file, or remove that one first."
        )
    scorer = restored(config.checkpoint, **changes_of(config))
    cache_dir = Path(config.paths.cache_dir).expanduser()
    ignored = ignored_places(config.ignored, scorer.frame_size)
    streams = streams_of(true_source(str(config.video)), cache_dir, scorer.fps)
    warn_of_busy_cores()
    checkpoint = Path(config.checkpoint)
    try:
        with written_whole(output) as unfinished:
            # Hours are lost if its folder is refused, or its disk is full, as late as they end.
            unfinished.write_bytes(bytes(checkpoint.stat().st_size + RESERVED_BYTES))
            normal = _measured(scorer, streams.values(), ignored)
            if normal.frames < FEWEST_FRAMES:
                raise DataError("\n".join([*normal.problems, _too_few(normal.frames)]))
            normal.teach(scorer.detector)
            with unfinished.open("r+b") as file:  # in the space that is reserved
                file.write(_recalibrated(checkpoint, scorer.detector))
                file.truncate()
    except OSError as error:
        raise not_written(output, error, "calibrate again") from None
    _print_levels(scorer.detector, normal.fps)
    if normal.problems:
        raise DataError("\n".join(normal.problems))


def _measured(
    scorer: LiveScorer, streams: Iterable[Callable[[], Stream]], ignored: np.ndarray | None = None
) -> NormalVideo:
    """Score normal video, and take the errors behind its scores."""
    if not scorer.alarm.calibrated:  # any scale does, as it is undone
        scorer.alarm.calibrate([torch.linspace(0, 1, QUANTILES)])
    normal = NormalVideo(NormalPictures(scorer.frame_size))
    with progress_bar() as progress:
        for open_stream in streams:
            try:
                normal.add(open_stream(), scorer, ignored, progress)
            except DataError as error:
                normal.problems.append(str(error))
    return normal


def _print_levels(detector: Detector, fps: float) -> None:
    console = Console()
    console.print(alarm_levels("Alarm levels", detector.alarm, fps))
    if detector.standing.calibrated:
        console.print(alarm_levels("Alarm levels of standing=true", detector.standing, fps))
    else:
        console.print("standing=true needs a calibration on videos of four minutes or more.")


def _too_few(frames: int) -> str:
    return (
        f"video holds {frames} frames with a score, and an alarm needs {FEWEST_FRAMES} at the "
        "least: give hours of normal video"
    )


def _recalibrated(checkpoint: Path, detector: Detector) -> bytes:
    """Return the content of a checkpoint with other alarms and look, and the rest as it is."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for name, value in detector.state_dict().items():
        if name.startswith(("alarm.", "standing.", "reference.")):
            content["state_dict"][name] = value.cpu()
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()
