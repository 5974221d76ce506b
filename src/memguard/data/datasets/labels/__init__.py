"""Labels: which frames of a video are anomalous, from the label files of the field.

The functions `read_…` read a file with the labels of all videos. :data:`Labels` of one video is
called with its number of frames, and rejects labels that do not fit; thus wrong labels of one video
are reported where that video is used. Frames count from 0, whatever a dataset's own files do.
"""

from memguard.data.datasets.labels.arrays import FrameArray, read_concatenated
from memguard.data.datasets.labels.csv_table import ListedFrames, read_csv
from memguard.data.datasets.labels.frames import FrameLabels, Interval, Intervals, Labels
from memguard.data.datasets.labels.masks import MaskCells, MaskImages
from memguard.data.datasets.labels.matlab import read_matlab_intervals, read_matlab_script

__all__ = [
    "FrameArray",
    "FrameLabels",
    "Interval",
    "Intervals",
    "Labels",
    "ListedFrames",
    "MaskCells",
    "MaskImages",
    "read_concatenated",
    "read_csv",
    "read_matlab_intervals",
    "read_matlab_script",
]
