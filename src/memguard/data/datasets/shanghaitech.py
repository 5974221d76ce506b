"""ShanghaiTech Campus: 13 scenes of one campus.

Source: Luo, Liu, Gao, "A Revisit of Sparse Coding Based Anomaly Detection in Stacked RNN
Framework", ICCV 2017.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from memguard.data.datasets.benchmark import Benchmark, records
from memguard.data.datasets.labels import FrameArray, Labels
from memguard.data.datasets.layout import (
    existing_root,
    file_of_each,
    find_labels,
    find_splits,
    find_tracks,
    first_existing,
    frame_folders,
    read_labels,
)

TREE = "training/videos, testing/frames (or testing/videos) and testing/test_frame_mask"


def shanghaitech(root: Path | str) -> Benchmark:
    """Find ShanghaiTech Campus: 330 training and 107 test videos of 13 scenes, 856×480, RGB.

    ```
    root/training/videos/SS_NNN.avi              as released, or
    root/training/frames/SS_NNN/FFF.jpg          as in papers
    root/testing/frames/SS_NNNN/FFF.jpg          or
    root/testing/videos/SS_NNNN.mp4
    root/testing/test_frame_mask/SS_NNNN.npy     a 0 or 1 per frame
    root/testing/test_pixel_mask/SS_NNNN.npy     pixel ground truth, optional
    root/tracks/SS_NNNN.txt                      tracks of the test videos, optional
    ```

    A video's name begins with the number of its scene, SS. If `test_frame_mask` is missing, the
    labels come from `root/frame_labels_shanghai.npy`: a 0 or 1 for every test frame, concatenated.

    Args:
        root: The folder of the dataset.

    Raises:
        DataError: If videos are missing, or videos and labels do not agree.
        LabelsMissingError: If the labels are missing.
    """
    root = existing_root(root)
    train_frames, test_frames = frame_folders(root)
    test_videos = first_existing(test_frames, root / "testing" / "videos") or test_frames
    train, test, test_folder = find_splits(
        TREE,
        (root / "training" / "videos", test_videos),
        (train_frames, test_videos),
    )
    masks = {video: root / "testing" / "test_pixel_mask" / f"{video}.npy" for video in test}
    tracks = find_tracks(root, test, test_folder)
    truth = partial(records, test, masks=masks, tracks=tracks, scenes=_scenes(test))
    trained = records(train, scenes=_scenes(train))
    labels = _labels(root, test, Benchmark("shanghaitech", trained, truth()))
    return Benchmark("shanghaitech", trained, truth(labels=labels))


def _labels(root: Path, test: Mapping[str, Path], unlabelled: Benchmark) -> Mapping[str, Labels]:
    source = find_labels(
        TREE,
        unlabelled,
        root / "testing" / "test_frame_mask",
        root / "frame_labels_shanghai.npy",
    )
    if source.is_file():
        return read_labels(source, test)
    files = file_of_each({video: f"{video}.npy" for video in test}, source)
    return {video: FrameArray(path) for video, path in files.items()}


def _scenes(videos: Iterable[str]) -> dict[str, str]:
    return {video: video.partition("_")[0] for video in videos}
