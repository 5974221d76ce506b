"""The events: figures that do not belong in the street.

The constants at the top decide how hard detection is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from memguard.data.datasets.street.crowd import WALK_SPEED, promenade_route, random_look
from memguard.data.datasets.street.drawing import PICTURE_WIDTH, Colour
from memguard.data.datasets.street.figures import (
    RUN,
    Cart,
    Cyclist,
    Faller,
    Figure,
    Look,
    Route,
    Walker,
)
from memguard.data.datasets.street.place import PROMENADE

# Speeds are in pixels per frame for a figure at scale 1.
CYCLIST_SPEED = (3.8, 4.8)
CART_SPEED = (1.6, 2.0)
RUNNER_SPEED = (2.8, 3.4)
TRESPASSER_SPEED = (1.9, 2.3)
LYING = (34, 46)  # frames from the start of a fall until the person stands again
BRIGHT_TOPS: tuple[Colour, ...] = (
    (224.0, 212.0, 92.0),
    (232.0, 150.0, 70.0),
    (212.0, 214.0, 210.0),
)
CART_STRIPES: tuple[Colour, Colour] = ((194.0, 190.0, 180.0), (96.0, 116.0, 138.0))


@dataclass(frozen=True)
class Event:
    """An anomalous figure.

    Attributes:
        kind: A key of :data:`KINDS`.
        figure: The figure.
        first: The first frame in which it is anomalous.
        last: The last frame in which it is anomalous, included.
    """

    kind: str
    figure: Figure
    first: float = -math.inf
    last: float = math.inf


def _bright_look(rng: np.random.Generator, size: float = 1.05) -> Look:
    """Draw bright clothes at random."""
    top = BRIGHT_TOPS[rng.integers(len(BRIGHT_TOPS))]
    return Look(top, (58.0, 62.0, 78.0), (60.0, 52.0, 48.0), size)


def _cyclist(rng: np.random.Generator, start: int) -> Event:
    route = promenade_route(rng, start, CYCLIST_SPEED)
    return Event("cyclist", Cyclist(route, _bright_look(rng), (176.0, 40.0, 44.0)))


def _runner(rng: np.random.Generator, start: int) -> Event:
    route = promenade_route(rng, start, RUNNER_SPEED)
    return Event("runner", Walker(route, _bright_look(rng, 1.1), 0.0, RUN))


def _cart(rng: np.random.Generator, start: int) -> Event:
    route = promenade_route(rng, start, CART_SPEED, slope=4.0)
    return Event("cart", Cart(route, random_look(rng), CART_STRIPES))


def _lying(rng: np.random.Generator, start: int) -> Event:
    way = promenade_route(rng, start, WALK_SPEED)
    middle = complex(rng.uniform(0.3, 0.7) * PICTURE_WIDTH, way.point.imag)
    walker = Walker(replace(way, point=middle), _bright_look(rng), 0.0)
    rises = start + int(rng.integers(*LYING))
    return Event("lying", Faller(walker, start, rises), start, rises)


def _trespasser(rng: np.random.Generator, start: int) -> Event:
    """Cross the lawn before the promenade, from the left edge to the bottom edge."""
    way = complex(rng.uniform(120, 140), rng.uniform(52, 62))
    pace = rng.uniform(*TRESPASSER_SPEED)
    route = Route(complex(-8.0, PROMENADE[1] + 12.0), pace * way / abs(way), start)
    return Event("trespasser", Walker(route, _bright_look(rng), 0.0))


KINDS: dict[str, Callable[[np.random.Generator, int], Event]] = {
    "cyclist": _cyclist,
    "runner": _runner,
    "cart": _cart,
    "lying": _lying,
    "trespasser": _trespasser,
}
