"""Looking ahead: nothing is left out, nothing comes out of order, and no write is overtaken."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from memguard.detection.lookahead import Lookahead, most_at_once


@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20), min_size=1, max_size=3
    ),
    most=st.integers(1, 9),
)
def test_each_frame_is_kept_once_in_order_and_painted_after_every_write_before_it(
    batches: list[list[tuple[int, bool]]], most: int
) -> None:
    ahead = Lookahead(most)
    for frames in batches:
        memories = [memory for memory, _ in frames]
        writes_before = [
            sum(wrote for other, wrote in frames[:place] if other == memory)
            for place, memory in enumerate(memories)
        ]
        writes = dict.fromkeys(memories, 0)
        order = []
        ahead.begin(memories)
        while places := ahead.next():
            assert len(places) <= max(most, len(set(memories)))
            painted_after = [writes[memories[place]] for place in places]
            for position in ahead.keep([frames[place][1] for place in places]):
                place = places[position]
                assert painted_after[position] == writes_before[place]
                writes[memories[place]] += frames[place][1]
                order.append(place)
        assert sorted(order) == list(range(len(frames)))
        for memory in set(memories):
            of_memory = [place for place in order if memories[place] == memory]
            assert of_memory == sorted(of_memory)


def test_where_nothing_is_written_a_batch_is_soon_painted_at_once() -> None:
    ahead = Lookahead(16)
    rounds = []
    for _batch in range(4):
        ahead.begin([0] * 16)
        painted = 0
        while places := ahead.next():
            ahead.keep([False] * len(places))
            painted += 1
        rounds.append(painted)
    assert rounds == [5, 1, 1, 1]


def test_where_every_frame_is_written_none_is_painted_in_vain() -> None:
    ahead = Lookahead(16)
    ahead.begin([0] * 16)
    painted = 0
    while places := ahead.next():
        ahead.keep([True] * len(places))
        painted += len(places)
    assert painted == 16


def test_each_memory_has_a_guess_of_its_own() -> None:
    ahead = Lookahead(16)
    painted = []
    for frames in (8, 16):  # the last round of the first batch has but one frame left
        ahead.begin([3] * frames)
        while places := ahead.next():
            ahead.keep([False] * len(places))
            painted.append(len(places))
    assert painted == [1, 2, 4, 1, 8, 8]


def test_a_gpu_looks_ahead_and_a_cpu_does_not() -> None:
    assert most_at_once(torch.device("cuda")) == 16
    assert most_at_once(torch.device("cpu")) == 1
