"""Preparation: every video of a benchmark inspected and converted, once, before work begins.

Decoders may crash or hang on damaged files, so videos are inspected in worker processes, which may
die or be stopped; what they found is kept in the cache folder.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
from pebble import ProcessExpired, ProcessPool
from rich.progress import track

from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.video.conversion import fit_for_random_access, survey
from memguard.data.video.frame_folders import as_video, fingerprint, frame_images
from memguard.data.video.reader import Video
from memguard.errors import DataError
from memguard.files import clear_unfinished, put_into_cache

# Far longer than a decoder takes on the slowest machine: seconds, and bytes per second beyond.
SHORTEST_LIMIT = 300.0
SLOWEST_DECODING = 50_000

# In the names of findings: of what they say and how it was found, for another finds other things.
FINDINGS = "2"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """What the inspection of a sound video found.

    Attributes:
        path: The video file to play: the source itself, or what its frames were converted to.
        frames: How many there are.
        height: Of a frame in pixels, as stored.
        width: Of a frame in pixels, as stored.
        fps: Frames per second on average; None for a folder of frames, which has no clock.
        converted: Why the file was converted; "" where it is the source, or made of images.
    """

    path: Path
    frames: int
    height: int
    width: int
    fps: float | None
    converted: str = ""


@dataclass(frozen=True)
class PreparedVideo:
    """A video of the benchmark after its inspection.

    Attributes:
        record: What the layout says about it.
        footage: What was found; None: it cannot be used at all.
        labels: (frames,) uint8, 1 = anomalous; None: unlabelled, or they do not fit.
        problems: A sentence for each reason why it cannot be used as it is.
    """

    record: VideoRecord
    footage: Footage | None
    labels: np.ndarray | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """A benchmark after its inspection; numbers of videos are those of the benchmark.

    Attributes:
        train: The videos to train on.
        test: The videos to test on.
        no_videos: Files beside them that are no videos, by their suffix.
    """

    train: tuple[PreparedVideo, ...]
    test: tuple[PreparedVideo, ...]
    no_videos: tuple[Path, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Every problem of every video."""
        return [problem for video in self.train + self.test for problem in video.problems]

    def leaves_enough(self) -> bool:
        """Whether a split that has videos has one without problems as well."""
        splits = (split for split in (self.train, self.test) if split)
        return all(any(not video.problems for video in split) for split in splits)

    def require_no_problem(self) -> None:
        """Refuse a benchmark with problems.

        Raises:
            DataError: The message has a line for each problem.
        """
        if self.problems:
            raise DataError("\n".join(self.problems))


def prepare(benchmark: Benchmark, cache_dir: Path, *, length: int) -> Preparation:
    """Inspect every video, and convert every folder of frames, where that was not done before.

    Args:
        benchmark: Where the videos and labels are.
        cache_dir: Where converted videos and the findings are kept.
        length: Frames of one window, which a video must have at least.
    """
    clear_unfinished(cache_dir)
    records = benchmark.train + benchmark.test
    findings = _inspect_all([record.source for record in records], cache_dir)
    videos = [_judge(*pair, length) for pair in zip(records, findings, strict=True)]
    train = len(benchmark.train)
    return Preparation(tuple(videos[:train]), tuple(videos[train:]), benchmark.no_videos)


def inspect(source: Path, cache_dir: Path) -> Footage:
    """Decode a video once to find out whether it is sound; convert it where training needs that.

    Raises:
        DataError: The source cannot be used; the message has a line for each problem.
    """
    path = as_video(source, cache_dir)
    if path == source:
        found = survey(source)
        path, reason = fit_for_random_access(source, cache_dir, found)
        size = found.frames, found.height, found.width
        footage = Footage(path, *size, found.contents.fps, reason)
    else:
        video = Video(path)
        footage = Footage(path, len(video), video.height, video.width, None)
    _remember(source, cache_dir, footage)
    return footage


