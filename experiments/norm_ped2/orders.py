"""How far off running statistics are: ``python experiments/norm_ped2/orders.py RUN …``.

For each RUN, the folder of a training on Ped2, the statistics of batch norm are measured over all
training windows. Then the last batches of an epoch go by, as often as SEEDS says in each of two
orders, the stream's and that of any window anywhere, and it is printed how far the statistics that
keep running are from what was measured: in the layer that is off the most, means in standard
deviations and variances as a factor, the mean over the seeds and the worst.
"""

import sys
from pathlib import Path
from statistics import mean

from norms import gather, offsets, take_up
from rich.console import Console
from rich.table import Table

from memguard.config import register_resolvers
from memguard.data.windows import STRETCH_WINDOWS

SEEDS = 10
MOMENTUM = 0.1
LAST = 45  # batches, before which there is a hundredth
ORDERS = {"stream": STRETCH_WINDOWS, "any window anywhere": 1}


def off(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Find how far off means and variances are in the worst layer, by order, for each seed."""
    detector, datamodule, config = take_up(run / "checkpoints" / "last.ckpt")
    precision = str(config.trainer.precision)
    everything = [batch.frames for batch in datamodule.train_dataloader()]
    true = gather(detector, everything, precision, momentum=None)
    apart: dict[str, list[tuple[float, float]]] = {order: [] for order in ORDERS}
    for order, stretch in ORDERS.items():
        datamodule.stretch = stretch
        for datamodule.seed in range(SEEDS):
            last = [batch.frames for batch in datamodule.train_dataloader()][-LAST:]
            found = offsets(gather(detector, last, precision, MOMENTUM), true)
            means, factors = zip(*found.values(), strict=True)
            apart[order].append((max(means), max(factors)))
    return apart


def main() -> None:
    """Print the table."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_resolvers()
    table = Table(title=f"Running statistics at the end of an epoch, {SEEDS} orders of each kind")
    for column in ("training", "order", "means off by", "worst", "variances off by", "worst"):
        table.add_column(column)
    for run in map(Path, sys.argv[1:]):
        for order, apart in off(run).items():
            means, factors = zip(*apart, strict=True)
            cells = [f"{mean(means):.3f}", f"{max(means):.3f}"]
            cells += [f"{mean(factors):.2f}", f"{max(factors):.2f}"]
            table.add_row(run.name, order, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
