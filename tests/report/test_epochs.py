"""The table of epochs: each one, the last checkpoint, the best by labels, and their difference."""

import pytest

from memguard.report.epochs import BEST, DIFFERENCE, LAST, UPPER_BOUND, epochs_table, print_epochs

EPOCHS = {
    1: {"test/auroc": 0.5, "test/ap": 0.75, "test/frames": 32.0},
    2: {"test/auroc": 0.875, "test/ap": 0.25, "test/frames": 32.0},
    3: {"test/auroc": 0.75, "test/ap": 0.5, "test/frames": 32.0},
}


def test_the_best_epoch_stands_beside_the_last_with_all_of_its_metrics() -> None:
    table = epochs_table(EPOCHS, EPOCHS[3], "test/auroc")
    assert table.columns == ("checkpoint", "epoch", "test/auroc", "test/ap")
    assert table["checkpoint"] == ["", "", "", LAST, f"{BEST} ({UPPER_BOUND})", DIFFERENCE]
    assert table["epoch"] == [1, 2, 3, None, 2, None]
    assert table["test/auroc"] == [0.5, 0.875, 0.75, 0.75, 0.875, 0.125]
    assert table["test/ap"] == [0.75, 0.25, 0.5, 0.5, 0.25, -0.25]  # of the same epoch
    assert UPPER_BOUND == "upper bound, chosen by the test's labels"


def test_the_metric_decides_which_epoch_is_best_and_comes_first() -> None:
    table = epochs_table(EPOCHS, EPOCHS[3], "test/ap")
    assert table.columns[2:] == ("test/ap", "test/auroc")
    assert table["epoch"][-2] == 1


def test_a_metric_that_the_last_test_alone_has_is_left_out() -> None:
    table = epochs_table(EPOCHS, EPOCHS[3] | {"test/auroc_pixel": 0.9}, "test/auroc")
    assert table.columns[2:] == ("test/auroc", "test/ap")


def test_no_choice_is_below_the_last_checkpoint() -> None:
    table = epochs_table({1: EPOCHS[1]}, EPOCHS[3], "test/auroc")
    assert table["epoch"] == [1, None, None, None]
    assert table["test/auroc"] == [0.5, 0.75, 0.75, 0.0]


def test_the_table_is_shown_with_the_warning(capsys: pytest.CaptureFixture[str]) -> None:
    print_epochs("Every epoch", epochs_table(EPOCHS, EPOCHS[3], "test/auroc"))
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("Every epoch", "0.8750", f"{BEST}: {UPPER_BOUND}", "0.1250"):
        assert text in shown
