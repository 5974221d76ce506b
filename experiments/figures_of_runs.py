"""Draw the figures that compare runs by their metrics."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from recorded import Metrics, runs, seeds
from style import BLUE, GREEN, GREY, PERCENT, SEEDS, VERMILION, WIDTH, label_rows


def reproduction() -> Figure:
    """Draw the scores of the published size over the epochs, beside the paper's result."""
    panels = {"test/auroc": "published score", "test/auroc_psnr": "PSNR alone",
              "test/auroc_distance": "distance alone"}  # fmt: skip
    found = runs("reproduction")
    figure = Figure(figsize=(WIDTH, 2.9))
    figure.suptitle("Ped2, prediction at the published size, tested after every tenth epoch")
    for axes, (key, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for seed, colour in SEEDS.items():
            values = over_epochs(found, "pred_full_size", seed, key)
            axes.plot(*values, "o-", ms=3, lw=1, color=colour, label=f"seed {seed}")
        values = over_epochs(found, "pred_small_as_published", 1, key)
        axes.plot(*values, "s:", ms=3, lw=1, color=GREY, label="small network, seed 1")
        if key != "test/auroc_distance":
            no_model = 100 * found["frame_difference"][key]
            axes.axhline(no_model, color=GREY, lw=0.8, ls="-.", label="frame difference, no model")
        if key == "test/auroc":
            axes.axhline(97.0, color="black", lw=0.8, ls="--", label="the paper, 97.0")
        axes.set(title=title, xlabel="epoch", xticks=range(10, 61, 10))
    figure.axes[0].set_ylabel(PERCENT)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def over_epochs(
    found: dict[str, Metrics], training: str, seed: int, key: str
) -> tuple[list[int], list[float]]:
    """Return epochs and AUROC in % of the tests of one training of sixty epochs."""
    epochs = range(10, 61, 10)
    names = [f"{training}_after_{n}_epochs_seed{seed}" for n in epochs[:-1]]
    names.append(f"{training}_seed{seed}")
    return list(epochs), [100 * found[name][key] for name in names]


def protocol() -> Figure:
    """Draw the AUROC of the same scores by each protocol."""
    rows = {
        "published": "published: micro, min–max normalised per video",
        "macro": "macro: mean over the videos",
        "shared_range": "distance normalised by one range",
        "smoothed": "smoothed over time, σ = 2 frames",
        "items_reset": "items reset for each video",
        "unnormalised": "not normalised per video",
        "psnr": "PSNR alone",
        "psnr_unnormalised": "PSNR alone, not normalised",
        "distance": "distance alone",
        "distance_unnormalised": "distance alone, not normalised",
        "patch": "worst patch, not normalised",
        "patch_psnr": "worst patch and PSNR, smoothed",
    }
    tests = {
        "full_size_seed0": ("published size, 60 epochs", BLUE, "o"),
        "small_seed0": ("small network, 15 epochs", VERMILION, "s"),
        "frame_difference": ("frame difference, no model", GREY, "D"),
    }
    found = runs("protocol")
    figure = Figure(figsize=(WIDTH, 3.4))
    figure.suptitle("Ped2, prediction, seed 0: the scores of one test by each protocol")
    axes = figure.subplots()
    for name, (label, colour, marker) in tests.items():
        keys = ["test/auroc" + (f"_{row}" if row != "published" else "") for row in rows]
        values = [100 * found[name][key] for key in keys]
        axes.plot(values, range(len(rows)), marker, ms=5, mfc="none", color=colour, label=label)
        axes.axvline(values[0], color=colour, lw=0.6, ls=":")
    label_rows(axes, list(rows.values()))
    axes.set_xlabel(PERCENT + " (dotted lines: published protocol)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def memory() -> Figure:
    """Draw each variant of the memory, a circle per seed."""
    variants = {
        "full": "with memory, M = 10",
        "full_in_bf16": "the same, trained in bf16",
        "full_on_xeon_in_bf16": "the same, another processor",
        "no_memory": "without memory",
        "no_compactness": "without compactness loss",
        "no_separateness": "without separateness loss",
        "no_feature_losses": "without either loss",
        "m1": "M = 1",
        "m20": "M = 20",
        "write_none": "no memory update at test time",
        "write_all": "memory update by every frame",
        "frame_difference": "frame difference, no model",
    }
    panels = {"test/auroc": "published score", "test/auroc_psnr": "PSNR alone",
              "test/auroc_patch": "worst patch"}  # fmt: skip
    found = runs("memory", "settings")
    found["frame_difference"] = runs("reproduction")["frame_difference"]
    figure = Figure(figsize=(WIDTH, 3.3))
    figure.suptitle("Ped2, prediction, small network, five epochs: variants of the memory")
    grid = figure.subplots(1, len(panels), sharey=True)
    for axes, (key, title) in zip(grid, panels.items(), strict=True):
        for place, variant in enumerate(variants):
            values = [100 * run[key] for run in seeds(found, variant)]
            axes.plot(values, [place] * len(values), "o", ms=4, mfc="none", color=BLUE)
            axes.plot(np.mean(values), place, "|", ms=10, mew=1.5, color=VERMILION)
        label_rows(axes, list(variants.values()))
        axes.set_title(title)
    figure.supxlabel(PERCENT + " (circles: seeds; bars: their mean)", fontsize=8)
    return figure


def batch_norm() -> Figure:
    """Draw each training tested with running statistics and with measured ones."""
    rows = {
        "colour_in_bf16_seed2": "three channels, seed 2",
        "colour_in_bf16_seed1": "three channels, seed 1",
        "full_in_bf16_seed1": "one channel, seed 1",
        "full_in_bf16_seed2": "one channel, seed 2",
        "batch_4_in_bf16_seed1": "batches of 4, seed 1",
        "batch_4_in_bf16_seed2": "batches of 4, seed 2",
        "lr_2e-4_in_bf16_seed1": "learning rate 2e-4, seed 1",
        "lr_2e-4_in_bf16_seed2": "learning rate 2e-4, seed 2",
        "pred_batch_4_in_bf16_seed0": "15 epochs, seed 0",
        "pred_batch_4_in_bf16_seed1": "15 epochs, seed 1",
        "pred_batch_4_in_bf16_seed2": "15 epochs, seed 2",
        "pred_full_size_20_of_30_epochs_in_bf16_seed0": "published size, 20 epochs",
        "colour_any_window_in_bf16_seed2": "shuffled, three channels, seed 2",
        "any_window_in_bf16_seed1": "shuffled, seed 1",
        "any_window_in_bf16_seed2": "shuffled, seed 2",
        "pred_batch_4_any_window_in_bf16_seed1": "shuffled, 15 epochs, seed 1",
    }
    panels = {
        "val/psnr": "PSNR of held-out\nframes, dB",
        "test/auroc_psnr": "PSNR alone,\nAUROC in %",
        "test/auroc": "published score,\nAUROC in %",
        "test/auroc_unnormalised": "not normalised,\nAUROC in %",
    }
    running, measured = runs("settings", "reproduction"), runs("batch_norm")
    figure = Figure(figsize=(WIDTH, 3.7))
    figure.suptitle("Ped2, prediction: the same weights with two kinds of batch norm statistics")
    for axes, (key, title) in zip(figure.subplots(1, 4, sharey=True), panels.items(), strict=True):
        scale = 1 if key == "val/psnr" else 100
        for place, name in enumerate(rows):
            if key in running[name]:  # the published size holds no frames out
                ends = [scale * tests[name][key] for tests in (running, measured)]
                axes.plot(ends, [place] * 2, lw=1, color=BLUE)
                axes.plot(ends[0], place, "o", ms=4, mfc="white", color=BLUE)
                axes.plot(ends[1], place, "|", ms=9, mew=1.5, color=VERMILION)
        label_rows(axes, list(rows.values()))
        axes.set_title(title)
    kinds: dict[str, dict[str, Any]] = {
        "running (last batches)": {"marker": "o", "mfc": "white", "color": BLUE},
        "measured over all training windows": {
            "marker": "|",
            "ms": 9,
            "mew": 1.5,
            "color": VERMILION,
        },
    }
    marks = [Line2D([], [], ls="", label=kind, **mark) for kind, mark in kinds.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


def memory_size() -> Figure:
    """Draw AUROC and held-out PSNR over the number of items on the street."""
    panels = {
        "test/auroc": (100, "published score,\n" + PERCENT),
        "val/psnr": (1, "held-out PSNR, dB"),
    }
    found = runs("memory_size")
    sizes = [2, 5, 10, 20]
    figure = Figure(figsize=(WIDTH, 2.5))
    figure.suptitle("Street, mnad_tiny, two epochs: number of items in the memory")
    for axes, (key, (scale, label)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        values = [[scale * run[key] for run in seeds(found, rf"memory\.size-{m}")] for m in sizes]
        axes.plot(sizes, [np.mean(of_size) for of_size in values], color=BLUE, lw=1)
        axes.plot(sizes, values, "o", ms=4, mfc="none", color=BLUE)
        axes.set(xscale="log", xlabel="number of items M", ylabel=label)
        axes.set_xticks(sizes, [str(m) for m in sizes])
        axes.minorticks_off()
    line = Line2D([], [], color=BLUE, marker="o", mfc="none", lw=1)
    figure.legend([line], ["two seeds and the mean of each pair"], loc="outside lower center")
    return figure


def memories() -> Figure:
    """Draw each memory on two cameras by six metrics, a mark per seed."""
    rows = {
        "mnad": "MNAD's, 10 items", "growing": "growing", "memae": "MemAE's, 2000 items",
        "multiscale": "MemAE's at two scales", "none": "no memory",
    }  # fmt: skip
    panels = {
        "test/auroc": "published score", "test/auroc_psnr": "PSNR alone",
        "test/auroc_patch": "worst patch", "test/auroc_distance": "distance, mean",
        "test/auroc_distance_farthest": "distance, farthest place", "test/rbdc": "RBDC",
    }  # fmt: skip
    cameras = {
        "ped2": ("Ped2", BLUE, "o"), "ped1": ("Ped1", GREEN, "^"),
        "upcam": ("upCam", VERMILION, "s"),
    }  # fmt: skip
    found, ped1 = runs("memories"), runs("beyond_ped2")
    for kind, name in {"mnad": "ped1", "none": "ped1_no_memory"}.items():
        for seed, run in enumerate(seeds(ped1, name)):
            found[f"ped1_{kind}_seed{seed}"] = run
    figure = Figure(figsize=(WIDTH, 4.2))
    figure.suptitle("Prediction with five memories: values in %, a mark per seed")
    grid = figure.subplots(2, 3, sharey=True)
    for axes, (key, title) in zip(grid.flat, panels.items(), strict=True):
        for camera, (_, colour, marker) in cameras.items():
            for place, kind in enumerate(rows):
                tests = [run for run in seeds(found, f"{camera}_{kind}") if key in run]
                values = [100 * test[key] for test in tests]
                axes.plot(values, [place] * len(values), marker, ms=4, mfc="none", color=colour)
        label_rows(axes, list(rows.values()))
        axes.set_title(title)
    marks = [
        Line2D([], [], ls="", marker=marker, mfc="none", color=colour, label=label)
        for label, colour, marker in cameras.values()
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure
