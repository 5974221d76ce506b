"""Tables: named columns and rows, for files, loggers, the report and Python."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from memguard.files import written_whole

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | None
"""None is an empty cell."""


class Table:
    """Hold rows under named columns; iteration gives each row as a dictionary.

    Args:
        columns: The names of the columns.
        rows: A cell for each column.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.

    Example:
        >>> table = Table(["frame", "score"], [(4, 0.5), (5, 2.0)])
        >>> len(table), table["score"]
        (2, [0.5, 2.0])
        >>> [row["frame"] for row in table if row["score"] > 1]
        [5]
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        self.columns = tuple(columns)
        self.rows = [tuple(row) for row in rows]
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"A row has {len(row)} cells for {len(self.columns)} columns.")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        """Iterate over the rows, each as a dictionary by column."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __getitem__(self, column: str) -> list[Cell]:
        """Return the cells of a column."""
        if column not in self.columns:
            raise KeyError(f"There is no column {column}; there are {', '.join(self.columns)}.")
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def __repr__(self) -> str:
        """Name the columns."""
        return f"Table({len(self)} rows: {', '.join(self.columns)})"

    def to_pandas(self) -> "pd.DataFrame":
        """Convert to a pandas DataFrame.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise ModuleNotFoundError(
                "Table.to_pandas needs the package pandas, which is not installed: install it with "
                "pip install pandas.",
                name="pandas",
            )
        import pandas as pd  # optional: nothing else needs it

        return pd.DataFrame(self.rows, columns=self.columns)

    def write_csv(self, path: Path) -> None:
        """Write a CSV file with a header, whole or not at all."""
        with (
            written_whole(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([self.columns, *self.rows])
