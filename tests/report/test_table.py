"""The table that a test, a stream and a report share."""

from pathlib import Path

import pytest

from memguard.report.table import Table


def table() -> Table:
    return Table(["video", "auroc"], [("a, b", None), ("c", 0.5)])


def test_rows_and_columns_are_named() -> None:
    assert [row["video"] for row in table()] == table()["video"] == ["a, b", "c"]
    assert len(table()) == 2
    with pytest.raises(KeyError, match="no column score; there are video, auroc"):
        table()["score"]


def test_a_row_of_another_length_is_rejected() -> None:
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        Table(["video", "auroc"], [("a", 0.5, 1)])


def test_an_empty_cell_is_empty_in_the_file(tmp_path: Path) -> None:
    table().write_csv(tmp_path / "tables" / "videos.csv")
    text = (tmp_path / "tables" / "videos.csv").read_text()
    assert text == 'video,auroc\n"a, b",\nc,0.5\n'


def test_a_missing_pandas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memguard.report.table.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="needs the package pandas"):
        table().to_pandas()


def test_pandas_gets_every_column() -> None:
    pytest.importorskip("pandas")
    frame = table().to_pandas()
    assert list(frame.columns) == ["video", "auroc"]
    assert frame["auroc"].isna().tolist() == [True, False]
