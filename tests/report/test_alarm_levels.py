"""The sentences and the table of an alarm's levels."""

import torch
from rich.console import Console

from memguard.detection.alarm import Alarm
from memguard.report.alarm_levels import alarm_levels, interval, supported_rates


def of_peaks(count: int) -> Alarm:
    """An hour at a frame a second for each 36 peaks."""
    heights = torch.empty(count, 1).exponential_(generator=torch.Generator().manual_seed(0))
    alarm = Alarm()
    alarm.calibrate([torch.cat([heights, torch.zeros(count, 99)], dim=1).flatten()])
    return alarm


def test_an_hour_supports_three_alarms_an_hour() -> None:
    assert supported_rates(of_peaks(36), fps=1) == (
        "1 hours of normal video (3600 frames, 36 peaks) support 3 false alarms an hour or more."
    )
    console = Console(width=100, record=True)
    console.print(alarm_levels("Alarm levels", of_peaks(36), fps=1))
    rows = [line.split("│") for line in console.export_text().splitlines() if "│" in line]
    supported = {cells[1].strip(): cells[4].strip() for cells in rows}
    assert supported == {"0.5": "no", "1": "no", "4": "yes", "12": "yes"}
    _, _, level, between, *_ = rows[0]
    low, high = map(float, between.split("to"))
    assert low < float(level) < high


def test_a_rate_that_is_named_as_supported_is_supported() -> None:
    counts = [20, 21, 25, 47, 1300]
    named = [supported_rates(of_peaks(count), fps=1).split("support ")[1] for count in counts]
    rates = [float(words.split()[0]) for words in named]
    assert rates == [5.4, 5.2, 4.4, 2.3, 0.084]
    for count, rate in zip(counts, rates, strict=True):
        assert rate >= of_peaks(count).rarest_rate(fps=1)
    assert supported_rates(of_peaks(25), fps=60).endswith(" 260 false alarms an hour or more.")


def test_few_peaks_support_no_rate() -> None:
    assert supported_rates(of_peaks(12), fps=1) == (
        "0.33 hours of normal video (1200 frames, 12 peaks) support no rate."
    )


def test_a_checkpoint_of_a_version_without_intervals_has_a_dash() -> None:
    alarm = Alarm()
    earlier = {"normal_scores": torch.linspace(0, 1, 101), "tail": torch.tensor([3.0, 500, 0.6])}
    alarm.load_state_dict(earlier)
    assert interval(alarm, 1, fps=25) == "–"
