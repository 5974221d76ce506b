"""Watching: videos or a camera are scored frame by frame, and the run folder has all output."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from memguard.config.schema import ScoreSettings
from memguard.config.trainer import require_accelerator
from memguard.config.validation import validate_by
from memguard.data.datasets.layout import named_videos
from memguard.data.video.addresses import true_source
from memguard.data.video.camera import Camera, is_live
from memguard.data.video.frame_folders import as_video
from memguard.data.video.newest import NewestPictures
from memguard.data.video.stream import Interruption, Stream, VideoStream
from memguard.detection.events import ScoredPicture
from memguard.detection.ignored import ignored_places
from memguard.errors import DataError, access_reported
from memguard.live.events.configured import configured_reporter
from memguard.live.graph.scorer import open_scorer
from memguard.live.notify.delivery import Delivery
from memguard.live.notify.notifier import Notifier, close_deliveries, open_deliveries
from memguard.live.output import (
    STOPPED,
    TOO_SHORT,
    WHOLE,
    WITHOUT_ERROR,
    StreamOutput,
    Summary,
    print_summaries,
)
from memguard.live.standing import require_standing
from memguard.live.stream_scorer import StreamScorer
from memguard.report.alarm_levels import warn_of_few_hours

log = logging.getLogger(__name__)


def score(config: DictConfig, folder: Path) -> bool:
    """Score the configured video, and write the run folder frame by frame.

    Args:
        config: A configuration that ``conf/score.yaml`` composes.
        folder: The run folder.

    Returns:
        False if the user stopped it before the end of a file. The output of the scored frames is
        written in any case.

    Raises:
        UserError: The configuration, the checkpoint or a video cannot be used; the message has a
            line for each video. The other videos are scored.
    """
    validate_by(ScoreSettings, config)
    # On a full disk, logging would print a traceback for each line of the log.
    logging.raiseExceptions = False
    scorer = _scorer(config) if config.backend == "torch" else open_scorer(config)
    if config.standing:
        require_standing(config.checkpoint, scorer.standing)
    standing = scorer.standing if config.standing else None
    source = true_source(str(config.video))
    ignored = ignored_places(config.ignored, scorer.frame_size)
    streams = streams_of(source, Path(config.paths.cache_dir).expanduser(), scorer.fps)
    problems: list[str] = []
    summaries: list[Summary] = []
    stopped = False
    notifications = _deliveries(config, list(streams), folder)
    shown = progress_bar(TextColumn("events: {task.fields[events]}"))
    with _sigterm_as_ctrl_c(), notifications as deliveries, shown as progress:
        for name, open_stream in streams.items():
            place = folder / name if len(streams) > 1 else folder
            try:
                stream = open_stream()
                if not summaries:
                    warn_of_few_hours(
                        scorer.alarm, standing, config.alarm.false_per_hour, stream.fps
                    )
                output = _output(stream, place, scorer, config, deliveries, ignored)
                summaries.append(_watch(scorer.watch(stream, ignored), stream, output, progress))
                stopped = summaries[-1].ended == STOPPED
            except DataError as error:  # on opening it
                problems.append(str(error))
            except KeyboardInterrupt:  # on opening it
                stopped = True
            if stopped:
                break
    problems += [summary.ended for summary in summaries if summary.ended not in WITHOUT_ERROR]
    print_summaries(summaries, folder)
    if problems:
        raise DataError("\n".join(problems))
    return is_live(source) or not stopped


def _scorer(config: DictConfig) -> StreamScorer:
    """Load the checkpoint on PyTorch, which is imported here: another backend does without it."""
    from memguard.live.conditions import warn_without_reference
    from memguard.live.scorer import changes_of, load
    from memguard.training.machine import warn_of_busy_cores

    require_accelerator(config)
    scorer = load(config.checkpoint, **changes_of(config))
    if config.conditions:
        warn_without_reference(config.checkpoint, scorer.reference)
    warn_of_busy_cores()
    return scorer


@contextmanager
def _deliveries(
    config: DictConfig, names: Sequence[str], folder: Path
) -> Iterator[Sequence[Delivery]]:
    """Open the notifications of all streams, and close them at the end."""
    notify = config.notify
    deliveries = open_deliveries(
        notify.webhook and true_source(notify.webhook),
        notify.mqtt and true_source(notify.mqtt),
        notify.command,
        cameras=names,
        spool=folder / "notifications",
    )
    try:
        yield deliveries
    finally:
        close_deliveries(deliveries)


def _output(
    stream: Stream,
    folder: Path,
    scorer: StreamScorer,
    config: DictConfig,
    deliveries: Sequence[Delivery],
    ignored: np.ndarray | None,
) -> StreamOutput:
    """Open the output of a stream."""
    notify, per_hour = config.notify, config.alarm.false_per_hour
    notifier = Notifier(deliveries, notify.cooldown, notify.most_per_hour)
    live = stream.length is None
    background = scorer.background(ignored) if config.standing else None
    reporter = configured_reporter(
        stream.name, folder, config, scorer, stream.fps, notifier, live=live, background=background
    )
    return StreamOutput(folder, stream, scorer.alarm, per_hour, config.annotate, reporter)


def _watch(
    watched: Iterator[ScoredPicture | Interruption],
    stream: Stream,
    output: StreamOutput,
    progress: Progress,
) -> Summary:
    """Write the scores of one stream to its end, or up to an error or a stop."""
    task = progress.add_task(stream.name, total=stream.length, fps=0.0, events=0)
    began, number = time.monotonic(), 0
    try:
        for scored in watched:
            if isinstance(scored, Interruption):
                output.interrupt(scored)
                continue
            output.add(scored)
            number += 1
            fps = number / (time.monotonic() - began)
            done = scored.moment.frame + 1
            progress.update(task, completed=done, fps=fps, events=output.count)
    except KeyboardInterrupt:
        output.ended = STOPPED
    except DataError as error:
        output.ended = str(error)
    else:
        output.ended = WHOLE if number else TOO_SHORT
    finally:
        output.close()
    return output.summary()


def streams_of(
    source: str, cache_dir: Path, fps: float | None = None
) -> dict[str, Callable[[], Stream]]:
    """Name the streams of a source; each is opened in its turn."""
    if is_live(source):
        return {"camera": lambda: NewestPictures(Camera(source, fps))}
    path = Path(source)
    with access_reported(path):
        if not path.exists():
            raise DataError(
                f"{path}: there is no such file or folder; set video to a video, a folder of "
                "videos, the URL of a camera, or the number of a webcam"
            )
        videos = named_videos(path) if path.is_dir() else {}
    videos = videos or {path.stem: path}  # a file, or a folder of frames
    return {name: partial(_open, video, name, cache_dir) for name, video in videos.items()}


def _open(source: Path, name: str, cache_dir: Path) -> VideoStream:
    with access_reported(source):
        if source.is_file():
            source.open("rb").close()
    return VideoStream(as_video(source, cache_dir), name)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Handle SIGTERM, which stops a service, like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Make a bar with frames, frames per second and further columns."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.0f} frames/s"),
        *columns,
        TimeRemainingColumn(),
    )
