"""The split of a video into stretches to train on and stretches held out."""

from hypothesis import given
from hypothesis import strategies as st

from memguard.data.clips.holdout import STRETCH, split


@given(st.integers(1, 50_000), st.floats(0, 0.99), st.integers(1, 60))
def test_each_frame_is_trained_on_or_held_out_and_every_stretch_has_a_window(
    frames: int, share: float, length: int
) -> None:
    trained, held_out = split(frames, share, length)
    assert sorted(f for part in [*trained, *held_out] for f in part) == list(range(frames))
    assert min(map(len, held_out), default=length) >= length
    if held_out:
        assert min(map(len, trained)) >= length
        assert sum(map(len, held_out)) == max(round(share * frames), length)
    if len(held_out) > 1:
        assert min(map(len, held_out)) >= STRETCH


def test_a_long_video_is_held_out_from_all_over() -> None:
    _, held_out = split(18_000, share=0.05, length=5)  # an hour at 5 frames a second
    assert [part.stop for part in held_out] == list(range(2000, 18_001, 2000))
    assert {len(part) for part in held_out} == {100}


def test_a_short_video_is_held_out_at_its_end() -> None:
    assert split(1990, share=0.1, length=5) == ([range(1791)], [range(1791, 1990)])


def test_nothing_is_held_out_where_no_window_would_be_left() -> None:
    assert split(24, share=0.5, length=13) == ([range(24)], [])
