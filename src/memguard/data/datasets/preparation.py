"""Preparation: inspect and convert every video of a benchmark, once, before work begins.

Decoders may crash or hang on damaged files. Videos are therefore inspected in worker processes,
which may die or be stopped; the cache folder stores the results.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
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
from memguard.data.datasets.labels import read_masks, read_tracks
from memguard.data.video.conversion import fit_for_random_access, survey
from memguard.data.video.frame_folders import as_video, fingerprint, frame_images
from memguard.data.video.reader import Video
from memguard.errors import DataError, UserError
from memguard.files import clear_unfinished, put_into_cache

# Far longer than a decoder takes on the slowest machine: seconds, and bytes per second.
SHORTEST_LIMIT = 300.0
SLOWEST_DECODING = 50_000

# In the names of cached results; raise it with every change of the inspection.
VERSION = "2"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """The result of the inspection of a sound video.

    Attributes:
        path: The video file to decode: the source itself, or its conversion.
        frames: The number of frames.
        height: Height of a stored frame in pixels.
        width: Width of a stored frame in pixels.
        fps: Frames per second on average; None for a folder of frames, which has no clock.
        converted: The reason of the conversion; "" for the source itself and for folders of frames.
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
        record: The record of the video in its benchmark.
        footage: The result of the inspection; None: the video cannot be decoded.
        labels: uint8 (frames,), 1 = anomalous; None: unlabelled, or the labels do not fit.
        problems: A sentence for each problem of the video.
    """

    record: VideoRecord
    footage: Footage | None
    labels: np.ndarray | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """A benchmark after its inspection, with its videos in the same order.

    Attributes:
        train: The training videos.
        test: The test videos.
        ignored_files: The files beside the videos without the suffix of a video.
    """

    train: tuple[PreparedVideo, ...]
    test: tuple[PreparedVideo, ...]
    ignored_files: tuple[Path, ...] = ()

    @property
    def problems(self) -> list[str]:
        """All problems of all videos."""
        return [problem for video in self.train + self.test for problem in video.problems]

    def leaves_enough(self) -> bool:
        """Return whether every split with videos has one without problems."""
        splits = (split for split in (self.train, self.test) if split)
        return all(any(not video.problems for video in split) for split in splits)

    def require_no_problem(self) -> None:
        """Reject a benchmark with problems.

        Raises:
            DataError: If there is a problem; the message has a line for each.
        """
        if self.problems:
            raise DataError("\n".join(self.problems))


def prepare(benchmark: Benchmark, cache_dir: Path, *, length: int) -> Preparation:
    """Inspect the videos that are not inspected yet, and convert folders of frames.

    Args:
        benchmark: The videos and labels.
        cache_dir: The folder of converted videos and of results.
        length: Frames of a window, the fewest that a video must have.
    """
    clear_unfinished(cache_dir)
    records = benchmark.train + benchmark.test
    results = _inspect_all([record.source for record in records], cache_dir)
    videos = [_judge(*pair, length) for pair in zip(records, results, strict=True)]
    train = len(benchmark.train)
    return Preparation(tuple(videos[:train]), tuple(videos[train:]), benchmark.ignored_files)


def inspect(source: Path, cache_dir: Path) -> Footage:
    """Decode a video once to check it, and convert it if training needs that.

    Args:
        source: A video file or a folder of frames.
        cache_dir: The folder of converted videos and of results.

    Raises:
        DataError: If the source cannot be used; the message has a line for each problem.
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
    _store(source, cache_dir, footage)
    return footage


def _judge(record: VideoRecord, result: Footage | DataError, length: int) -> PreparedVideo:
    """Check whether a video and its labels fit the benchmark."""
    if isinstance(result, DataError):
        return PreparedVideo(record, None, None, tuple(str(result).splitlines()))
    problems = []
    if result.frames < length:
        problems.append(
            f"{record.source} has {result.frames} frames, fewer than the {length} of one window: "
            "take it out of the dataset, or use task=recon."
        )
    labels = None
    try:
        labels = record.labels(result.frames) if record.labels else None
        _require_fitting_places(record, result)
    except DataError as error:
        problems.append(str(error))
    return PreparedVideo(record, result, labels, tuple(problems))


def _require_fitting_places(record: VideoRecord, footage: Footage) -> None:
    """Reject tracks and masks that do not fit the pictures; masks are not read, but counted."""
    size = footage.frames, footage.height, footage.width
    if record.tracks:
        read_tracks(record.tracks, *size)
    if record.masks:
        read_masks(record.masks, *size)


def _inspect_all(sources: Sequence[Path], cache_dir: Path) -> list[Footage | DataError]:
    """Inspect sources without a stored result in parallel processes, and return all results."""
    known: dict[Path, Footage | DataError] = {}
    missing = []
    for source in dict.fromkeys(sources):
        if result := _load(source, cache_dir):
            known[source] = result
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
                known[source] = found = _result(source, future)
                if isinstance(found, Footage) and found.converted:
                    _log_conversion(source, found)
    return [known[source] for source in sources]


def _log_conversion(source: Path, footage: Footage) -> None:
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
        # After an interrupt, closing the pool would wait for all its tasks.
        pool.stop()
        pool.join()


def _start_method() -> BaseContext:
    """Choose how worker processes start: not as copies of this process.

    Threads that compute, decode or convert are dead in a copy, which waits for them or crashes. The
    copies are made from a server process that has only imported this module.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _result(source: Path, future: "Future[Footage]") -> Footage | DataError:
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
    except BrokenProcessPool as error:  # the processes import the script that is running
        raise UserError(
            "The processes that inspect the videos cannot start: they import your script, so it "
            'must be a file, and its calls must stand below `if __name__ == "__main__":`.'
        ) from error


def _time_limit(source: Path) -> float:
    """Return the seconds after which an inspection counts as hung."""
    try:
        files = frame_images(source) if source.is_dir() else [source]
        size = sum(file.stat().st_size for file in files)
    except (OSError, DataError):  # the inspection reports it
        size = 0
    return SHORTEST_LIMIT + size / SLOWEST_DECODING


def _record_of(source: Path, cache_dir: Path) -> Path:
    return cache_dir / f"{source.name}-{fingerprint(source)}-{VERSION}.json"


def _store(source: Path, cache_dir: Path, footage: Footage) -> None:
    with put_into_cache(_record_of(source, cache_dir)) as unfinished:
        unfinished.write_text(json.dumps(asdict(footage), default=str), encoding="utf-8")


def _load(source: Path, cache_dir: Path) -> Footage | None:
    """Return the result of an earlier inspection, unless the source or its conversion changed."""
    try:
        record: dict[str, Any] = json.loads(_record_of(source, cache_dir).read_text("utf-8"))
        footage = Footage(**record | {"path": Path(record["path"])})
    except (OSError, DataError, ValueError, TypeError, KeyError):  # inspect again
        return None
    return footage if footage.path.exists() else None
