"""The crowd: people who walk along the promenade and across it.

The constants at the top decide how hard detection is.
"""

import math
from dataclasses import replace

import numpy as np

from memguard.data.datasets.street.drawing import PICTURE_HEIGHT, PICTURE_WIDTH, Colour
from memguard.data.datasets.street.figures import Look, Route, Walker, depth_scale
from memguard.data.datasets.street.place import CROSSING, EDGE, PROMENADE

# Speeds are in pixels per frame for a figure at scale 1.
WALK_SPEED = (0.9, 1.5)
CROWD = (6.0, 18.0)  # the fewest and the most walkers in the picture
CROWD_PERIOD = (110.0, 200.0)  # frames between rushes
PAIRS = 0.3  # share of walkers in pairs
CROSSERS = 0.25  # share of walkers across the promenade
CLOTHES_LUMA = (52.0, 102.0)  # brightness of clothes; the pavement has about 150

_RUSH_IN = 300  # the first walkers start this many frames before the video


def random_crowd(rng: np.random.Generator, frames: int) -> list[Walker]:
    """Draw the walkers of a video at random: they arrive in rushes, alone or in pairs."""
    fewest, most = CROWD
    period, phase = rng.uniform(*CROWD_PERIOD), rng.uniform(0, 2 * math.pi)
    stay = PICTURE_WIDTH / np.mean(WALK_SPEED)
    walkers: list[Walker] = []
    time = float(-_RUSH_IN)
    while time < frames:
        rush = 0.5 + 0.5 * math.sin(2 * math.pi * time / period + phase)
        present = fewest + (most - fewest) * rush
        time += rng.exponential(stay * (1.0 + PAIRS) / present)
        walkers += _party(rng, time)
    return walkers


def _party(rng: np.random.Generator, time: float) -> list[Walker]:
    """Draw one walker, or two side by side, who enter the picture at `time`."""
    crossing = rng.random() < CROSSERS
    route = _crossing_route(rng, time) if crossing else promenade_route(rng, time, WALK_SPEED)
    first = Walker(route, random_look(rng), rng.uniform(0, 2 * math.pi))
    if rng.random() >= PAIRS:
        return [first]
    aside = complex(7.0, 1.0) if crossing else complex(3.0, 5.0)
    beside = replace(route, point=route.point + aside)
    return [first, Walker(beside, random_look(rng), first.phase + rng.uniform(-0.8, 0.8))]


def promenade_route(
    rng: np.random.Generator, time: float, speed: tuple[float, float], slope: float = 12.0
) -> Route:
    """Draw a route along the promenade that enters the picture at `time`."""
    top, bottom = PROMENADE
    row = rng.uniform(top + 2, bottom - 8)
    leave = np.clip(row + rng.uniform(-slope, slope), top + 2, bottom - 8)
    facing = rng.choice((-1, 1))
    enter = complex(-EDGE if facing > 0 else PICTURE_WIDTH + EDGE, row)
    across = complex(facing * (PICTURE_WIDTH + 2 * EDGE), leave - row)
    pace = rng.uniform(*speed) * depth_scale(enter)
    return Route(enter, pace * across / abs(across), time)


def _crossing_route(rng: np.random.Generator, time: float) -> Route:
    """Draw a route across the promenade that enters the picture at `time`."""
    left, right = CROSSING
    column = rng.uniform(left + 4, right - 12)
    down = rng.random() < 0.5
    enter = complex(column, -2.0 if down else PICTURE_HEIGHT + 1.5 * EDGE)
    heading = complex(rng.uniform(-0.02, 0.02), 1.0 if down else -1.0)
    # The camera looks down at a slant: motion towards it appears slower.
    return Route(enter, 0.75 * rng.uniform(*WALK_SPEED) * heading, time)


def random_look(rng: np.random.Generator) -> Look:
    """Draw the clothes of a normal walker: muted colours of modest contrast."""

    def cloth() -> Colour:
        red, green, blue = rng.uniform(*CLOTHES_LUMA) + rng.uniform(-22, 22, 3)
        return red, green, blue

    hair = float(rng.uniform(50, 110))
    return Look(cloth(), cloth(), (hair, 0.9 * hair, 0.8 * hair), rng.uniform(0.9, 1.1))
