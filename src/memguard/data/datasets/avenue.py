"""CUHK Avenue, with its two label sets.

Source: Lu, Shi, Jia, "Abnormal Event Detection at 150 FPS in MATLAB", ICCV 2013.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from memguard.data.datasets.benchmark import Benchmark, records
from memguard.data.datasets.labels import Labels, MaskCells
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
from memguard.errors import ConfigError

TREE = (
    "training_videos, testing_videos and ground_truth_demo (as released) or training/frames/NN, "
    "testing/frames/NN and avenue.mat (as in papers)"
)


def avenue(root: Path | str, labels: str | None = None) -> Benchmark:
    """Find CUHK Avenue: 16 training and 21 test videos, 640×360, RGB.

    The layout of the release; the videos may also be in `root/Avenue Dataset`, and
    `ground_truth_demo` in the parent of `testing_videos` or one folder above:

    ```
    root/training_videos/NN.avi
    root/testing_videos/NN.avi
    root/ground_truth_demo/testing_label_mask/N_label.mat    volLabel: a mask per frame
    root/tracks/NN.txt                                       tracks of the test videos, optional
    ```

    The layout of papers:

    ```
    root/training/frames/NN/FFF.jpg
    root/testing/frames/NN/FFF.jpg
    root/avenue.mat                  gt: one 2×n array of intervals per test video, from 1; or
    root/frame_labels_avenue.npy     a 0 or 1 for every test frame, concatenated
    ```

    Two label sets circulate, and their results are not comparable:

    - `masks`: the label set of the release; a frame is anomalous if its mask marks a pixel. Videos
      08 and 18 are anomalous throughout.
    - `intervals`: frame by frame annotation (Hasan et al., CVPR 2016), in `avenue.mat` and
      `frame_labels_avenue.npy` alike: 3867 of the 15324 frames. Papers use it.

    Args:
        root: The folder of the dataset.
        labels: `masks` or `intervals`; None takes `intervals` if they exist, else `masks`.

    Raises:
        ConfigError: If there is no label set of this name.
        DataError: If videos or the requested labels are missing, or they do not agree.
        LabelsMissingError: If the labels are missing, and no label set is requested.
    """
    if labels not in (None, "intervals", "masks"):
        raise ConfigError(f"dataset.labels={labels} cannot work: it must be intervals or masks.")
    root = existing_root(root, release="avenue")
    train, test, test_folder = find_splits(TREE, *_layouts(root))
    interval_files = root / "avenue.mat", root / "frame_labels_avenue.npy"
    mask_folders = [
        place / "ground_truth_demo" / "testing_label_mask"
        for place in (test_folder.parent, test_folder.parent.parent)
    ]
    label_set = labels or ("intervals" if first_existing(*interval_files) else "masks")
    # A requested label set is required: neither the other one nor none replaces it.
    unlabelled = None if labels else Benchmark("avenue", records(train), records(test))
    if label_set == "masks":
        masks = _masks(find_labels(TREE, unlabelled, *mask_folders), test)
        by_video: dict[str, Labels] = {video: MaskCells(path) for video, path in masks.items()}
    else:
        masks = _masks(first_existing(*mask_folders), test)
        by_video = read_labels(find_labels(TREE, unlabelled, *interval_files), test)
    tracks = find_tracks(root, test, test_folder)
    labelled = records(test, labels=by_video, masks=masks, tracks=tracks)
    return Benchmark("avenue", records(train), labelled, label_set)


def _layouts(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the candidates for the folders of training and test videos."""
    for place in (root, root / "Avenue Dataset"):
        yield place / "training_videos", place / "testing_videos"
    yield frame_folders(root)


def _masks(folder: Path | None, test: Iterable[str]) -> dict[str, Path]:
    """Return the file with the masks of each test video: 8_label.mat for 08.avi."""
    names = {video: f"{video.lstrip('0')}_label.mat" for video in test}
    return file_of_each(names, folder) if folder else {}
