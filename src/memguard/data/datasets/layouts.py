"""Where a dataset's videos, labels and masks lie on disk.

One function per dataset turns a root folder into a `Benchmark`, whichever of the layouts in
circulation it finds there; nothing else knows about folders. `labels` knows what is in the files.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock

from memguard.data.datasets.labels import (
    FrameArray,
    Labels,
    MaskCells,
    MaskImages,
    read_concatenated,
    read_csv,
    read_matlab_intervals,
    read_matlab_script,
)
from memguard.data.datasets.street import generate, is_complete
from memguard.data.video.decoding import contents
from memguard.data.video.frame_folders import frame_images, natural_order
from memguard.errors import ConfigError, DataError

VIDEO_SUFFIXES = frozenset(
    {
        *(".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".dav", ".divx", ".dv", ".f4v", ".flv"),
        *(".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg"),
        *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob"),
        *(".webm", ".wmv", ".y4m"),
    }
)
UCSD_TREE = (
    "{0}/Train, {0}/Test and {0}/Test/{0}.m (as released) or training/frames/NN, "
    "testing/frames/NN and {1}.mat (as in papers)"
)
AVENUE_TREE = (
    "training_videos, testing_videos and ground_truth_demo (as released) or training/frames/NN, "
    "testing/frames/NN and avenue.mat (as in papers)"
)
SHANGHAITECH_TREE = "training/videos, testing/frames and testing/test_frame_mask"
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class VideoRecord:
    """One video of a dataset.

    Attributes:
        name: What the video is called in results, e.g. "01".
        source: A video file or a folder of frames.
        labels: Which frames are anomalous, once their number is known; None: unlabelled.
        masks: Pixel ground truth, where there is one.
        scene: The place that the video shows, in datasets of several.
    """

    name: str
    source: Path
    labels: Labels | None = None
    masks: Path | None = None
    scene: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A dataset: videos to train on, all normal, and videos to test on.

    Attributes:
        name: What it is called in results.
        train: The videos to train on.
        test: The videos to test on.
        label_set: Which of the label sets in circulation is in use, where there are several.
        no_videos: Files beside the videos that are none, by their suffix.
    """

    name: str
    train: tuple[VideoRecord, ...]
    test: tuple[VideoRecord, ...]
    label_set: str | None = None
    no_videos: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """The name, with the label set where there is a choice."""
        return f"{self.name}, labels: {self.label_set}" if self.label_set else self.name


class LabelsMissingError(DataError):
    """The labels of a dataset are missing, and its videos can be used without them.

    Args:
        sentence: The message.
        benchmark: The dataset without labels.
    """

    def __init__(self, sentence: str, benchmark: Benchmark) -> None:
        super().__init__(sentence)
        self.benchmark = benchmark


def ped1(root: Path | str) -> Benchmark:
    """Read UCSD Ped1: 34 videos to train on and 36 to test on, of 200 frames of 238×158.

    The layouts are those of `ped2`, with `ped1` in the names.

    Raises:
        DataError: Videos or labels are missing, or they do not agree.
    """
    return _ucsd(_dataset_root(root), "ped1")


def ped2(root: Path | str) -> Benchmark:
    """Read UCSD Ped2: 16 videos to train on and 12 to test on, of 120 to 180 frames of 360×240.

    As released, where the root is the folder UCSDped2, one that holds it, or one that holds
    UCSD_Anomaly_Dataset.v1p2:

    ```
    UCSDped2/Train/Train001/001.tif
    UCSDped2/Test/Test001/001.tif
    UCSDped2/Test/Test001_gt/001.bmp         where there is pixel ground truth
    UCSDped2/Test/UCSDped2.m                 a line with intervals per test video, from 1
    ```

    As papers use it:

    ```
    root/training/frames/NN/FFF.jpg
    root/testing/frames/NN/FFF.jpg
    root/testing/masks/NN/FFF.png            where there is pixel ground truth
    root/ped2.mat                            gt: one 2×n array of intervals per test video, from 1
    ```

    Where the file with the intervals is missing, `root/frame_labels_ped2.npy` takes its place (a 0
    or 1 for every test frame, end to end); else the masks do, where every test video has some.

    Raises:
        DataError: Videos or labels are missing, or they do not agree.
    """
    return _ucsd(_dataset_root(root), "ped2")


