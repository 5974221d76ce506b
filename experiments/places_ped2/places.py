"""What an item stands for: ``python experiments/places_ped2/places.py NAME=CHECKPOINT…``.

Takes an eighth of the normal windows that a checkpoint was trained on, and asks which item is
nearest to each place of the query map. Written are, under NAME into ``results.json`` beside this
file, how many items are in use, how much of the choice of an item the place alone decides, how near
a query is to its item, and a map of each place's usual item, which ``figures/places.png`` shows for
every NAME that has one.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from memguard.builders import build_benchmark, build_datamodule
from memguard.config import register_resolvers
from memguard.report.figures import PAGE_WIDTH, STYLE
from memguard.trained import restore

HERE = Path(__file__).parent
COLUMNS = 6
EVERY = 8  # batches, of windows in shuffled order, most of which are all but the same


@torch.no_grad()
def nearest_by_place(checkpoint: Path) -> tuple[Tensor, float]:
    """Look up the nearest item of every query.

    Returns:
        How often each item is the nearest at each place, (H, W, M), and the median cosine of a
        query with its nearest item.
    """
    detector, config = restore(checkpoint)
    detector.eval()
    datamodule = build_datamodule(config, build_benchmark(config))
    datamodule.prepare_data()
    datamodule.setup()
    counts = torch.zeros(())
    cosines = []
    for index, batch in enumerate(track(datamodule.train_dataloader(), str(checkpoint))):
        if index % EVERY == 0:
            features, _ = detector.autoencoder.encoder(detector.split(batch.frames)[0])
            cosine, nearest = detector.memory(features).similarity.max(dim=-1)
            chosen = F.one_hot(nearest, len(detector.memory.items)).sum(dim=0)
            counts = counts + chosen.unflatten(0, features.shape[-2:])
            cosines.append(cosine.flatten())
    return counts, float(torch.cat(cosines).median())


def entropy(counts: Tensor) -> Tensor:
    """Entropy in bits of what was counted along the last dimension."""
    share = counts / counts.sum(dim=-1, keepdim=True)
    return torch.special.entr(share).sum(dim=-1) / torch.tensor(2.0).log()


def findings(counts: Tensor) -> dict[str, float | list[str]]:
    """What the counts (H, W, M) say.

    ``decided_by_place`` is the mutual information of item and place as a share of the item's
    entropy: 1 where each place has an item of its own, whatever is to be seen there, and 0 where
    the place says nothing. ``usual_items`` is the map of each place's usual item, a string per row
    and a character per place: 0 is the most frequent of them, 1 the next, and after 9 comes A.
    """
    total = counts.sum(dim=(0, 1))
    overall, within = entropy(total), entropy(counts).mean()
    ranks = total.argsort(descending=True).argsort()[counts.argmax(dim=-1)]
    return {
        "items_used": int((total > 0).sum()),
        "perplexity": float(2**overall),
        "largest_share": float(total.max() / total.sum()),
        "at_their_places_usual_item": float(counts.amax(dim=-1).sum() / counts.sum()),
        "decided_by_place": float(1 - within / overall) if overall > 0 else 0.0,
        "usual_items": ["".join(np.base_repr(rank, 36) for rank in row) for row in ranks.tolist()],
    }


def draw(maps: dict[str, list[str]]) -> Figure:
    """Draw each map of usual items, the most frequent item in the same colour everywhere."""
    pairs = mpl.color_sequences["tab20"]
    colours = ListedColormap([*pairs[::2], *pairs[1::2]])
    rows = -(-len(maps) // COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, rows * (0.25 + PAGE_WIDTH / COLUMNS)))
        panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, (name, usual_items) in zip(panels, maps.items(), strict=False):
            ranks = [[int(rank, 36) for rank in row] for row in usual_items]
            axes.imshow(ranks, cmap=colours, vmin=0, vmax=colours.N - 1)
            axes.set_title(name.replace("_", " "), fontsize=6)
    return figure


def main() -> None:
    """Count what the checkpoints say, write and draw."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_resolvers()
    checkpoints = dict(argument.split("=", 1) for argument in sys.argv[1:])
    results = HERE / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for name, path in checkpoints.items():
        counts, cosine = nearest_by_place(Path(path))
        known[name] = findings(counts) | {"median_cosine": cosine}
        results.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    maps = {name: found["usual_items"] for name, found in known.items() if "usual_items" in found}
    draw(maps).savefig(HERE / "figures" / "places.png")


if __name__ == "__main__":
    main()
