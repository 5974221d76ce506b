"""Watching: videos or a camera are scored frame by frame, and the run folder has all output."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from memguard.config.schema import ScoreSettings
from memguard.config.validation import validate_by
from memguard.data.datasets.layout import named_videos
from memguard.data.video.addresses import true_source
from memguard.data.video.camera import Camera, is_live
from memguard.data.video.frame_folders import as_video
from memguard.data.video.stream import Stream, VideoStream
from memguard.errors import DataError, access_reported
from memguard.live.output import (
    STOPPED,
    TOO_SHORT,
    WHOLE,
    WITHOUT_ERROR,
    StreamOutput,
    Summary,
    print_summaries,
)
from memguard.live.scorer import LiveScorer, load
from memguard.training.machine import warn_of_busy_cores

# With fewer events in held-out video than this, the level is a guess.
FEW_EVENTS = 20

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
    requested = cast(dict[str, object], OmegaConf.to_container(config, resolve=True))
    scorer = load(
        config.checkpoint,
        trust=config.trust or (),
        guard=requested["guard"],
        trainer=requested["trainer"],
    )
    source = true_source(str(config.video))
    streams = _streams(source, Path(config.paths.cache_dir).expanduser())
    warn_of_busy_cores()
    _warn_of_few_events(scorer)
    problems: list[str] = []
    summaries: list[Summary] = []
    stopped = False
    with _sigterm_as_ctrl_c(), _progress() as progress:
        for name, open_stream in streams.items():
            place = folder / name if len(streams) > 1 else folder
            try:
                summaries.append(_watch(scorer, open_stream(), place, config, progress))
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


def _watch(
    scorer: LiveScorer, stream: Stream, folder: Path, config: DictConfig, progress: Progress
) -> Summary:
    """Score one stream to its end, or up to an error or a stop."""
    output = StreamOutput(
        folder, stream.name, stream.fps, scorer.alarm, config.alarm.false_per_hour, config.annotate
    )
    task = progress.add_task(stream.name, total=stream.length, fps=0.0, events=0)
    began, number = time.monotonic(), 0
    try:
        for number, scored in enumerate(scorer.watch(stream), start=1):
            output.add(scored)
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


def _streams(source: str, cache_dir: Path) -> dict[str, Callable[[], Stream]]:
    """Name the streams of a source; each is opened in its turn."""
    if is_live(source):
        return {"camera": partial(Camera, source)}
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


def _warn_of_few_events(scorer: LiveScorer) -> None:
    frames, events = scorer.alarm.sample_counts
    if events < FEW_EVENTS:
        log.warning(
            "The alarm level rests on few peaks: %d in %d held-out normal frames. False alarms may "
            "be many times rarer or more frequent than requested. Train with more normal video or "
            "a larger data.holdout, or judge by the scores.",
            events,
            frames,
        )


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Handle SIGTERM, which stops a service, like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _progress() -> Progress:
    """Make a bar with frames, frames per second and events."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.0f} frames/s"),
        TextColumn("events: {task.fields[events]}"),
        TimeRemainingColumn(),
    )
