"""The table of a preparation: videos, frames and labels of each split."""

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table

from memguard.data.datasets.preparation import Footage, Preparation, PreparedVideo


def preparation_table(title: str, preparation: Preparation) -> Table:
    """Tabulate the videos of each split: their number, problems, frames, size, rate and labels.

    Args:
        title: The title above the table.
        preparation: The inspected videos. One that cannot be read counts as a video without frames.
    """
    table = Table(
        title=title, title_justify="left", caption=_notes(preparation), caption_justify="left"
    )
    table.add_column("split")
    for column in ("videos", "problems", "frames", "size", "fps", "labelled", "anomalous"):
        table.add_column(column, justify="right")
    for split, videos in (("train", preparation.train), ("test", preparation.test)):
        table.add_row(split, *_cells(videos))
    return table


def _notes(preparation: Preparation) -> str | None:
    """List the files that are no videos, and the converted ones."""
    lines = [f"no video: {path}" for path in preparation.ignored_files]
    for video in preparation.train + preparation.test:
        if video.footage and video.footage.converted:
            lines.append(f"converted: {video.record.source} ({video.footage.converted})")
    return escape("\n".join(lines)) or None


def _cells(videos: Sequence[PreparedVideo]) -> list[str]:
    footage = [video.footage for video in videos if video.footage]
    labels = [video.labels for video in videos if video.labels is not None]
    return [
        str(len(videos)),
        str(sum(bool(video.problems) for video in videos)),
        str(sum(video.frames for video in footage)),
        _distinct(f"{video.width}×{video.height}" for video in footage),
        _distinct(_rate(video) for video in footage),
        str(sum(map(len, labels))),
        str(sum(int(label.sum()) for label in labels)),
    ]


def _rate(footage: Footage) -> str:
    return "–" if footage.fps is None else f"{footage.fps:.4g}"


def _distinct(values: Iterable[str]) -> str:
    """Join the distinct values."""
    return ", ".join(sorted(set(values))) or "–"