def _judge(record: VideoRecord, finding: Footage | DataError, length: int) -> PreparedVideo:
    """Hold what was found against what a video is needed for."""
    if isinstance(finding, DataError):
        return PreparedVideo(record, None, None, tuple(str(finding).splitlines()))
    problems = []
    if finding.frames < length:
        problems.append(
            f"{record.source} has {finding.frames} frames, fewer than the {length} of one window: "
            "take it out of the dataset, or use task=recon."
        )
    labels = None
    try:
        labels = record.labels(finding.frames) if record.labels else None
    except DataError as error:
        problems.append(str(error))
    return PreparedVideo(record, finding, labels, tuple(problems))


def _inspect_all(sources: Sequence[Path], cache_dir: Path) -> list[Footage | DataError]:
    """Inspect what is not remembered, in parallel processes, and return the findings in order."""
    known: dict[Path, Footage | DataError] = {}
    missing = []
    for source in dict.fromkeys(sources):
        if finding := _recall(source, cache_dir):
            known[source] = finding
        else:
            missing.append(source)
    if missing:
        with _process_pool(len(missing)) as pool:
            futures = [
                pool.schedule(inspect, args=(source, cache_dir), timeout=_time_limit(source))
                for source in missing
            ]
            for source, future in track(
                list(zip(missing, futures, strict=True)),
                description="Inspecting videos",
                transient=True,
            ):
                known[source] = found = _finding(source, future)
                if isinstance(found, Footage) and found.converted:
                    _tell_of_conversion(source, found)
    return [known[source] for source in sources]


def _tell_of_conversion(source: Path, footage: Footage) -> None:
    log.info(
        "%s: %s; converted once without loss to %s (%.1f MB)",
        source,
        footage.converted,
        footage.path,
        footage.path.stat().st_size / 1e6,
    )


@contextmanager
def _process_pool(tasks: int) -> Iterator[ProcessPool]:
    pool = ProcessPool(max_workers=min(tasks, os.cpu_count() or 1), context=_start_method())
    try:
        yield pool
    finally:
        # Closing would wait, after an interrupt, for all that is still to do.
        pool.stop()
        pool.join()


def _start_method() -> BaseContext:
    """Choose how worker processes start: not as copies of this one.

    The threads of this process that compute, decode or convert are dead in a copy, which then waits
    for them or crashes. A server that has imported this module and done nothing else is copied.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _finding(source: Path, future: "Future[Footage]") -> Footage | DataError:
    remedy = "re-encode it with `ffmpeg -i in -c:v libx264 out.mp4`, or take it out of its folder"
    try:
        return future.result()
    except DataError as error:
        return error
    except TimeoutError:
        return DataError(f"{source}: the decoder hangs on this video; {remedy}")
    except ProcessExpired as error:
        return DataError(
            f"{source}: the decoder crashes on this video (exit code {error.exitcode}); {remedy}"
        )


def _time_limit(source: Path) -> float:
    """Seconds after which an inspection counts as hung."""
    try:
        files = frame_images(source) if source.is_dir() else [source]
        size = sum(file.stat().st_size for file in files)
    except (OSError, DataError):  # which the inspection tells
        size = 0
    return SHORTEST_LIMIT + size / SLOWEST_DECODING


def _record_of(source: Path, cache_dir: Path) -> Path:
    return cache_dir / f"{source.name}-{fingerprint(source)}-{FINDINGS}.json"


def _remember(source: Path, cache_dir: Path, footage: Footage) -> None:
    with put_into_cache(_record_of(source, cache_dir)) as unfinished:
        unfinished.write_text(json.dumps(asdict(footage), default=str), encoding="utf-8")


def _recall(source: Path, cache_dir: Path) -> Footage | None:
    """What an earlier inspection found, if neither the source nor its video changed since."""
    try:
        record: dict[str, Any] = json.loads(_record_of(source, cache_dir).read_text("utf-8"))
        footage = Footage(**record | {"path": Path(record["path"])})
    except (OSError, DataError, ValueError, TypeError, KeyError):  # inspected anew
        return None
    return footage if footage.path.exists() else None
