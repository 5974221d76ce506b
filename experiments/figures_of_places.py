"""Draw the figure that compares patches of one size with patches of several."""

from matplotlib.figure import Figure
from recorded import runs
from style import BLUE, GREEN, VERMILION, WIDTH, label_rows

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
