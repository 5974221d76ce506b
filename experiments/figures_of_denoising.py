"""Draw the figure of the denoiser: its frames, and detection with it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from recorded import Metrics, runs, seeds
from style import BLUE, GREEN, PERCENT, VERMILION, WIDTH, label_rows

METHODS = {
    "none": ("noisy", BLUE, "o"),
    "nlm": ("non-local means", GREEN, "D"),
    "adnet": ("denoiser", VERMILION, "s"),
}
STRENGTHS = (15, 25, 50)
NOISES = {"clean": "none", "gauss10": "σ = 10", "gauss25": "σ = 25", "night": "night"}
SCORES = {"auroc": "published score", "auroc_psnr": "PSNR alone", "auroc_patch": "worst patch"}
ASIDE = 0.12  # of a method beside its row's middle


def denoiser() -> Figure:
    """Draw the PSNR of denoised frames, and the AUROC with and without the denoiser."""
    found = runs("denoiser")
    figure = Figure(figsize=(WIDTH, 2.6))
    figure.suptitle("Ped2, small network, noise added to its frames; a point per seed of the noise")
    frames, *tests = figure.subplots(1, 4, width_ratios=[1.3, 1, 1, 1])
    for name, (label, colour, marker) in METHODS.items():
        levels = [found[f"frames_{name}_{strength}"]["denoise/psnr"] for strength in STRENGTHS]
        frames.plot(STRENGTHS, levels, marker, ls="-", ms=4, color=colour, label=label)
    frames.set(xlabel="σ, grey levels", ylabel="PSNR, dB", xticks=STRENGTHS)
    for axes, (score, title) in zip(tests, SCORES.items(), strict=True):
        draw_test(axes, found, f"test/{score}")
        axes.set(title=title, xlabel=PERCENT)
    for axes in tests[1:]:
        axes.tick_params(labelleft=False)
    figure.legend(*frames.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_test(axes: Axes, found: dict[str, Metrics], key: str) -> None:
    """Draw one score's AUROC for each noise, with and without the denoiser."""
    label_rows(axes, list(NOISES.values()))
    for name, aside in (("none", -ASIDE), ("adnet", ASIDE)):
        _label, colour, marker = METHODS[name]
        for row, noise in enumerate(NOISES):
            values = [100 * run[key] for run in seeds(found, f"ped2_{noise}_{name}")]
            places = [row + aside] * len(values)
            axes.plot(values, places, marker, ms=4, mfc="none", color=colour)
