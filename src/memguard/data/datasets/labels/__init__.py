"""Labels: which frames of a video are anomalous, and where, from the label files of the field.

The functions `read_…` read a file with the labels of all videos. :data:`Labels` of one video is
called with its number of frames, and rejects labels that do not fit; thus wrong labels of one video
are reported where that video is used. :func:`read_tracks` and :func:`read_masks` read the places of
one video. Frames count from 0, whatever a dataset's own files do.
"""

from memguard.data.datasets.labels.arrays import FrameArray, read_concatenated
from memguard.data.datasets.labels.csv_table import ListedFrames, read_csv
from memguard.data.datasets.labels.frames import FrameLabels, Interval, Intervals, Labels
from memguard.data.datasets.labels.masks import MaskCells, MaskImages, read_masks
from memguard.data.datasets.labels.matlab import read_matlab_intervals, read_matlab_script
from memguard.data.datasets.labels.tracks import link_regions, linked_regions, read_tracks

__all__ = [
    "FrameArray",
    "FrameLabels",
    "Interval",
    "Intervals",
    "Labels",
    "ListedFrames",
    "MaskCells",
    "MaskImages",
    "link_regions",
    "linked_regions",
    "read_concatenated",
    "read_csv",
    "read_masks",
    "read_matlab_intervals",
    "read_matlab_script",
    "read_tracks",
]
