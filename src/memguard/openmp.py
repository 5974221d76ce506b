"""OpenMP's threads: how long one that waits for the others spins before it sleeps."""

import os

# So many turns last about as long as the others take on a quiet machine; libgomp's own 300 000 keep
# cores from whoever has work.
TURNS = "20000"
# Any of these says how threads wait.
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def spin_briefly() -> None:
    """Have waiting threads sleep soon, so that other work does not hold up the whole computation.

    OpenMP reads its settings when PyTorch is imported, so this comes before. Nothing changes where
    the user has set one of :data:`VARIABLES`, or where OpenMP is not GNU's.

    Source: the manual of libgomp, ``GOMP_SPINCOUNT``. Its effect:
    ``experiments/benchmarks/waiting_threads.py``.
    """
    if not any(name in os.environ for name in VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = TURNS
