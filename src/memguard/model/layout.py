"""Memory layout: the order of dimensions in memory, on which the speed of convolutions depends."""


def channels_last(precision: str | int, *, training: bool) -> bool:
    """Decide whether convolutions are fastest with the channels innermost.

    They are, except in a training in 32 bits, which a CPU slows down so:
    ``experiments/benchmarks/README.md``. Without a training it takes a third less time.

    Args:
        precision: The precision of the computation, as Lightning names it.
        training: Whether gradients are computed too.

    Example:
        >>> [channels_last(precision, training=True) for precision in ("bf16-mixed", "32-true")]
        [True, False]
    """
    return not training or "16" in str(precision)
