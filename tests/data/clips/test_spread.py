"""Samples that are spread evenly: each number once at most, each as likely, nowhere too many."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memguard.data.clips.spread import equal_parts, spread


@st.composite
def samples(draw: st.DrawFn) -> tuple[int, int, int, np.random.Generator]:
    """Draw what a sample is made from: its size, of how many, its runs, and the randomness."""
    total = draw(st.integers(1, 3000))
    count = draw(st.integers(1, total))
    runs = draw(st.integers(1, count))
    return count, total, runs, np.random.default_rng(draw(st.integers(0, 1000)))


@given(samples())
def test_no_number_comes_twice_and_the_ranges_are_in_order(
    sample: tuple[int, int, int, np.random.Generator],
) -> None:
    count, total, runs, _ = sample
    ranges = spread(*sample)
    numbers = list(chain.from_iterable(ranges))
    assert numbers == sorted(set(numbers))
    assert len(numbers) == count
    assert (numbers[0] >= 0, numbers[-1] < total) == (True, True)
    assert runs <= len(ranges) <= runs + 1
    assert max(map(len, ranges)) <= -(-count // runs)


@given(samples(), st.tuples(st.integers(0, 3000), st.integers(0, 3000)))
def test_each_stretch_has_its_share_give_or_take_a_run_at_both_ends(
    sample: tuple[int, int, int, np.random.Generator], stretch: tuple[int, int]
) -> None:
    count, total, runs, _ = sample
    begin, end = sorted(place % (total + 1) for place in stretch)
    taken = sum(begin <= number < end for number in chain.from_iterable(spread(*sample)))
    # Both divisions into parts are off by less than one.
    assert abs(taken - count * (end - begin) / total) <= 2 * -(-count // runs) + 4


@pytest.mark.parametrize(("count", "runs"), [(3, 2), (3, 1), (9, 4)])
def test_each_number_is_as_likely_as_any_other(count: int, runs: int) -> None:
    drawn: Counter[int] = Counter()
    for seed in range(2000):
        drawn.update(chain.from_iterable(spread(count, 10, runs, np.random.default_rng(seed))))
    shares = np.array([drawn[number] for number in range(10)]) / 2000
    assert shares == pytest.approx(np.full(10, count / 10), abs=0.04)  # four standard deviations


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_parts_are_equal_but_for_one(count: int, parts: int) -> None:
    sizes = equal_parts(count, parts)
    assert (len(sizes), sum(sizes)) == (parts, count)
    assert max(sizes) - min(sizes) <= 1
