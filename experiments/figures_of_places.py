"""Draw the figures of patches of several sizes and of cameras beyond Ped2."""

from math import nan

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from recorded import runs, seeds
from style import BLUE, GREEN, GREY, PERCENT, VERMILION, WIDTH, label_rows

SIZES = {
    "one": ("one size, height 0.2", BLUE, "o"),
    "three": ("three: 0.1, 0.15, 0.2", VERMILION, "s"),
    "auto": ("measured: 0.086, 0.145, 0.191", GREEN, "D"),
}
ROWS = {
    "worst patch, AUROC": ("", "auroc"),
    "worst patch, smoothed over the past alone": ("_causal", "auroc"),
    "RBDC of the regions": ("", "rbdc"),
    "TBDC of the regions": ("", "tbdc"),
    "frames whose highest region is right": ("", "hit_rate"),
}


def patch_sizes() -> Figure:
    """Draw the metrics of one test by patches of one size, of three, and of measured sizes."""
    found = runs("patch_sizes")
    figure = Figure(figsize=(WIDTH, 2.4))
    figure.suptitle("Ped2, small network, seed 0: patches of one height and of several")
    axes = figure.subplots()
    for name, (label, colour, marker) in SIZES.items():
        values = [100 * found[name + ending][f"test/{key}"] for ending, key in ROWS.values()]
        axes.plot(values, range(len(ROWS)), marker, ms=5, mfc="none", color=colour, label=label)
    label_rows(axes, list(ROWS))
    axes.set_xlabel("%")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def beyond_ped2() -> Figure:
    """Draw the AUROC of each score on three cameras, a mark per training."""
    scores = {
        "": "published score",
        "_unnormalised": "the same, not normalised",
        "_psnr": "PSNR alone",
        "_distance": "distance alone",
        "_patch": "worst patch, not normalised",
    }
    kinds = {
        "with memory, a mark per seed": ("o", BLUE, -0.2),
        "without memory": ("s", VERMILION, 0),
        "frame difference, no model": ("D", GREY, 0.2),
    }
    cameras = {
        "Ped2, small network": ("full", "no_memory", "frame_difference"),
        "Ped1, small network": ("ped1", "ped1_no_memory", "ped1_frame_difference"),
        "upCam, tiny network": ("upcam(_on_xeon)?", "upcam_no_memory", "upcam_frame_difference"),
    }
    found = runs("reproduction", "memory", "beyond_ped2")
    figure = Figure(figsize=(WIDTH, 2.7))
    figure.suptitle("Three cameras, five epochs: the scores of one test")
    panels = zip(figure.subplots(1, 3, sharey=True), cameras.items(), strict=True)
    for axes, (title, variants) in panels:
        for variant, (marker, colour, aside) in zip(variants, kinds.values(), strict=True):
            for run in seeds(found, variant):
                values = [100 * run.get(f"test/auroc{ending}", nan) for ending in scores]
                rows = np.arange(len(scores)) + aside
                axes.plot(values, rows, marker, ms=4, mfc="none", color=colour)
        label_rows(axes, list(scores.values()))
        axes.set_title(title)
    marks = [
        Line2D([], [], ls="", marker=marker, mfc="none", color=colour, label=kind)
        for kind, (marker, colour, _) in kinds.items()
    ]
    figure.axes[1].set_xlabel(PERCENT)
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure
