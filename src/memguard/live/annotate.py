"""The annotated video: the prediction error over each picture, and the score below it."""

from collections import deque
from fractions import Fraction
from pathlib import Path

import av
import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from memguard.detection.events import Box, ScoredPicture
from memguard.live.fragmented import FragmentedVideo
from memguard.report.plots.stream import clock
from memguard.report.plots.style import BLUE, VERMILION

SMALLEST_WIDTH = 480  # of the picture; smaller ones are enlarged to fit the text
STRIP = 96  # height of the score's chart
MARGIN = 8
SHOWN_FRAMES = 250  # in the chart
YELLOW, GROUND, PALE = "#F0E442", "#FFFFFF", "#595959"
# A pixel's error varies more than its patch's: it has the full colour at this many times the patch
# error of the alarm level.
FULL_HEAT = 4
COVER = 0.55


class AnnotatedVideo:
    """Write an MP4 (H.264, yuv420p) picture by picture.

    Args:
        path: The file.
        fps: Frames per second.
        level: The score above which there is an alarm.
        error: The patch error at that level.
    """

    def __init__(self, path: Path, fps: float, level: float, error: float) -> None:
        self._level, self._full = level, FULL_HEAT * error
        self._scores: deque[float] = deque(maxlen=SHOWN_FRAMES)
        self._video = FragmentedVideo(path, Fraction(fps).limit_denominator(1001))
        self._font = ImageFont.load_default(size=14)

    def add(self, scored: ScoredPicture) -> None:
        """Draw and write the next picture."""
        self._scores.append(scored.score)
        image = np.asarray(self._drawn(scored))
        self._video.add(av.VideoFrame.from_ndarray(image, format="rgb24"))

    def close(self) -> None:
        """Write the rest of the encoder's frames."""
        self._video.close()

    def _drawn(self, scored: ScoredPicture) -> Image.Image:
        """Draw the picture with its errors, the box of an alarm, and the chart below."""
        height, width = scored.rgb.shape[1:]
        scale = max(-(-SMALLEST_WIDTH // width), 1)
        size = (width * scale, height * scale)
        picture = Image.fromarray(np.ascontiguousarray(scored.rgb.transpose(1, 2, 0))).resize(size)
        picture = _heated(picture, scored.error / self._full)
        alarm = scored.score > self._level
        if alarm:
            left, top, right, bottom = (side * scale for side in scored.box)
            draw_box(picture, (left, top, right, bottom))
        even = (size[0] + size[0] % 2, size[1] + STRIP + size[1] % 2)  # yuv420p needs even sides
        whole = Image.new("RGB", even, GROUND)
        whole.paste(picture)
        self._draw_chart(whole, scored, alarm)
        return whole

    def _draw_chart(self, whole: Image.Image, scored: ScoredPicture, alarm: bool) -> None:
        draw = ImageDraw.Draw(whole)
        bottom, top = whole.height - MARGIN, whole.height - STRIP + 26
        highest = max(1.5 * self._level, *self._scores)

        def place(score: float) -> float:
            return bottom - max(score, 0) / highest * (bottom - top)

        step = (whole.width - 2 * MARGIN) / (SHOWN_FRAMES - 1)
        right = whole.width - MARGIN
        line = [
            (right - lag * step, place(score)) for lag, score in enumerate(reversed(self._scores))
        ]
        for x in range(MARGIN, right, 10):
            draw.line([(x, place(self._level)), (x + 5, place(self._level))], fill="black")
        draw.line(line, fill=BLUE, width=2, joint="curve")
        text = f"{clock(scored.moment.seconds)}   score {scored.score:.1f}"
        draw.text((MARGIN, whole.height - STRIP + 4), text, fill="black", font=self._font)
        text = f"ALARM above {self._level:.1f}" if alarm else f"alarm level {self._level:.1f}"
        colour = VERMILION if alarm else PALE
        place_of_text = (right, whole.height - STRIP + 4)
        draw.text(place_of_text, text, fill=colour, font=self._font, anchor="ra")


def draw_box(picture: Image.Image, box: Box) -> None:
    """Draw a yellow box with a black edge."""
    left, top, right, bottom = box
    right, bottom = right - 1, bottom - 1  # Pillow draws the last pixel as well
    draw = ImageDraw.Draw(picture)
    draw.rectangle([left, top, right, bottom], outline="black", width=5)
    draw.rectangle([left + 1, top + 1, right - 1, bottom - 1], outline=YELLOW, width=3)


def _heated(picture: Image.Image, error: np.ndarray) -> Image.Image:
    """Blend errors, in units of the full colour, over a picture; without error it is unchanged."""
    blurred = cv2.blur(error, (3, 3), borderType=cv2.BORDER_CONSTANT)
    heat = cv2.resize(blurred, picture.size).clip(0, 1)
    colours = mpl.colormaps["inferno"](0.3 + 0.7 * heat)[..., :3] * 255
    cover = COVER * heat[..., None]
    mixed = np.asarray(picture) * (1 - cover) + colours * cover
    return Image.fromarray(mixed.round().astype(np.uint8))
