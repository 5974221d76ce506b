"""The scores of a run, a row per scored frame: the test writes them, and Python reads them."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from memguard.detection.frame_scorer import REGION_COLUMNS
from memguard.errors import DataError, access_reported
from memguard.files import written_whole
from memguard.report.table import Cell, Table

GZIP = b"\x1f\x8b"  # the first bytes of a compressed file
AGAIN = "write it again with memguard.evaluate"


def _yes(cell: str) -> int:
    return ("0", "1").index(cell)


def _label(cell: str) -> int | None:
    return _yes(cell) if cell else None


_VALUES: dict[str, Callable[[str], Cell]] = {
    "video": str,
    "frame": int,
    "psnr": float,
    "distance": float,
    "regular": float,
    "written": _yes,
    "score": float,
    "label": _label,
}
SCORE_COLUMNS = tuple(_VALUES)


def write_scores(path: Path, frames: dict[str, Tensor], names: Sequence[str]) -> None:
    """Write a CSV file with a row per scored frame; an unknown label is an empty cell.

    Args:
        path: The file.
        frames: Columns as a :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        names: The names of the videos, by their numbers.
    """
    columns = [frames[name].tolist() for name in SCORE_COLUMNS]
    with (
        written_whole(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(SCORE_COLUMNS)
        for video, frame, *numbers, written, score, label in zip(*columns, strict=True):
            known = int(label) if label >= 0 else ""
            row = [names[int(video)], int(frame), *(f"{x:.8g}" for x in numbers)]
            writer.writerow([*row, int(written), f"{score:.8g}", known])


def write_regions(path: Path, regions: Tensor, names: Sequence[str]) -> None:
    """Write a CSV file with a row per region of a frame.

    Args:
        path: The file.
        regions: (N, 7), see :attr:`memguard.detection.frame_scorer.FrameScorer.regions`.
        names: The names of the videos, by their numbers.
    """
    with (
        written_whole(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(REGION_COLUMNS)
        for video, *box, score in regions.tolist():
            writer.writerow([names[int(video)], *map(int, box), f"{score:.8g}"])


def read_scores(path: Path | str) -> Table:
    """Read the scores of a run.

    Args:
        path: The ``scores.csv`` of a run folder, plain or compressed by gzip.

    Returns:
        A row per scored frame, in the order of the file: ``video``, its name; ``frame``, from 0;
        ``psnr``, dB; ``distance``; ``regular``; ``written``, 1 if the frame updated the memory;
        ``score``; and ``label``, 1 for anomalous, 0 for normal, None for unknown.

    Raises:
        DataError: The file cannot be read, has another header, or has a row with another number of
            cells or with a cell that is no such value.

    Example:
        >>> import memguard
        >>> table = memguard.read_scores("runs/door/scores.csv")
        >>> table.columns
        ('video', 'frame', 'psnr', 'distance', 'regular', 'written', 'score', 'label')
        >>> table["frame"][:3]
        [4, 5, 6]
        >>> [row["frame"] for row in table if row["label"] == 1]
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    """
    path = Path(path)
    (where, header), *lines = _lines(path) or [(f"{path}", [])]
    if tuple(header) != SCORE_COLUMNS:
        raise DataError(
            f"{where}: found the header {','.join(header)!r}, expected {','.join(SCORE_COLUMNS)!r};"
            " name the scores.csv of a training or of an evaluation"
        )
    return Table(SCORE_COLUMNS, [_row(where, cells) for where, cells in lines])


def _lines(path: Path) -> list[tuple[str, list[str]]]:
    """Read the place and the cells of each line."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; name the scores.csv of a run folder")
    with access_reported(path):
        content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if content.startswith(GZIP) else content).decode()
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(f"{path}, line {reader.line_num}", cells) for cells in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is not a CSV file in UTF-8 ({error}); {AGAIN}") from error


def _row(where: str, cells: Sequence[str]) -> list[Cell]:
    if len(cells) != len(SCORE_COLUMNS):
        expected = len(SCORE_COLUMNS)
        raise DataError(f"{where}: found {len(cells)} cells, expected {expected}; {AGAIN}")
    row: list[Cell] = []
    for (column, convert), cell in zip(_VALUES.items(), cells, strict=True):
        try:
            row.append(convert(cell))
        except ValueError:
            raise DataError(f"{where}: {column} cannot be {cell!r}; {AGAIN}") from None
    return row
