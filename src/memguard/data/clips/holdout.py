"""The split of a normal video into frames to train on and frames to validate with."""

from memguard.data.clips.spread import equal_parts

# Frames of a stretch, at least: shorter ones would cut events and warm-ups short.
STRETCH = 100


def split(frames: int, share: float, length: int) -> tuple[list[range], list[range]]:
    """Split a video into frames to train on and frames to hold out.

    Held-out frames stand at the end of equal parts of the video, so that its hours are all among
    them; a short video has one part. Both sides of a part have a window, or nothing is held out.

    Args:
        frames: Of the video.
        share: The share of them to hold out, in [0, 1).
        length: Frames of a window.

    Returns:
        The stretches to train on, and those held out, in order.

    Example:
        >>> split(200, share=0.1, length=5)
        ([range(0, 180)], [range(180, 200)])
        >>> split(6000, share=0.05, length=5)[1]
        [range(1900, 2000), range(3900, 4000), range(5900, 6000)]
    """
    count = max(round(share * frames), length) if share else 0
    left = frames - count
    if count == 0 or left < length:
        return [range(frames)], []
    parts = max(min(count // max(STRETCH, 2 * length), left // length), 1)
    trained, held_out, end = [], [], 0
    for sizes in zip(equal_parts(left, parts), equal_parts(count, parts), strict=True):
        begin, cut, end = end, end + sizes[0], end + sum(sizes)
        trained.append(range(begin, cut))
        held_out.append(range(cut, end))
    return trained, held_out
