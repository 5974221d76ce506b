"""What an item stands for: ``python experiments/places_ped2/places.py NAME=CHECKPOINT…``.

Takes an eighth of the normal windows that a checkpoint was trained on, and asks which item is
nearest to each place of the query map. Written are, under NAME into ``results.json`` beside this
file, how many items are in use, how much of the choice of an item the place alone decides, and how
near a query is to its item; and ``figures/places.png`` shows the usual item of each place, a panel
for each NAME of this call.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from memguard.config import register_resolvers
from memguard.experiment import build_benchmark, build_datamodule, restore
from memguard.report.figures import PAGE_WIDTH, STYLE

HERE = Path(__file__).parent
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


def findings(counts: Tensor) -> dict[str, float]:
    """What the counts (H, W, M) say.

    ``decided_by_place`` is the mutual information of item and place as a share of the item's
    entropy: 1 where each place has an item of its own, whatever is to be seen there, and 0 where
    the place says nothing.
    """
    overall, within = entropy(counts.sum(dim=(0, 1))), entropy(counts).mean()
    return {
        "items_used": int((counts.sum(dim=(0, 1)) > 0).sum()),
        "perplexity": float(2**overall),
        "largest_share": float(counts.sum(dim=(0, 1)).max() / counts.sum()),
        "at_their_places_usual_item": float(counts.amax(dim=-1).sum() / counts.sum()),
        "decided_by_place": float(1 - within / overall) if overall > 0 else 0.0,
    }


def draw(maps: dict[str, Tensor]) -> Figure:
    """Draw each map of usual items, the most frequent item in the same colour everywhere."""
    with mpl.rc_context(STYLE):
        columns = max(len(maps), 4)
        figure = Figure(figsize=(PAGE_WIDTH, 0.25 + PAGE_WIDTH / columns))
        panels = figure.subplots(1, columns)
        for axes in panels:
            axes.set_axis_off()
        for axes, (name, counts) in zip(panels, maps.items(), strict=False):
            by_share = counts.sum(dim=(0, 1)).argsort(descending=True).argsort()
            axes.imshow(by_share[counts.argmax(dim=-1)], cmap="tab10", vmin=0, vmax=9)
            axes.set_title(name.replace("_", " "))
    return figure


def main() -> None:
    """Count what the checkpoints say, write and draw."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_resolvers()
    checkpoints = dict(argument.split("=", 1) for argument in sys.argv[1:])
    found = {name: nearest_by_place(Path(path)) for name, path in checkpoints.items()}
    results = HERE / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known |= {
        name: findings(counts) | {"median_cosine": cosine}
        for name, (counts, cosine) in found.items()
    }
    results.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw({name: counts for name, (counts, _) in found.items()}).savefig(
        HERE / "figures" / "places.png"
    )


if __name__ == "__main__":
    main()
