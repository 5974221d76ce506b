"""Inspection: each kind of bad file has its problem, and stops no other file."""

import importlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from memguard.data.datasets import preparation
from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.datasets.labels import FrameLabels
from memguard.data.datasets.preparation import Footage, PreparedVideo, inspect, prepare
from memguard.data.video.frame_folders import frame_images
from memguard.data.video.reader import Video
from memguard.errors import DataError
from memguard.report.preparation import preparation_table


def encode(
    path: Path, *, frames: int = 20, size: tuple[int, int] = (48, 64), codec: str = "libx264",
    container: str | None = None, times: list[int] | None = None,
) -> Path:  # fmt: skip
    """Write a film of bands whose brightness rises by 10 from frame to frame, with some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25, height=size[0], width=size[1])
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 6
        for number in range(frames):
            picture = np.full(size, 16 + 10 * number, np.uint8)
            picture[: size[0] // 2] = noise.integers(0, 256, (size[0] // 2, size[1]))
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def images(folder: Path, *names: str, mode: str = "L", size: tuple[int, int] = (32, 32)) -> Path:
    """Write images of one grey level each, which differ in their names alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("L", size, 20 * number).convert(mode).save(folder / name)
    return folder


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 16000, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def truncated(path: Path) -> Path:
    encode(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def overwritten(path: Path, codec: str) -> Path:
    """A whole file with one picture's data replaced by chance."""
    content = bytearray(encode(path, codec=codec, frames=24).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(content)
    return path


def growing(path: Path) -> Path:
    """A stream, as recorders write, whose pictures grow in the middle."""
    parts = [
        encode(path.with_name(f"{n}.ts"), size=(48 * n, 64 * n), container="mpegts").read_bytes()
        for n in (1, 2)
    ]
    path.write_bytes(b"".join(parts))
    return path


def dangling(path: Path) -> Path:
    path.symlink_to(path.with_name("gone.mp4"))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sixteen_bits(folder: Path) -> Path:
    folder.mkdir()
    Image.fromarray(np.full((16, 16), 4095, np.uint16)).save(folder / "1.tif")
    return folder


def unequal(folder: Path) -> Path:
    return images(images(folder, "1.png"), "2.png", size=(24, 16))


def half_linked(folder: Path) -> Path:
    dangling(images(folder, "1.png") / "2.png")
    return folder


def without_permission(path: Path) -> Path:
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("permissions do not bind this user")
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zero bytes.mp4": (lambda p: written(p, b""), "cannot be decoded as a video"),
    "text.mp4": (lambda p: written(p, b"this is text\n" * 99), "cannot be decoded as a video"),
    "truncated.mp4": (truncated, "cannot be decoded as a video"),
    "truncated.avi": (truncated, "damaged after|is cut off"),
    "sound.mp4": (sound, "no video stream that decodes"),
    "damaged.mp4": (lambda p: overwritten(p, "libx264"), r"damaged after \d+ frames"),
    "damaged.avi": (lambda p: overwritten(p, "mpeg4"), r"damaged after \d+ frames"),
    "growing.mpg": (growing, "has 128×96 pixels, expected 64×48"),
    "dangling.mp4": (dangling, "link leads nowhere"),
    "dangling": (dangling, "link leads nowhere"),
    "secret.mp4": (lambda p: without_permission(encode(p)), "cannot be read .*permission"),
    "secret": (lambda p: without_permission(images(p, "1.png")), "cannot be read .*permission"),
    "empty": (images, "holds no image"),
    "gap": (lambda p: images(p, "001.png", "002.png", "004.png"),
            r"004\.png comes after 002\.png, expected numbers in steps of 1"),
    "twice": (lambda p: images(p, "1.png", "01.png", "2.png"), "1.png comes after 01.png"),
    "mixed": (lambda p: images(p, "1.png", "2.jpg"), r"several kinds \(1 \.png, 1 \.jpg\)"),
    "unequal": (unequal, r"2\.png: this frame has 24×16 pixels, expected 32×32 as in 1\.png"),
    "linked": (half_linked, r"2\.png: this cannot be read \(No such file"),
    "sixteen": (sixteen_bits, r"1\.tif: .*expected 8 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_reported_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    make, sentence = BAD[name]
    source = make(tmp_path / name)
    with pytest.raises(DataError, match=sentence) as error:
        inspect(source, tmp_path / "cache")
    assert str(source) in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_all_problems_of_a_folder_are_reported_together(tmp_path: Path) -> None:
    folder = images(tmp_path / "01", "1.png", "2.png", "4.jpg")
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as error:
        inspect(folder, tmp_path / "cache")
    kinds, gap, unreadable = str(error.value).splitlines()
    assert ("several kinds" in kinds, "4.jpg comes after" in gap) == (True, True)
    assert "2.png: this image cannot be read" in unreadable


def test_many_problems_of_a_folder_are_counted(tmp_path: Path) -> None:
    folder = images(tmp_path / "01", *(f"{n}.png" for n in range(30)))
    for path in frame_images(folder):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError) as error:
        inspect(folder, tmp_path / "cache")
    lines = str(error.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"{folder}: 20 more problems like these"


@pytest.mark.parametrize("names", [("10.png", "12.png", "14.png"), ("a.png", "b.png", "d.png")])
def test_frames_in_equal_steps_or_without_numbers_have_no_gap(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert inspect(images(tmp_path / "01", *names), tmp_path / "cache").frames == 3


def levels(video: Video) -> list[int]:
    """Number frames by their brightness."""
    lower = video.frames(range(len(video)))[:, 0, video.height // 2 + 4 :].float()
    return ((lower.mean((1, 2)) - 16) / 10).round().int().tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_frame_rate_loses_no_frame(tmp_path: Path, suffix: str) -> None:
    times = [0, 1, 2, 10, 11, 12, 13, 30, 31, 60]
    path = encode(tmp_path / f"vfr{suffix}", frames=10, times=times)
    assert inspect(path, tmp_path / "cache").frames == 10
    assert levels(Video(path)) == list(range(10))


@pytest.mark.parametrize("size", [(48, 63), (47, 64), (47, 63)])
def test_odd_sizes_are_read_as_they_are(tmp_path: Path, size: tuple[int, int]) -> None:
    path = encode(tmp_path / "odd.mp4", size=size, codec="mpeg4", frames=10)
    found = inspect(path, tmp_path / "cache")
    assert (found.frames, found.height, found.width, found.fps) == (10, *size, 25.0)
    assert levels(Video(path)) == list(range(10))


def test_alpha_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "01"
    folder.mkdir()
    Image.new("RGBA", (32, 32), (10, 20, 30, 0)).save(folder / "1.png")
    found = inspect(folder, tmp_path / "cache")
    assert Video(found.path).frames([0])[0, :, 0, 0].tolist() == [10, 20, 30]


def test_spaces_and_letters_of_all_kinds_in_paths(tmp_path: Path) -> None:
    root = tmp_path / "Überwachung, 監視 #1%"
    for source in (encode(root / "Straße 日本.mp4"), images(root / "été 1", "ä 1.png")):
        found = inspect(source, tmp_path / "cache é")
        assert len(Video(found.path)) == found.frames


def test_the_result_describes_the_video(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4")
    assert inspect(path, tmp_path / "cache") == Footage(path, 20, 48, 64, 25.0)
    folder = images(tmp_path / "01", "1.png", "2.png")
    found = inspect(folder, tmp_path / "cache")
    assert (found.frames, found.height, found.width, found.fps) == (2, 32, 32, None)
    assert found.path.parent == tmp_path / "cache"


def benchmark(*sources: Path, labelled: int | None = None) -> Benchmark:
    """The first source to train on, the others to test on, with labels for so many frames."""
    labels = None if labelled is None else FrameLabels(np.zeros(labelled, np.uint8), "labels.npy")
    return Benchmark(
        "scene",
        train=(VideoRecord(sources[0].stem, sources[0]),),
        test=tuple(VideoRecord(source.stem, source, labels) for source in sources[1:]),
    )


def test_every_problem_is_found_and_sound_videos_too(tmp_path: Path) -> None:
    good = encode(tmp_path / "good.mp4")
    short = encode(tmp_path / "short.mp4", frames=3)
    text = written(tmp_path / "text.mp4", b"text")
    found = prepare(benchmark(short, good, text, labelled=20), tmp_path / "cache", length=5)
    assert [video.footage is not None for video in found.train + found.test] == [True, True, False]
    assert [len(video.problems) for video in found.train + found.test] == [1, 0, 1]
    with pytest.raises(DataError) as error:
        found.require_no_problem()
    first, second = str(error.value).splitlines()
    assert f"{short} has 3 frames, fewer than the 5 of one window" in first
    assert f"{text}: this file cannot be decoded" in second


def test_labels_that_do_not_fit_are_a_problem(tmp_path: Path) -> None:
    good = encode(tmp_path / "good.mp4")
    found = prepare(benchmark(good, good, labelled=19), tmp_path, length=5)
    assert found.test[0].labels is None
    assert found.problems[0].startswith("labels.npy: found 19 labels")


@pytest.mark.parametrize(
    ("masks", "tracks", "sentence"),
    [
        (
            np.zeros((19, 48, 64)),
            "",
            r"masks\.npy: found 19 masks, expected one for each of",
        ),
        (np.zeros((20, 64, 48)), "", r"masks\.npy: the mask of frame 0 has 48×64 pixels, expected"),
        (
            np.zeros((20, 48, 64)),
            "0,20,1,1,2,2",
            r"tracks\.txt, line 1: found frame 20, expected",
        ),
        (
            np.zeros((20, 48, 64)),
            "0,1,1,1,65,2",
            r"tracks\.txt, line 1: found a box from 1, 1 to",
        ),
    ],
)
def test_masks_and_tracks_that_do_not_fit_are_a_problem(
    tmp_path: Path, masks: np.ndarray, tracks: str, sentence: str
) -> None:
    good = encode(tmp_path / "good.mp4")
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "tracks.txt").write_text(tracks)
    record = VideoRecord("a", good, None, tmp_path / "masks.npy", tmp_path / "tracks.txt")
    video = prepare(Benchmark("scene", (), (record,)), tmp_path / "cache", length=5).test[0]
    assert video.footage is not None
    assert (video.footage.height, video.footage.width) == (48, 64)
    assert len(video.problems) == 1
    assert re.search(sentence, video.problems[0])


def test_a_video_is_not_inspected_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = encode(tmp_path / "good.mp4")
    scene = benchmark(good, images(tmp_path / "01", *(f"{n}.png" for n in range(5))))
    first = prepare(scene, tmp_path / "cache", length=5)
    assert first.problems == []

    def refuse(tasks: int) -> None:
        raise AssertionError(f"{tasks} videos are inspected again")

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_process_pool", refuse)
        assert prepare(scene, tmp_path / "cache", length=5) == first
    encode(good, frames=12)
    changed = prepare(scene, tmp_path / "cache", length=5).train[0].footage
    assert changed is not None
    assert changed.frames == 12


# Worker processes import it, so it is a module of its own.
WORKERS = """
import os, signal, time
from memguard.data.datasets.preparation import inspect
from memguard.data.video.reader import Video

def fail_by_name(source, cache_dir):
    if source.stem == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if source.stem == "hang":
        time.sleep(600)
    return inspect(source, cache_dir)

def read_through(path):
    video = Video(path, frame_size=16, channels=1)
    return len(video.frames(range(len(video))))
"""


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import functions for worker processes: one that stands in for decoders that fail."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "workers.py").write_text(WORKERS)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "workers", raising=False)
    return importlib.import_module("workers")


def test_a_script_without_a_guard_is_refused_with_the_line_that_it_needs(tmp_path: Path) -> None:
    encode(tmp_path / "videos" / "train" / "a.mp4")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from memguard.data.datasets.folder import folder\n"
        "from memguard.data.datasets.preparation import prepare\n"
        "prepare(folder('videos'), Path('cache'), length=5)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'its calls must stand below `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


def test_a_decoder_that_crashes_or_hangs_is_a_problem_of_that_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: ModuleType
) -> None:
    monkeypatch.setattr(preparation, "inspect", workers.fail_by_name)
    monkeypatch.setattr(preparation, "SHORTEST_LIMIT", 10)
    sources = [encode(tmp_path / f"{name}.mp4") for name in ("crash", "a", "hang", "b")]
    found = prepare(benchmark(*sources), tmp_path / "cache", length=5)
    assert [video.footage is None for video in found.train + found.test] == [
        True, False, True, False,
    ]  # fmt: skip
    assert "crash.mp4: the decoder crashes" in found.problems[0]
    assert "hang.mp4: the decoder hangs" in found.problems[1]


def test_a_killed_preparation_leaves_nothing_that_counts_as_whole(tmp_path: Path) -> None:
    folder, cache = tmp_path / "01", tmp_path / "cache"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        noise = rng.integers(0, 256, (240, 320, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.bmp")
    command = "from memguard.data.datasets.preparation import *; inspect(Path({!r}), Path({!r}))"
    process = subprocess.Popen([sys.executable, "-c", command.format(str(folder), str(cache))])
    while not list(cache.glob(".converting-*/*.mkv")):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(cache.glob(".converting-*"))
    assert not list(cache.glob("*.mp4"))
    found = prepare(benchmark(folder), cache, length=5)
    assert found.train[0].footage.frames == len(Video(found.train[0].footage.path)) == 40
    assert not list(cache.glob(".converting-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root on Linux may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_reported_and_left_clean(tmp_path: Path, small_disk: Path) -> None:
    folder = tmp_path / "01"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (128, 128, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    with pytest.raises(DataError, match=r"disk: this folder cannot be written .*paths\.cache_dir"):
        inspect(folder, small_disk)
    assert list(small_disk.iterdir()) == []


def test_the_table_counts_each_split() -> None:
    footage = [Footage(Path("a"), n, 48, 64, rate) for n, rate in ((10, 25.0), (5, None))]
    record = VideoRecord("a", Path("a"))
    labelled = PreparedVideo(record, footage[0], np.array([0] * 7 + [1] * 3), ())
    plain = PreparedVideo(record, footage[1], None, ())
    broken = PreparedVideo(record, None, None, ("broken",))
    table = preparation_table("scene", preparation.Preparation((plain,), (labelled, broken)))
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert rows == [
        ("train", "1", "0", "5", "64×48", "–", "0", "0"),
        ("test", "2", "1", "10", "64×48", "25", "10", "3"),
    ]


def test_the_table_names_what_is_no_video_and_what_was_converted() -> None:
    footage = Footage(Path("cache/a.mkv"), 9, 48, 64, 25.0, converted="random access differs")
    video = PreparedVideo(VideoRecord("a", Path("a.ts")), footage, None, ())
    passed_over = (Path("train/notes [1].txt"), Path("test/cover.jpg"))
    table = preparation_table("scene", preparation.Preparation((video,), (), passed_over))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    lines = [line.strip() for line in captured.get().splitlines()]
    assert lines[-3:] == [
        "no video: train/notes [1].txt",
        "no video: test/cover.jpg",
        "converted: a.ts (random access differs)",
    ]


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change some bytes, wipe, drop or repeat a stretch, or cut the end off."""
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.choice((1, 8, 64, 512)))
    stretch = content[start:end]
    way = rng.randrange(5)
    if way == 0:
        stretch = rng.randbytes(len(stretch))
    elif way == 1:
        stretch = bytes(len(stretch))
    elif way == 2:
        stretch = b""
    elif way == 3:
        stretch += stretch
    else:
        return content[:start]
    return content[:start] + stretch + content[end:]


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".avi", "mpeg4")])
def test_damaged_copies_are_reported_or_can_be_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: ModuleType,
    suffix: str,
    codec: str,
) -> None:
    monkeypatch.setattr(preparation, "SHORTEST_LIMIT", 30)
    content = encode(tmp_path / f"whole{suffix}", codec=codec, frames=12).read_bytes()
    rng = random.Random(0)
    copies = [written(tmp_path / f"{n}{suffix}", damage(content, rng)) for n in range(500)]
    found = prepare(benchmark(*copies), tmp_path / "cache", length=1)
    sound = [video.footage for video in found.train + found.test if video.footage]
    assert 0 < len(sound) < 350
    with preparation._process_pool(len(sound)) as pool:
        reading = [
            pool.schedule(workers.read_through, args=(footage.path,), timeout=60)
            for footage in sound
        ]
        assert [future.result() for future in reading] == [footage.frames for footage in sound]


AFTER_COMPUTING = """
import sys
from pathlib import Path
import torch
from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.datasets.preparation import prepare

torch.ones(2**22).mul(2).sum()  # by several threads
record = VideoRecord("film", Path(sys.argv[1]))
prepare(Benchmark("films", (record,), ()), Path(sys.argv[2]), length=5).require_no_problem()
"""


def test_videos_are_inspected_after_threads_have_computed(tmp_path: Path) -> None:
    film = encode(tmp_path / "film.mp4", size=(160, 240))
    ran = subprocess.run(
        [sys.executable, "-c", AFTER_COMPUTING, str(film), str(tmp_path / "cache")],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
