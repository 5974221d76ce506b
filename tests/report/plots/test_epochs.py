"""The figure of every epoch."""

import numpy as np

from memguard.report.epochs import epochs_table
from memguard.report.plots.epochs import metric_over_epochs

EPOCHS = {number: {"test/auroc": area} for number, area in ((1, 0.5), (2, 0.875), (4, 0.75))}


def test_the_last_checkpoint_and_the_best_epoch_are_marked() -> None:
    table = epochs_table(EPOCHS, {"test/auroc": 0.625}, "test/auroc")
    figure = metric_over_epochs(table)
    (axes,) = figure.axes
    epochs, _level, last, best = axes.lines
    assert epochs.get_xydata().tolist() == [[1, 0.5], [2, 0.875], [4, 0.75]]
    assert last.get_xydata().tolist() == [[4, 0.625]]
    assert best.get_xydata().tolist() == [[2, 0.875]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "test/auroc")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "each epoch",
        "last: 0.6250",
        "best by labels, epoch 2: 0.8750 (upper bound, chosen by the test's labels)",
    ]


def test_a_last_checkpoint_that_is_best_is_marked_twice() -> None:
    table = epochs_table(EPOCHS, {"test/auroc": 0.9375}, "test/auroc")
    figure = metric_over_epochs(table)
    for line in figure.axes[0].lines[2:]:
        assert np.array_equal(line.get_xydata(), [[4, 0.9375]])
    assert figure.legends[0].get_texts()[2].get_text().startswith("best by labels, last: 0.9375")
