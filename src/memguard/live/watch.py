"""Watching: videos or a camera scored as they come, and everything found kept in the run folder."""

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

from memguard.config.rules import SCORE_RULES
from memguard.config.validation import validate_by
from memguard.data.datasets.layout import named_videos
from memguard.data.video.camera import Camera, is_live
from memguard.data.video.frame_folders import as_video
from memguard.data.video.sources import true_source
from memguard.data.video.stream import Stream, VideoStream
from memguard.errors import DataError, access_told
from memguard.live.output import STOPPED, WHOLE, Findings, Summary, print_findings
from memguard.live.scorer import LiveScorer, load
from memguard.training.machine import warn_of_busy_cores

# With fewer events in held-out video than this, the level is a guess.
FEW_EVENTS = 20

log = logging.getLogger(__name__)


def score(config: DictConfig, folder: Path) -> bool:
    """Score what the configuration names, and write the run folder as it goes.

    Args:
        config: As ``conf/score.yaml`` composes it.
        folder: Where it writes.

    Returns:
        False if somebody stopped it before the end of a file. What was scored is written all the
        same.

    Raises:
        UserError: The configuration, the checkpoint or a video cannot be used; the message has a
            line for each video. The others are scored all the same.
    """
    validate_by(SCORE_RULES, config)
    # A log that a full disk does not take would write a traceback for each of its lines.
    logging.raiseExceptions = False
    asked = cast(dict[str, object], OmegaConf.to_container(config, resolve=True))
    scorer = load(
        config.checkpoint,
        trust=config.trust or (),
        guard=asked["guard"],
        trainer=asked["trainer"],
    )
    source = true_source(str(config.video))
    streams = _streams(source, Path(config.paths.cache_dir).expanduser())
    warn_of_busy_cores()
    _tell_of_few_events(scorer)
    problems: list[str] = []
    found: list[Summary] = []
    stopped = False
    with _stopped_as_by_ctrl_c(), _progress() as progress:
        for name, open_stream in streams.items():
            place = folder / name if len(streams) > 1 else folder
            try:
                found.append(_watch(scorer, open_stream(), place, config, progress))
                stopped = found[-1].ended == STOPPED
            except DataError as error:  # it cannot be opened
                problems.append(str(error))
            except KeyboardInterrupt:  # while it was opened
                stopped = True
            if stopped:
                break
    problems += [summary.ended for summary in found if summary.ended not in (STOPPED, WHOLE)]
    print_findings(found, folder)
    if problems:
        raise DataError("\n".join(problems))
    return is_live(source) or not stopped


def _watch(
    scorer: LiveScorer, stream: Stream, folder: Path, config: DictConfig, progress: Progress
) -> Summary:
    """Score one stream to its end, or as far as it goes."""
    findings = Findings(
        folder, stream.name, stream.fps, scorer.alarm, config.alarm.false_per_hour, config.annotate
    )
    task = progress.add_task(stream.name, total=stream.length, fps=0.0, events=0)
    began = time.monotonic()
    try:
        for number, scored in enumerate(scorer.watch(stream), start=1):
            findings.add(scored)
            fps = number / (time.monotonic() - began)
            done = scored.moment.frame + 1
            progress.update(task, completed=done, fps=fps, events=findings.count)
    except KeyboardInterrupt:
        findings.ended = STOPPED
    except DataError as error:
        findings.ended = str(error)
    else:
        findings.ended = WHOLE
    finally:
        findings.close()
    return findings.summary()


def _streams(source: str, cache_dir: Path) -> dict[str, Callable[[], Stream]]:
    """Name what there is to watch; each is opened when its turn comes."""
    if is_live(source):
        return {"camera": partial(Camera, source)}
    path = Path(source)
    with access_told(path):
        if not path.exists():
            raise DataError(
                f"{path}: there is no such file or folder; set video to a video, a folder of "
                "videos, the URL of a camera, or the number of a webcam"
            )
        videos = named_videos(path) if path.is_dir() else {}
    videos = videos or {path.stem: path}  # a file, or a folder of frames
    return {name: partial(_open, video, name, cache_dir) for name, video in videos.items()}


def _open(source: Path, name: str, cache_dir: Path) -> VideoStream:
    with access_told(source):
        if source.is_file():
            source.open("rb").close()
    return VideoStream(as_video(source, cache_dir), name)


def _tell_of_few_events(scorer: LiveScorer) -> None:
    frames, events = scorer.alarm.rests_on
    if events < FEW_EVENTS:
        log.warning(
            "The alarm level rests on %d held-out normal frames with %d peaks among them, which is "
            "little: false alarms may be many times rarer or more frequent than asked. Train with "
            "more normal video or a larger data.holdout, or judge by the scores.",
            frames,
            events,
        )


@contextmanager
def _stopped_as_by_ctrl_c() -> Iterator[None]:
    """Let what stops a service end the watching in order as well."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _progress() -> Progress:
    """A bar with frames, frames per second and events."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.0f} frames/s"),
        TextColumn("{task.fields[events]} events"),
        TimeRemainingColumn(),
    )
