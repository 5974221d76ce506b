"""UCSD Pedestrian: the datasets Ped1 and Ped2.

Source: Mahadevan, Li, Bhalodia, Vasconcelos, "Anomaly Detection in Crowded Scenes", CVPR 2010.
"""

from pathlib import Path

from memguard.data.datasets.benchmark import Benchmark, records
from memguard.data.datasets.labels import Labels, MaskImages
from memguard.data.datasets.layout import (
    existing_root,
    find_labels,
    find_splits,
    find_tracks,
    first_existing,
    frame_folders,
    read_labels,
)

TREE = (
    "{0}/Train, {0}/Test and {0}/Test/{0}.m (as released) or training/frames/NN, "
    "testing/frames/NN and {1}.mat (as in papers)"
)


def ped1(root: Path | str) -> Benchmark:
    """Find UCSD Ped1: 34 training and 36 test videos of 200 frames, 238×158, grey.

    The layouts are those of :func:`ped2`, with `ped1` in the names.

    Args:
        root: The folder of the dataset.

    Raises:
        DataError: If videos are missing, or videos and labels do not agree.
        LabelsMissingError: If the labels are missing.
    """
    return _ucsd(root, "ped1")


def ped2(root: Path | str) -> Benchmark:
    """Find UCSD Ped2: 16 training and 12 test videos of 120 to 180 frames, 360×240, grey.

    The layout of the release; the root is UCSDped2, the folder that holds it, or the folder that
    holds UCSD_Anomaly_Dataset.v1p2:

    ```
    UCSDped2/Train/Train001/001.tif
    UCSDped2/Test/Test001/001.tif
    UCSDped2/Test/Test001_gt/001.bmp         pixel ground truth, of some videos
    UCSDped2/Test/UCSDped2.m                 a line with intervals per test video, from 1
    UCSDped2/tracks/Test001.txt              tracks of the test videos, optional
    ```

    The layout of papers:

    ```
    root/training/frames/NN/FFF.jpg
    root/testing/frames/NN/FFF.jpg
    root/testing/masks/NN/FFF.png            pixel ground truth, optional
    root/tracks/NN.txt                       tracks of the test videos, optional
    root/ped2.mat                            gt: one 2×n array of intervals per test video, from 1
    ```

    If the file with the intervals is missing, the labels come from
    `root/frame_labels_ped2.npy` (a 0 or 1 for every test frame, concatenated). If that is missing
    too, they come from the masks, provided that every test video has some.

    Args:
        root: The folder of the dataset.

    Raises:
        DataError: If videos are missing, or videos and labels do not agree.
        LabelsMissingError: If the labels are missing.
    """
    return _ucsd(root, "ped2")


def _ucsd(root: Path | str, name: str) -> Benchmark:
    root = existing_root(root, release=name)
    released = f"UCSD{name}"
    tree = TREE.format(released, name)
    places = root, root / released, root / "UCSD_Anomaly_Dataset.v1p2" / released
    train, found, test_folder = find_splits(
        tree, *((place / "Train", place / "Test") for place in places), frame_folders(root)
    )
    test = {video: source for video, source in found.items() if not video.endswith("_gt")}
    masks = {
        video: first_existing(test_folder / f"{video}_gt", root / "testing" / "masks" / video)
        for video in test
    }
    tracks = find_tracks(root, test, test_folder)
    label_files = (
        test_folder / f"{released}.m",
        root / f"{name}.mat",
        root / f"frame_labels_{name}.npy",
    )
    if first_existing(*label_files) is None and all(masks.values()):
        labels: dict[str, Labels] = {v: MaskImages(path) for v, path in masks.items() if path}
    else:
        unlabelled = Benchmark(name, records(train), records(test, masks=masks, tracks=tracks))
        labels = read_labels(find_labels(tree, unlabelled, *label_files), test)
    labelled = records(test, labels=labels, masks=masks, tracks=tracks)
    return Benchmark(name, records(train), labelled)
