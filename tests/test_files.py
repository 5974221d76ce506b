"""Files are whole or not there, and an error names the file that was to be written."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from memguard.files import written_whole


def write(target: Path, content: Callable[[Path], object]) -> None:
    with written_whole(target) as unfinished:
        content(unfinished)


def tear(path: Path) -> None:
    """Write a part of a file, up to the end of the disk."""
    path.write_text("torn")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("earlier", ["of before", None])
def test_on_a_full_disk_the_earlier_file_stays_and_the_error_names_the_target(
    earlier: str | None, tmp_path: Path
) -> None:
    target = tmp_path / "scores.csv"
    if earlier:
        target.write_text(earlier)
    with pytest.raises(OSError, match=r"No space left.*scores\.csv") as full:
        write(target, tear)
    assert full.value.filename == str(target)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([earlier] if earlier else [])


def test_the_error_of_the_unfinished_file_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write(tmp_path / "a.png", lambda unfinished: None)
    assert (error.value.filename, error.value.filename2) == (str(tmp_path / "a.png"), None)


def test_the_error_of_another_file_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write(tmp_path / "a.png", lambda unfinished: (tmp_path / "source").read_bytes())
    assert error.value.filename == str(tmp_path / "source")