def avenue(root: Path | str, labels: str | None = None) -> Benchmark:
    """Read CUHK Avenue: 16 videos to train on and 21 to test on, 640×360.

    As released; the videos may also lie in `root/Avenue Dataset`, and `ground_truth_demo` in the
    same folder as the videos' folders or beside it:

    ```
    root/training_videos/NN.avi
    root/testing_videos/NN.avi
    root/ground_truth_demo/testing_label_mask/N_label.mat    volLabel: a mask per frame
    ```

    As papers use it:

    ```
    root/training/frames/NN/FFF.jpg
    root/testing/frames/NN/FFF.jpg
    root/avenue.mat                  gt: one 2×n array of intervals per test video, from 1; or
    root/frame_labels_avenue.npy     a 0 or 1 for every test frame, end to end
    ```

    Two label sets are in circulation, and results on one do not compare with those on the other:

    - `masks`: the release's own; a frame is anomalous if its mask marks a pixel. Videos 08 and 18
      are anomalous throughout.
    - `intervals`: frame by frame annotation (Hasan et al., CVPR 2016), in `avenue.mat` and
      `frame_labels_avenue.npy` alike: 3867 of the 15324 frames. It circulates with papers.

    Args:
        root: The folder.
        labels: `masks` or `intervals`; None: what is there, intervals before masks.

    Raises:
        ConfigError: There is no label set of this name.
        DataError: Videos or labels are missing, or they do not agree.
    """
    if labels not in (None, "intervals", "masks"):
        raise ConfigError(f"dataset.labels={labels} cannot work: it must be intervals or masks.")
    root = _dataset_root(root)
    train, test, test_folder = _splits(
        AVENUE_TREE,
        *(
            (place / "training_videos", place / "testing_videos")
            for place in (root, root / "Avenue Dataset")
        ),
        _frame_folders(root),
    )
    interval_files = root / "avenue.mat", root / "frame_labels_avenue.npy"
    mask_folders = (
        place / "ground_truth_demo" / "testing_label_mask"
        for place in (test_folder.parent, test_folder.parent.parent)
    )
    label_set = labels or ("intervals" if _first_existing(*interval_files) else "masks")
    # Of a label set that is named, no other and none takes the place.
    unlabelled = None if labels else Benchmark("avenue", _records(train), _records(test))
    if label_set == "masks":
        masks = _avenue_masks(_label_source(AVENUE_TREE, unlabelled, *mask_folders), test)
        by_video: Mapping[str, Labels] = {video: MaskCells(path) for video, path in masks.items()}
    else:
        masks = _avenue_masks(_first_existing(*mask_folders), test)
        by_video = _read_labels(_label_source(AVENUE_TREE, unlabelled, *interval_files), test)
    return Benchmark(
        name="avenue",
        train=_records(train),
        test=_records(test, labels=by_video, masks=masks),
        label_set=label_set,
    )


def shanghaitech(root: Path | str) -> Benchmark:
    """Read ShanghaiTech Campus: 330 videos to train on and 107 to test on, 856×480, of 13 scenes.

    ```
    root/training/videos/SS_NNN.avi              as released, or
    root/training/frames/SS_NNN/FFF.jpg          as papers use it
    root/testing/frames/SS_NNNN/FFF.jpg
    root/testing/test_frame_mask/SS_NNNN.npy     a 0 or 1 per frame
    root/testing/test_pixel_mask/SS_NNNN.npy     where there is pixel ground truth
    ```

    A video's name begins with the number of its scene, SS. Where `test_frame_mask` is missing,
    `root/frame_labels_shanghai.npy` takes its place: a 0 or 1 for every test frame, end to end.

    Raises:
        DataError: Videos or labels are missing, or they do not agree.
    """
    root = _dataset_root(root)
    train_frames, test_frames = _frame_folders(root)
    train, test, _ = _splits(
        SHANGHAITECH_TREE,
        (root / "training" / "videos", test_frames),
        (train_frames, test_frames),
    )
    masks = {video: root / "testing" / "test_pixel_mask" / f"{video}.npy" for video in test}
    unlabelled = Benchmark(
        name="shanghaitech",
        train=_records(train, scenes=_scenes(train)),
        test=_records(test, masks=masks, scenes=_scenes(test)),
    )
    return Benchmark(
        name="shanghaitech",
        train=_records(train, scenes=_scenes(train)),
        test=_records(
            test,
            labels=_shanghaitech_labels(root, test, unlabelled),
            masks=masks,
            scenes=_scenes(test),
        ),
    )


