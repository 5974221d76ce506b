"""Looking ahead: each frame is accepted once, in order, and after the updates before it."""

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
def test_each_frame_is_accepted_once_in_order_and_decoded_after_every_earlier_update(
    batches: list[list[tuple[int, bool]]], most: int
) -> None:
    ahead = Lookahead(most)
    for frames in batches:
        memories = [memory for memory, _ in frames]
        updates_before = [
            sum(updated for other, updated in frames[:place] if other == memory)
            for place, memory in enumerate(memories)
        ]
        updates = dict.fromkeys(memories, 0)
        order = []
        ahead.begin(memories)
        while places := ahead.choose():
            assert len(places) <= max(most, len(set(memories)))
            decoded_after = [updates[memories[place]] for place in places]
            for position in ahead.accept([frames[place][1] for place in places]):
                place = places[position]
                assert decoded_after[position] == updates_before[place]
                updates[memories[place]] += frames[place][1]
                order.append(place)
        assert sorted(order) == list(range(len(frames)))
        for memory in set(memories):
            of_memory = [place for place in order if memories[place] == memory]
            assert of_memory == sorted(of_memory)


def test_without_updates_a_whole_batch_is_soon_decoded_at_once() -> None:
    ahead = Lookahead(16)
    rounds = []
    for _batch in range(4):
        ahead.begin([0] * 16)
        decoded = 0
        while places := ahead.choose():
            ahead.accept([False] * len(places))
            decoded += 1
        rounds.append(decoded)
    assert rounds == [5, 1, 1, 1]


def test_no_frame_is_decoded_twice_if_every_frame_updates_the_memory() -> None:
    ahead = Lookahead(16)
    ahead.begin([0] * 16)
    decoded = 0
    while places := ahead.choose():
        ahead.accept([True] * len(places))
        decoded += len(places)
    assert decoded == 16


def test_each_memory_has_a_guess_of_its_own() -> None:
    ahead = Lookahead(16)
    decoded = []
    for frames in (8, 16):  # the last round of the first batch has one frame
        ahead.begin([3] * frames)
        while places := ahead.choose():
            ahead.accept([False] * len(places))
            decoded.append(len(places))
    assert decoded == [1, 2, 4, 1, 8, 8]


def test_a_gpu_looks_ahead_and_a_cpu_does_not() -> None:
    assert most_at_once(torch.device("cuda")) == 16
    assert most_at_once(torch.device("cpu")) == 1
