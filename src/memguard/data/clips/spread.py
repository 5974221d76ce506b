"""Divide a number of things evenly, and spread a sample evenly over them."""

from itertools import pairwise

import numpy as np


def equal_parts(count: int, parts: int) -> list[int]:
    """Divide a number into parts that differ by one at most.

    Example:
        >>> equal_parts(11, 4)
        [2, 3, 3, 3]
    """
    return [end - begin for begin, end in pairwise(count * p // parts for p in range(parts + 1))]


def spread(count: int, total: int, runs: int, rng: np.random.Generator) -> list[range]:
    """Sample numbers below ``total`` in runs, each at random within one of as many equal parts.

    The numbers form a circle, and the parts begin anywhere on it. Each number is therefore as
    likely as any other, and of any stretch of them the sample has its share, give or take a run at
    both ends.

    Args:
        count: The size of the sample, at most ``total``.
        total: The numbers are from 0 to below it.
        runs: The number of runs, at most ``count``; with one for each, no two need be successive.
        rng: The source of randomness.

    Returns:
        Disjoint ranges in order. The run at the end of the numbers continues at their begin.

    Example:
        >>> spread(6, 60, 3, np.random.default_rng(0))
        [range(3, 5), range(20, 22), range(36, 38)]
    """
    place = int(rng.integers(total))
    sample = []
    for taken, left in zip(equal_parts(count, runs), equal_parts(total - count, runs), strict=True):
        start = (place + int(rng.integers(left + 1))) % total
        stop = start + taken
        sample += [range(start, min(stop, total)), range(stop - total)]
        place += taken + left
    return sorted(filter(None, sample), key=lambda run: run.start)
