"""Own videos: a folder of training and test videos."""

from pathlib import Path

from memguard.data.datasets.benchmark import NONE, Benchmark, records
from memguard.data.datasets.labels import read_csv
from memguard.data.datasets.layout import (
    existing_root,
    find_tracks,
    first_existing,
    ignored_files,
    named_videos,
)
from memguard.errors import DataError


def folder(root: Path | str, name: str = "folder") -> Benchmark:
    """Find the videos of a folder.

    ```
    root/train/*            normal videos; optional if there is a test/
    root/test/*             test videos; optional if there is a train/
    root/labels.csv         optional: the anomalous frames of test/
    root/masks/NAME.npz     optional: pixel ground truth of the test video NAME, or
    root/masks/NAME/*       the same as a folder of images
    root/tracks/NAME.txt    optional: tracks, see :func:`~memguard.data.datasets.labels.read_tracks`
    ```

    A video is a video file with one of the :data:`~memguard.data.datasets.layout.VIDEO_SUFFIXES`
    (mp4, avi, mkv, mov, webm, ts, h264 and others), or a folder with one image per frame. Its name
    is the name of the file without suffix, or of the folder. Videos are in natural order (2 before
    10). The header of `labels.csv` says which of two forms it has; frames count from 0:

    - `video,start,end`: one interval of anomalous frames per row, both ends included. A test
      video without rows is normal throughout.
    - `video,frame,label`: one frame per row, label 1 = anomalous, 0 = normal. A listed video has
      every frame once; the other videos are unlabelled.

    Args:
        root: The folder.
        name: The name of the dataset in results.

    Raises:
        DataError: If there are no videos, two have one name, or the labels cannot be read.
    """
    root = existing_root(root)
    train, test = named_videos(root / "train"), named_videos(root / "test")
    if not train and (not test or (root / "train").is_dir()):
        raise DataError(
            f"{root / 'train'}: found no video here, expected video files or folders of frames; "
            "add some or correct dataset.root"
        )
    table = root / "labels.csv"
    masks = {
        video: first_existing(root / "masks" / f"{video}.npz", root / "masks" / video)
        for video in test
    }
    return Benchmark(
        name=name,
        train=records(train),
        test=records(
            test,
            labels=read_csv(table, test) if table.is_file() else NONE,
            masks=masks,
            tracks=find_tracks(root, test, root / "test"),
        ),
        ignored_files=(*ignored_files(root / "train"), *ignored_files(root / "test")),
    )
