"""The street: its ground, its crowd, its light, and the events that do not belong in it.

Everything that makes the detection easier or harder is a constant at the top of this file.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memguard.data.datasets.street.figures import (
    DARK,
    RUN,
    Cart,
    Cyclist,
    Faller,
    Figure,
    Fixture,
    Look,
    Route,
    Tree,
    Walker,
    depth_scale,
)
from memguard.data.datasets.street.paint import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    Canvas,
    Colour,
    Owners,
    Stroke,
    disc,
    paint,
    shadow,
)

# The crowd. Speeds are in pixels per frame for a figure at scale 1.
WALK_SPEED = (0.9, 1.5)
CROWD = (6.0, 18.0)  # fewest and most arriving walkers, as the number that is then in the picture
CROWD_PERIOD = (110.0, 200.0)  # frames from one rush to the next
PAIRS = 0.3  # share of the walkers who come as two
CROSSERS = 0.25  # share of the walkers who cross the promenade
CLOTHES_LUMA = (52.0, 102.0)  # brightness of clothes; the pavement has about 150

# The events.
CYCLIST_SPEED = (3.8, 4.8)
CART_SPEED = (1.6, 2.0)
RUNNER_SPEED = (2.8, 3.4)
TRESPASSER_SPEED = (1.9, 2.3)
LYING = (34, 46)  # frames from the beginning of a fall until the person stands again
BRIGHT_TOPS: tuple[Colour, ...] = (
    (224.0, 212.0, 92.0),
    (232.0, 150.0, 70.0),
    (212.0, 214.0, 210.0),
)
CART_STRIPES: tuple[Colour, Colour] = ((194.0, 190.0, 180.0), (96.0, 116.0, 138.0))

# The camera.
NOISE = 1.2  # standard deviation of the sensor noise, of 255
DRIFT = 0.06  # largest share by which clouds change the brightness
DRIFT_PERIOD = (70.0, 220.0)  # frames
FLICKER = 0.04  # largest share by which the mains, beating with the shutter, change it
FLICKER_PERIOD = 3.0  # frames; fixed, so that the past tells the next frame
FLICKER_SPELL = (80.0, 180.0)  # frames in which the flicker swells twice

# The place.
PROMENADE = (62.0, 128.0)  # rows between which people walk along
CROSSING = (152.0, 186.0)  # columns between which people walk across
TREE = complex(38.0, 56.0)
EDGE = 24.0  # distance beyond the picture's edge at which nothing is visible any more

_RUSH_IN = 300  # frames before the first one from which walkers set out


@dataclass(frozen=True)
class Happening:
    """Something that does not belong in the street.

    Attributes:
        kind: A key of `KINDS`.
        figure: Who does it.
        first: First frame at which it is out of place.
        last: Last frame at which it is, inclusive.
    """

    kind: str
    figure: Figure
    first: float = -math.inf
    last: float = math.inf


@dataclass(frozen=True)
class Light:
    """Changing brightness: clouds, and mains that beat with the shutter.

    Attributes:
        periods: Frames from cloud to cloud, for two waves, and of the flicker's swelling.
        phases: Where in each of these three, and in the flicker itself, frame 0 is; radians.
    """

    periods: tuple[float, float, float]
    phases: tuple[float, float, float, float]

    def gain(self, frame: int) -> float:
        """Returns the factor by which the light changes the picture at a frame."""
        beats = zip((*self.periods, FLICKER_PERIOD), self.phases, strict=True)
        cloud, veil, spell, swing = (math.sin(2 * math.pi * frame / p + at) for p, at in beats)
        return 1.0 + DRIFT / 2 * (cloud + veil) + FLICKER * spell * swing

    @staticmethod
    def drawn(rng: np.random.Generator) -> "Light":
        """Draws the course of the light for one video."""
        clouds = (rng.uniform(*DRIFT_PERIOD), rng.uniform(*DRIFT_PERIOD))
        one, two, three, four = rng.uniform(0, 2 * math.pi, 4)
        return Light((*clouds, rng.uniform(*FLICKER_SPELL)), (one, two, three, four))


@dataclass(frozen=True)
class Scene:
    """Everything in front of the camera during one video."""

    ground: Canvas
    normal: tuple[Figure, ...]
    happenings: tuple[Happening, ...]
    light: Light

    def render(self, frame: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Owners]:
        """Paints one frame.

        Args:
            frame: Number of the frame, from 0.
            rng: Source of the sensor noise.

        Returns:
            The picture (height, width, 3), RGB, and whose each pixel is (height, width): 0 is
            nobody's or a normal figure's, k the k-th happening's, from 1.
        """
        canvas = self.ground.copy()
        owners = np.zeros(canvas.shape[:2], np.uint8)
        actors = [(figure, 0) for figure in self.normal]
        for number, happening in enumerate(self.happenings, start=1):
            strange = happening.first <= frame <= happening.last
            actors.append((happening.figure, number if strange else 0))
        actors = [actor for actor in actors if _near(actor[0].foot(frame))]
        for figure, owner in sorted(actors, key=lambda actor: actor[0].foot(frame).imag):
            paint(canvas, figure.strokes(frame), owners, owner)
        canvas *= self.light.gain(frame)
        canvas += NOISE * rng.standard_normal((*owners.shape, 1), np.float32)
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8), owners


def compose(
    place: np.random.Generator,
    course: np.random.Generator,
    frames: int,
    events: tuple[tuple[str, int], ...],
) -> Scene:
    """Composes a scene.

    Args:
        place: Source of what is the same in all videos: the ground and what stands on it.
        course: Source of what differs from video to video.
        frames: Length of the video.
        events: Kind (a key of `KINDS`) and first frame of each happening.

    Returns:
        The scene.
    """
    ground, fixtures, tree = paint_ground(place), _fixtures(), _tree(place)
    wind = replace(tree, wind=course.uniform(0, 2 * math.pi))
    light = Light.drawn(course)
    crowd = _crowd(course, frames)
    happenings = tuple(KINDS[kind](course, start) for kind, start in events)
    return Scene(ground, (*fixtures, wind, *crowd), happenings, light)


def _near(point: complex) -> bool:
    """Tells whether a figure at a point may be seen."""
    beside = -EDGE <= point.real <= PICTURE_WIDTH + EDGE
    return beside and -EDGE <= point.imag <= PICTURE_HEIGHT + 1.5 * EDGE


# ------------------------------------------------------------------------------ the crowd


def _crowd(rng: np.random.Generator, frames: int) -> list[Walker]:
    """Returns the walkers of a video: they arrive in rushes, alone or in pairs."""
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
    """Returns one walker, or two side by side, who enter the picture at `time`."""
    crossing = rng.random() < CROSSERS
    route = _crossing_route(rng, time) if crossing else _promenade_route(rng, time, WALK_SPEED)
    first = Walker(route, _look(rng), rng.uniform(0, 2 * math.pi))
    if rng.random() >= PAIRS:
        return [first]
    aside = complex(7.0, 1.0) if crossing else complex(3.0, 5.0)
    beside = replace(route, point=route.point + aside)
    return [first, Walker(beside, _look(rng), first.phase + rng.uniform(-0.8, 0.8))]


def _promenade_route(
    rng: np.random.Generator, time: float, speed: tuple[float, float], slope: float = 12.0
) -> Route:
    """Returns a way along the promenade that enters the picture at `time`."""
    top, bottom = PROMENADE
    row = rng.uniform(top + 2, bottom - 8)
    leave = np.clip(row + rng.uniform(-slope, slope), top + 2, bottom - 8)
    facing = rng.choice((-1, 1))
    enter = complex(-EDGE if facing > 0 else PICTURE_WIDTH + EDGE, row)
    across = complex(facing * (PICTURE_WIDTH + 2 * EDGE), leave - row)
    pace = rng.uniform(*speed) * depth_scale(enter)
    return Route(enter, pace * across / abs(across), time)


def _crossing_route(rng: np.random.Generator, time: float) -> Route:
    """Returns a way across the promenade that enters the picture at `time`."""
    left, right = CROSSING
    column = rng.uniform(left + 4, right - 12)
    down = rng.random() < 0.5
    enter = complex(column, -2.0 if down else PICTURE_HEIGHT + 1.5 * EDGE)
    heading = complex(rng.uniform(-0.02, 0.02), 1.0 if down else -1.0)
    # Seen from above at a slant, ways towards the camera look shorter.
    return Route(enter, 0.75 * rng.uniform(*WALK_SPEED) * heading, time)


def _look(rng: np.random.Generator) -> Look:
    """Returns the clothes of a normal walker: muted colours of modest contrast."""

    def cloth() -> Colour:
        red, green, blue = rng.uniform(*CLOTHES_LUMA) + rng.uniform(-22, 22, 3)
        return red, green, blue

    hair = float(rng.uniform(50, 110))
    return Look(cloth(), cloth(), (hair, 0.9 * hair, 0.8 * hair), rng.uniform(0.9, 1.1))


def _bright_look(rng: np.random.Generator, size: float = 1.05) -> Look:
    top = BRIGHT_TOPS[rng.integers(len(BRIGHT_TOPS))]
    return Look(top, (58.0, 62.0, 78.0), (60.0, 52.0, 48.0), size)


# ------------------------------------------------------------------------------ the events


def _cyclist(rng: np.random.Generator, start: int) -> Happening:
    route = _promenade_route(rng, start, CYCLIST_SPEED)
    return Happening("cyclist", Cyclist(route, _bright_look(rng), (176.0, 40.0, 44.0)))


def _runner(rng: np.random.Generator, start: int) -> Happening:
    route = _promenade_route(rng, start, RUNNER_SPEED)
    return Happening("runner", Walker(route, _bright_look(rng, 1.1), 0.0, RUN))


def _cart(rng: np.random.Generator, start: int) -> Happening:
    route = _promenade_route(rng, start, CART_SPEED, slope=4.0)
    return Happening("cart", Cart(route, _look(rng), CART_STRIPES))


def _lying(rng: np.random.Generator, start: int) -> Happening:
    way = _promenade_route(rng, start, WALK_SPEED)
    middle = complex(rng.uniform(0.3, 0.7) * PICTURE_WIDTH, way.point.imag)
    walker = Walker(replace(way, point=middle), _bright_look(rng), 0.0)
    rises = start + int(rng.integers(*LYING))
    return Happening("lying", Faller(walker, start, rises), start, rises)


def _trespasser(rng: np.random.Generator, start: int) -> Happening:
    """Crosses the lawn before the promenade, from the left edge to the bottom edge."""
    way = complex(rng.uniform(120, 140), rng.uniform(52, 62))
    pace = rng.uniform(*TRESPASSER_SPEED)
    route = Route(complex(-8.0, PROMENADE[1] + 12.0), pace * way / abs(way), start)
    return Happening("trespasser", Walker(route, _bright_look(rng), 0.0))


KINDS: dict[str, Callable[[np.random.Generator, int], Happening]] = {
    "cyclist": _cyclist,
    "runner": _runner,
    "cart": _cart,
    "lying": _lying,
    "trespasser": _trespasser,
}


# ------------------------------------------------------------------------------ the place


def paint_ground(rng: np.random.Generator) -> Canvas:
    """Paints what lies flat: lawns, a paved promenade with kerbs, and a path across it.

    Args:
        rng: Source of the texture.

    Returns:
        Picture (height, width, 3), RGB from 0 to 255.
    """
    rows = np.arange(PICTURE_HEIGHT)[:, None]
    columns = np.arange(PICTURE_WIDTH)
    (top, bottom), (left, right) = PROMENADE, CROSSING
    promenade = (rows >= top) & (rows < bottom) & (columns >= 0)
    path = (columns >= left) & (columns < right) & (rows >= 0)
    grass = np.array((104.0, 124.0, 88.0)) + np.array((1.0, 1.1, 0.8)) * _texture(rng, 9.0, 4.5)
    paved = np.array((152.0, 149.0, 143.0)) + _texture(rng, 5.0, 2.5)
    gravel = np.array((140.0, 134.0, 124.0)) + _texture(rng, 5.0, 3.0)
    # The slabs become longer towards the camera, as everything does.
    joints = np.isin(rows, np.cumsum(np.linspace(6, 13, 14)).astype(int))
    joints = joints | ((columns + rows // 2) % 24 == 0)
    paved[promenade & joints] -= 11.0
    kerb = np.isin(rows, (top - 1, top - 2, bottom, bottom + 1)) & ~path
    picture = np.where(promenade[..., None], paved, np.where(path[..., None], gravel, grass))
    picture[kerb] = (172.0, 170.0, 164.0)
    canvas = picture.astype(np.float32)
    crown = Stroke(TREE + 20.0 + 2.0j, TREE + 42.0 + 9.0j, 9.0, DARK, softness=7.0, opacity=0.3)
    paint(canvas, [crown], np.zeros(canvas.shape[:2], np.uint8))
    return canvas


def _texture(rng: np.random.Generator, blotches: float, grain: float) -> NDArray[np.float64]:
    """Returns (height, width, 1): smooth blotches of about 20 pixels plus grain, about zero."""
    coarse = rng.normal(0.0, blotches, (9, 13))
    rows = np.linspace(0, 8, PICTURE_HEIGHT)
    columns = np.linspace(0, 12, PICTURE_WIDTH)
    wide = np.stack([np.interp(columns, np.arange(13), line) for line in coarse])
    smooth = np.stack([np.interp(rows, np.arange(9), line) for line in wide.T], axis=1)
    return (smooth + rng.normal(0.0, grain, smooth.shape))[..., None]


def _fixtures() -> list[Fixture]:
    wood: Colour = (126.0, 92.0, 66.0)
    bench = (
        shadow(-8.0 + 1.0j, 12.0 + 2.0j, 2.0),
        *(Stroke(x - 4.0j, x + 0j, 0.8, DARK) for x in (-8.0, 8.0)),
        Stroke(-10.0 - 9.0j, 10.0 - 9.0j, 1.2, wood),
        Stroke(-10.0 - 5.0j, 10.0 - 5.0j, 1.5, wood),
    )
    lamp = (
        shadow(1.0 + 0j, 34.0 + 7.0j, 1.0),
        Stroke(0j, -44.0j, 0.9, DARK),
        disc(-45.5j, 2.6, (228.0, 226.0, 210.0)),
    )
    litter_bin = (shadow(0j, 7.0 + 1.0j, 2.0), Stroke(-6.5j, -2.0j, 2.8, (74.0, 92.0, 84.0)))
    row = PROMENADE[0] - 4.0
    return [
        Fixture(complex(84.0, row), bench),
        Fixture(complex(214.0, row), bench),
        Fixture(complex(126.0, row), lamp),
        Fixture(complex(104.0, row), litter_bin),
    ]


def _tree(rng: np.random.Generator) -> Tree:
    """Returns a tree whose crown is darker below and lighter, sunlit, above."""
    clumps = []
    for height in np.linspace(16.0, 40.0, 22):
        width = 17.0 * math.sqrt(max(0.1, 1.0 - ((height - 26.0) / 17.0) ** 2))
        place = complex(rng.uniform(-width, width), -height)
        light = 0.72 + 0.5 * (height - 16.0) / 24.0 + rng.uniform(-0.08, 0.08)
        colour = (74.0 * light, 98.0 * light, 62.0 * light)
        clumps.append(disc(place, rng.uniform(4.5, 6.5), colour))
    return Tree(TREE, tuple(clumps), wind=0.0)