def street(root: Path | str) -> Benchmark:
    """Read the generated street scene, and generate it first where it is not there yet.

    See `memguard.data.datasets.street` for the scene and its tree, which is that of `folder`.
    """
    root = Path(root)
    if not is_complete(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock")):  # several processes may need it
            if not is_complete(root):
                generate(root)
    return folder(root, name="street")


def folder(root: Path | str, name: str = "folder") -> Benchmark:
    """Read any videos from a folder of this form.

    ```
    root/train/*            normal videos; may be missing where there is a test/
    root/test/*             videos to test on; may be missing or empty where there is a train/
    root/labels.csv         optional: which frames of test/ are anomalous
    root/masks/NAME.npz     optional: pixel ground truth of the test video NAME, or
    root/masks/NAME/*       the same as a folder of images
    ```

    A video is a video file, by its suffix (:data:`VIDEO_SUFFIXES`: mp4, avi, mkv, mov, webm, ts,
    h264 and others), or a folder with one image per frame; its name is the file's name without
    suffix or the folder's name. Videos come
    in natural order (2 before 10). `labels.csv` has one of two forms, told apart by its header;
    frames count from 0:

    - `video,start,end`: one interval of anomalous frames per row, both ends included. A test
      video without rows is normal throughout.
    - `video,frame,label`: one frame per row, label 1 = anomalous, 0 = normal. A listed video has
      every frame once; videos that are not listed are unlabelled.

    Args:
        root: The folder.
        name: What the dataset is called in results.

    Raises:
        DataError: There are no videos, two have one name, or the labels cannot be read.
    """
    root = _dataset_root(root)
    train, test = named_videos(root / "train"), named_videos(root / "test")
    if not train and (not test or (root / "train").is_dir()):
        raise DataError(
            f"{root / 'train'}: found no video here, expected video files or folders of frames; "
            "add some or correct dataset.root"
        )
    table = root / "labels.csv"
    masks = {
        video: _first_existing(root / "masks" / f"{video}.npz", root / "masks" / video)
        for video in test
    }
    return Benchmark(
        name=name,
        train=_records(train),
        test=_records(test, labels=read_csv(table, test) if table.is_file() else NONE, masks=masks),
        no_videos=(*no_videos(root / "train"), *no_videos(root / "test")),
    )


def count_frames(source: Path) -> int:
    """Return the number of frames of a video file or a folder of frames.

    Raises:
        DataError: The file cannot be decoded, or the folder holds no image.
    """
    return len(frame_images(source)) if source.is_dir() else contents(source).packets


def _dataset_root(root: Path | str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise DataError(
            f"{root}: there is no such folder; set dataset.root to the folder with the dataset"
        )
    return root


def _first_existing(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.exists()), None)


def _ucsd(root: Path, name: str) -> Benchmark:
    released = f"UCSD{name}"
    tree = UCSD_TREE.format(released, name)
    places = root, root / released, root / "UCSD_Anomaly_Dataset.v1p2" / released
    train, found, test_folder = _splits(
        tree, *((place / "Train", place / "Test") for place in places), _frame_folders(root)
    )
    test = {video: source for video, source in found.items() if not video.endswith("_gt")}
    masks = {
        video: _first_existing(test_folder / f"{video}_gt", root / "testing" / "masks" / video)
        for video in test
    }
    label_files = (
        test_folder / f"{released}.m",
        root / f"{name}.mat",
        root / f"frame_labels_{name}.npy",
    )
    if _first_existing(*label_files) is None and all(masks.values()):
        labels: dict[str, Labels] = {v: MaskImages(path) for v, path in masks.items() if path}
    else:
        unlabelled = Benchmark(name, _records(train), _records(test, masks=masks))
        labels = _read_labels(_label_source(tree, unlabelled, *label_files), test)
    return Benchmark(name, _records(train), _records(test, labels=labels, masks=masks))


def _avenue_masks(folder: Path | None, test: Iterable[str]) -> dict[str, Path]:
    """Find the masks of each test video; those of 08.avi are in 8_label.mat."""
    names = {video: f"{video.lstrip('0')}_label.mat" for video in test}
    return _file_of_each(names, folder) if folder else {}


def _shanghaitech_labels(
    root: Path, test: Mapping[str, Path], unlabelled: Benchmark
) -> Mapping[str, Labels]:
    source = _label_source(
        SHANGHAITECH_TREE,
        unlabelled,
        root / "testing" / "test_frame_mask",
        root / "frame_labels_shanghai.npy",
    )
    if source.is_file():
        return _read_labels(source, test)
    files = _file_of_each({video: f"{video}.npy" for video in test}, source)
    return {video: FrameArray(path) for video, path in files.items()}


def _scenes(videos: Iterable[str]) -> dict[str, str]:
    return {video: video.partition("_")[0] for video in videos}


def _records(
    videos: Mapping[str, Path],
    *,
    labels: Mapping[str, Labels] = NONE,
    masks: Mapping[str, Path | None] = NONE,
    scenes: Mapping[str, str] = NONE,
) -> tuple[VideoRecord, ...]:
    """Put together what is known of each video; masks count where they exist."""
    return tuple(
        VideoRecord(
            name=video,
            source=source,
            labels=labels.get(video),
            masks=_first_existing(*filter(None, [masks.get(video)])),
            scene=scenes.get(video),
        )
        for video, source in videos.items()
    )


def _frame_folders(root: Path) -> tuple[Path, Path]:
    """Where papers keep the frames to train on and to test on."""
    return root / "training" / "frames", root / "testing" / "frames"


def _splits(
    tree: str, *layouts: tuple[Path, Path]
) -> tuple[dict[str, Path], dict[str, Path], Path]:
    """Find the training and test videos, and the folder of the latter.

    Args:
        tree: What a root should hold, as an error says it.
        layouts: Where the two splits may be; the first that is there counts.
    """
    train_folder, test_folder = next(
        (layout for layout in layouts if layout[0].is_dir()), layouts[-1]
    )
    train, test = named_videos(train_folder), named_videos(test_folder)
    for videos, folder in ((train, train_folder), (test, test_folder)):
        if not videos:
            raise DataError(
                f"{folder}: found no videos here; set dataset.root to the folder that holds {tree}"
            )
    return train, test, test_folder


def _label_source(tree: str, unlabelled: Benchmark | None, *candidates: Path) -> Path:
    """Find the file or folder with the labels.

    Args:
        tree: What a root should hold, for the error.
        unlabelled: The dataset without labels; None where it cannot be used so.
        candidates: Where they may be.
    """
    found = _first_existing(*candidates)
    if found is not None:
        return found
    sentence = (
        f"{candidates[0]}: the labels are missing; set dataset.root to the folder that holds {tree}"
    )
    raise LabelsMissingError(sentence, unlabelled) if unlabelled else DataError(sentence)


def _read_labels(path: Path, videos: Mapping[str, Path]) -> dict[str, Labels]:
    """Read a file with the labels of all videos, by what its suffix says."""
    if path.suffix == ".npy":
        return read_concatenated(path, {name: count_frames(p) for name, p in videos.items()})
    read = read_matlab_script if path.suffix == ".m" else read_matlab_intervals
    return read(path, list(videos))


def _file_of_each(names: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Give each video its file in a folder that holds such files alone."""
    files = {video: folder / name for video, name in names.items()}
    suffixes = {path.suffix for path in files.values()}
    for path in natural_order(folder.iterdir()):
        if path.suffix in suffixes and path not in files.values():
            raise DataError(
                f"{path}: found labels for a video that is not there, expected those of "
                f"{', '.join(names)} alone; restore the video or remove the file"
            )
    return files


def named_videos(split: Path) -> dict[str, Path]:
    """Map names to the video files and frame folders of a split, in natural order.

    Raises:
        DataError: Two have one name, or a name cannot be written into tables.
    """
    videos: dict[str, Path] = {}
    for source in natural_order(split.iterdir() if split.is_dir() else ()):
        if source.is_dir():
            name = source.name
        elif source.suffix.lower() in VIDEO_SUFFIXES:
            name = source.stem
        else:
            continue
        if (shown := os.fsencode(source).decode(errors="replace")) != str(source):
            raise DataError(
                f"{shown}: the name of this video is not in UTF-8, so that no table can hold it; "
                "rename the video or its folder"
            )
        if name in videos:
            raise DataError(
                f"{source}: found a second video with the name {name!r} beside "
                f"{videos[name].name}, expected one; rename or remove one of them"
            )
        videos[name] = source
    return videos


def no_videos(split: Path) -> list[Path]:
    """List the files of a split that are no videos by their suffix, in natural order."""
    files = natural_order(split.iterdir() if split.is_dir() else ())
    return [
        file for file in files if not file.is_dir() and file.suffix.lower() not in VIDEO_SUFFIXES
    ]
