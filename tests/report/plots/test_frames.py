import numpy as np
import pytest

from memguard.report.plots.frames import ComparedFrame, frame_comparison


@pytest.mark.parametrize(
    ("predicted", "titles"),
    [
        (True, ["target: frame t", "prediction of frame t", "absolute error"]),
        (False, ["input and target: frame t", "reconstruction of frame t", "absolute error"]),
    ],
)
def test_each_column_is_named_by_its_content(predicted: bool, titles: list[str]) -> None:
    frame = ComparedFrame("v", np.zeros((1, 8, 8), np.uint8), np.full((1, 8, 8), 51, np.uint8))
    figure = frame_comparison([frame], predicted=predicted)
    assert [axes.get_title() for axes in figure.axes[:3]] == titles
    assert figure.axes[2].images[0].get_array().max() == pytest.approx(51 / 255)
    assert figure.axes[3].get_ylabel() == "absolute error (1: black against white)"
