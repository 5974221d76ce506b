"""A CSV file that grows row by row, without a torn row even on a full disk."""

import csv
import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from memguard.errors import DataError

# The files at the end of a stream, events and timeline, are smaller.
RESERVED_BYTES = 2**20


def not_written(
    path: Path, error: OSError, again: str = "score again into a new folder"
) -> DataError:
    """Make the error of a file that cannot be written, with its remedy.

    Args:
        path: The file.
        error: The error of the system.
        again: The end of the remedy.
    """
    reason = error.strerror or str(error)
    return DataError(
        f"{path}: this file cannot be written ({reason}); make room on its disk or correct its "
        f"folder's permissions, and {again}"
    )


class Rows:
    """Write a table's rows, each at once and whole.

    It reserves space for the files at the end until :meth:`release`.

    Args:
        path: The file, which must not exist yet.
        columns: The names of the columns.

    Raises:
        DataError: The file exists, or cannot be written.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self._path, self._size = path, 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reserve = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
            self._reserve.write(bytes(RESERVED_BYTES))
            self._reserve.flush()
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise DataError(
                f"{path} is there already, from an earlier or another command: name a new folder, "
                "or remove it"
            ) from None
        except OSError as error:
            raise not_written(path, error) from error
        self.add(columns)

    def add(self, values: Iterable[object]) -> None:
        """Write a row.

        Raises:
            DataError: The disk is full, or the file is gone. All rows before are whole.
        """
        text = io.StringIO()
        csv.writer(text).writerow(values)
        row = text.getvalue().encode()
        try:
            if not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                raise FileNotFoundError
            written = self._file.write(row)
            if written != len(row):  # the disk became full within the row
                written += self._file.write(row[written:])
        except FileNotFoundError as error:
            raise DataError(
                f"{self._path}: this file was moved or removed while it was written; score again, "
                "and leave the folder as it is meanwhile"
            ) from error
        except OSError as error:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise not_written(self._path, error) from error
        self._size += len(row)

    @property
    def exists(self) -> bool:
        """Whether the file still exists at its path."""
        return self._path.exists()

    def release(self) -> None:
        """Free the reserved space, and close the file."""
        for file in (self._reserve, self._file):
            file.close()
