"""The scores of a run: read as written, and never guessed from a damaged file."""

import gzip
import re
from pathlib import Path

import pytest
import torch

from memguard.errors import DataError
from memguard.report.scores import SCORE_COLUMNS, read_scores, write_regions, write_scores

FRAMES = {
    "video": torch.tensor([1, 1, 2, 2]),
    "frame": torch.tensor([4.0, 5.0, 4.0, 5.0]),
    "psnr": torch.tensor([30.5, 31.25, torch.inf, 29.0], dtype=torch.float64),
    "distance": torch.tensor([1.5e-9, 0.0, 2.0, 0.25], dtype=torch.float64),
    "regular": torch.tensor([0.1234567890123, 0.5, 0.25, 1.0], dtype=torch.float64),
    "written": torch.tensor([1.0, 0.0, 0.0, 1.0]),
    "score": torch.tensor([0.0, 1.0, 0.5, 2.0], dtype=torch.float64),
    "label": torch.tensor([0.0, 1.0, -1.0, -1.0]),
}
HEADER = ",".join(SCORE_COLUMNS)
ROW = "01,4,30.5,0.1,0.2,1,0.5,0"


def test_scores_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, FRAMES, ["left out", "a, b", "01"])
    table = read_scores(path)
    assert table.columns == SCORE_COLUMNS
    assert table["video"] == ["a, b", "a, b", "01", "01"]
    assert table["frame"] == [4, 5, 4, 5]
    assert table["written"] == [1, 0, 0, 1]
    assert table["label"] == [0, 1, None, None]
    for column in ("psnr", "distance", "regular", "score"):
        assert table[column] == pytest.approx(FRAMES[column].tolist(), rel=1e-7)
    assert [type(cell) for cell in table.rows[0]] == [
        str, int, float, float, float, int, float, int,
    ]  # fmt: skip


def test_compressed_scores_are_the_same(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.csv", FRAMES, ["left out", "02", "01"])
    packed = tmp_path / "scores.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "scores.csv").read_bytes()))
    assert read_scores(str(packed)).rows == read_scores(tmp_path / "scores.csv").rows


def test_regions_are_written_with_names_and_pixels(tmp_path: Path) -> None:
    rows = [[1.0, 4, 20, 10, 36, 31, 0.125], [2, 7, 0, 0, 360, 240, 2**-30]]
    write_regions(tmp_path / "regions.csv", torch.tensor(rows), ["left out", "a, b", "01"])
    assert (tmp_path / "regions.csv").read_text().splitlines() == [
        "video,frame,left,top,right,bottom,score",
        '"a, b",4,20,10,36,31,0.125',
        "01,7,0,0,360,240,9.3132257e-10",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ": found the header '', expected 'video,frame,psnr,"),
        ("video,frame,seconds,score\n", ", line 1: found the header 'video,frame,seconds,score', "),
        (f"{HEADER}\n{ROW}\n01,5,30.5\n", ", line 3: found 3 cells, expected 8; write it again"),
        (f"{HEADER}\n{ROW},9\n", ", line 2: found 9 cells, expected 8; write it again"),
        (f"{HEADER}\n{ROW}\n\n", ", line 3: found 0 cells, expected 8; write it again"),
        (f"{HEADER}\n01,4.5,1,1,1,1,1,1\n", ", line 2: frame cannot be '4.5'; "),
        (f"{HEADER}\n01,4,x,1,1,1,1,1\n", ", line 2: psnr cannot be 'x'; "),
        (f"{HEADER}\n01,4,1,1,1,2,1,1\n", ", line 2: written cannot be '2'; "),
        (f"{HEADER}\n01,4,1,1,1,1,,1\n", ", line 2: score cannot be ''; "),
        (f"{HEADER}\n01,4,1,1,1,1,1,-1\n", ", line 2: label cannot be '-1'; "),
    ],
)
def test_a_damaged_table_is_named_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(f"{path}{sentence}")) as refusal:
        read_scores(path)
    assert "\n" not in str(refusal.value)
    assert "; " in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(f"{HEADER}\n{ROW}\n".encode())[:-9],
        gzip.compress(f"{HEADER}\n{ROW}\n".encode())[:-8] + bytes(8),
        b"\x1f\x8b\x08 is no archive",
        b"\xff\xfe",
    ],
    ids=["cut off", "checksum", "garbage", "text of another encoding"],
)
def test_a_file_of_other_content_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*not a CSV file in UTF-8"):
        read_scores(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.csv: there is no such file; name the"):
        read_scores(tmp_path / "scores.csv")
