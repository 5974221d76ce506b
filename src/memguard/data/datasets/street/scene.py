"""The scene: ground, crowd, events and light before the camera.

The constants at the top decide how hard detection is; :mod:`~memguard.data.datasets.street.crowd`
and :mod:`~memguard.data.datasets.street.events` have more.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memguard.data.datasets.street.crowd import random_crowd
from memguard.data.datasets.street.drawing import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    Canvas,
    Owners,
    draw,
)
from memguard.data.datasets.street.events import KINDS, Event
from memguard.data.datasets.street.figures import Figure
from memguard.data.datasets.street.place import EDGE, draw_ground, fixtures, random_tree

# The camera.
NOISE = 1.2  # standard deviation of the sensor noise, of 255
DRIFT = 0.06  # largest change of the brightness by clouds, as a share
DRIFT_PERIOD = (70.0, 220.0)  # frames
FLICKER = 0.04  # largest change of the brightness by the mains, as a share
FLICKER_PERIOD = 3.0  # frames; constant, because the next frame must be predictable
FLICKER_SPELL = (80.0, 180.0)  # period of the strength of the flicker, frames


@dataclass(frozen=True)
class Light:
    """Changing brightness: clouds, and a flicker of the mains that beats with the shutter.

    Attributes:
        periods: The periods of two waves of clouds and of the strength of the flicker, in frames.
        phases: The phases of these three and of the flicker itself at frame 0, in radians.
    """

    periods: tuple[float, float, float]
    phases: tuple[float, float, float, float]

    def gain(self, frame: int) -> float:
        """Return the factor of the brightness at a frame."""
        beats = zip((*self.periods, FLICKER_PERIOD), self.phases, strict=True)
        cloud, veil, spell, swing = (math.sin(2 * math.pi * frame / p + at) for p, at in beats)
        return 1.0 + DRIFT / 2 * (cloud + veil) + FLICKER * spell * swing

    @staticmethod
    def random(rng: np.random.Generator) -> "Light":
        """Draw the light of a video at random."""
        clouds = (rng.uniform(*DRIFT_PERIOD), rng.uniform(*DRIFT_PERIOD))
        one, two, three, four = rng.uniform(0, 2 * math.pi, 4)
        return Light((*clouds, rng.uniform(*FLICKER_SPELL)), (one, two, three, four))


@dataclass(frozen=True)
class Scene:
    """Everything in front of the camera during a video.

    Attributes:
        ground: The picture of the ground, (height, width, 3).
        normal: The figures that belong in the street.
        events: The anomalous figures.
        light: The brightness over time.
    """

    ground: Canvas
    normal: tuple[Figure, ...]
    events: tuple[Event, ...]
    light: Light

    def render(self, frame: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Owners]:
        """Draw a frame.

        Args:
            frame: Number of the frame, from 0.
            rng: Random generator of the sensor noise.

        Returns:
            The picture, uint8 (height, width, 3), RGB, and the owner of each pixel, uint8 (height,
            width): k for the k-th event, from 1, and 0 for everything normal.
        """
        canvas = self.ground.copy()
        owners = np.zeros(canvas.shape[:2], np.uint8)
        actors = [(figure, 0) for figure in self.normal]
        for number, event in enumerate(self.events, start=1):
            anomalous = event.first <= frame <= event.last
            actors.append((event.figure, number if anomalous else 0))
        actors = [actor for actor in actors if _near(actor[0].foot(frame))]
        for figure, owner in sorted(actors, key=lambda actor: actor[0].foot(frame).imag):
            draw(canvas, figure.strokes(frame), owners, owner)
        canvas *= self.light.gain(frame)
        canvas += NOISE * rng.standard_normal((*owners.shape, 1), np.float32)
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8), owners


def compose(
    place: np.random.Generator,
    course: np.random.Generator,
    frames: int,
    events: tuple[tuple[str, int], ...],
) -> Scene:
    """Compose the scene of a video.

    Args:
        place: Random generator of the ground and the tree, the same for all videos.
        course: Random generator of everything that differs between videos.
        frames: Number of frames of the video.
        events: Kind (a key of :data:`~memguard.data.datasets.street.events.KINDS`) and first frame
            of each event.

    Example:
        >>> rng = np.random.default_rng
        >>> scene = compose(rng(0), rng(1), frames=20, events=(("cyclist", 10),))
        >>> picture, owners = scene.render(0, rng(2))
        >>> picture.shape, owners.shape
        ((160, 240, 3), (160, 240))
    """
    ground, still, tree = draw_ground(place), fixtures(), random_tree(place)
    swaying = replace(tree, wind=course.uniform(0, 2 * math.pi))
    light = Light.random(course)
    crowd = random_crowd(course, frames)
    anomalies = tuple(KINDS[kind](course, start) for kind, start in events)
    return Scene(ground, (*still, swaying, *crowd), anomalies, light)


def _near(point: complex) -> bool:
    """Return whether a figure at a point may be visible."""
    beside = -EDGE <= point.real <= PICTURE_WIDTH + EDGE
    return beside and -EDGE <= point.imag <= PICTURE_HEIGHT + 1.5 * EDGE
