"""Figures that stand and move in the street; each draws itself at any frame.

A figure is drawn at scale 1, heading to the right, with the origin where it touches the ground;
`Route` is the path of that point. Lengths are in pixels, times in frames.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from memguard.data.datasets.street.drawing import PICTURE_HEIGHT, Colour, Stroke, disc, shadow

FAR_SCALE, NEAR_SCALE = 0.8, 1.25  # size of a figure at the top and at the bottom of the picture

DARK: Colour = (62.0, 64.0, 70.0)
SKIN: Colour = (196.0, 160.0, 136.0)


def depth_scale(point: complex) -> float:
    """Return the scale of a figure that touches the ground at `point`."""
    return FAR_SCALE + (NEAR_SCALE - FAR_SCALE) * point.imag / PICTURE_HEIGHT


class Figure(Protocol):
    """A figure on the ground."""

    def foot(self, frame: float) -> complex:
        """Return the point where the figure touches the ground; lower figures hide higher ones."""
        ...

    def strokes(self, frame: float) -> list[Stroke]:
        """Return the figure's strokes in the picture, in drawing order."""
        ...


@dataclass(frozen=True)
class Route:
    """A straight path at constant speed.

    Attributes:
        point: The position at frame `start`.
        velocity: Pixels per frame.
        start: Any frame; the path extends to both sides of it.
    """

    point: complex
    velocity: complex
    start: float

    def at(self, frame: float) -> complex:
        """Return the position at a frame."""
        return self.point + (frame - self.start) * self.velocity

    @property
    def facing(self) -> int:
        """1 if the path leads to the right, -1 if to the left."""
        return 1 if self.velocity.real >= 0 else -1


@dataclass(frozen=True)
class Gait:
    """The swing of legs and arms.

    Attributes:
        stride: Pixels travelled per cycle of two steps.
        swing: Largest angle of a thigh from upright, in radians.
        bend: Largest bend of a knee and of an elbow, in radians.
        lean: Forward lean of the body, in radians.
    """

    stride: float
    swing: float
    bend: float
    lean: float


WALK = Gait(stride=18.0, swing=0.40, bend=0.45, lean=0.03)
RUN = Gait(stride=26.0, swing=0.85, bend=1.50, lean=0.22)


@dataclass(frozen=True)
class Look:
    """The look of a person: colours of clothes and hair, and size (1 is average)."""

    top: Colour
    trousers: Colour
    hair: Colour
    size: float


def _limb(
    joint: complex, upper: float, lower: float, half: float, radius: float, colour: Colour
) -> list[Stroke]:
    """Draw an arm or a leg of two halves that hang from a joint at angles from upright."""
    middle = joint + half * complex(math.sin(upper), math.cos(upper))
    end = middle + half * complex(math.sin(lower), math.cos(lower))
    return [Stroke(joint, middle, radius, colour), Stroke(middle, end, radius * 0.85, colour)]


def _person(look: Look, gait: Gait, phase: float, sideways: float) -> list[Stroke]:
    """Draw a person on the ground at the origin.

    Args:
        look: Colours.
        gait: The swing of the limbs.
        phase: The phase in the cycle of two steps, in radians.
        sideways: 1 seen from the side, 0 seen from the front or from behind.
    """
    hip, shoulder = -11.0j, -11.0j + 7.0 * complex(math.sin(gait.lean), -math.cos(gait.lean))
    far_limbs: list[Stroke] = []
    near_limbs: list[Stroke] = []
    for limbs, turn, apart in ((far_limbs, phase + math.pi, -1.0), (near_limbs, phase, 1.0)):
        spread = apart * (1.0 - sideways)
        thigh = sideways * gait.swing * math.sin(turn)
        knee = gait.bend * max(0.0, math.cos(turn)) * max(sideways, 0.4)
        limbs += _limb(hip + 1.3 * spread, thigh, thigh - knee, 5.5, 1.5, look.trousers)
        arm = -0.9 * thigh
        elbow = arm + 0.6 * gait.bend * sideways
        limbs += _limb(shoulder + 3.0 * spread, arm, elbow, 3.8, 1.1, look.top)
    head = shoulder + 3.9 * complex(math.sin(gait.lean), -math.cos(gait.lean))
    torso = Stroke(hip - 0.5j, shoulder + 0.8j, 2.5 + 0.4 * (1.0 - sideways), look.top)
    hair = disc(head - 0.5 * sideways - 0.7j, 2.1, look.hair)
    return [*far_limbs, torso, disc(head, 2.1, SKIN), hair, *near_limbs]


def _placed(strokes: Sequence[Stroke], at: complex, size: float, facing: int) -> list[Stroke]:
    scale = size * depth_scale(at)
    return [stroke.placed(at, scale, facing) for stroke in strokes]


@dataclass(frozen=True)
class Walker:
    """A person on foot, walking or running."""

    route: Route
    look: Look
    phase: float
    gait: Gait = WALK

    def foot(self, frame: float) -> complex:
        """Return the position of the person."""
        return self.route.at(frame)

    def strokes(self, frame: float) -> list[Stroke]:
        """Return the person mid-step, with a shadow."""
        return self.drawn(frame, fallen=0.0)

    def drawn(self, frame: float, fallen: float) -> list[Stroke]:
        """Return the person at a frame, upright (`fallen` is 0) to lying on the back (1)."""
        velocity, at = self.route.velocity, self.foot(frame)
        scale = self.look.size * depth_scale(at)
        cycles = frame * abs(velocity) / (self.gait.stride * scale)
        sideways = abs(velocity.real) / abs(velocity)
        body = _person(self.look, self.gait, self.phase + 2 * math.pi * cycles, sideways)
        if fallen:
            body = [stroke.turned(fallen * math.pi / 2) for stroke in body]
        ground = shadow(1.5 + 0.5j, 12.0 + 11.0 * fallen + 3.0j * (1 - fallen), 2.6)
        return [
            *_placed([ground], at, self.look.size, 1 if fallen == 0 else self.route.facing),
            *_placed(body, at, self.look.size, self.route.facing),
        ]


@dataclass(frozen=True)
class Faller:
    """A walker who falls, lies still, gets up and walks on.

    Attributes:
        walker: The walker without a fall.
        falls: The frame at which the fall begins.
        rises: The frame at which the person stands again.
    """

    walker: Walker
    falls: int
    rises: int

    FALLING = 7.0  # frames of falling, and of rising

    def foot(self, frame: float) -> complex:
        """Return the position of the feet."""
        return self.walker.foot(self._walked(frame))

    def strokes(self, frame: float) -> list[Stroke]:
        """Return the person upright, falling or lying."""
        fallen = min((frame - self.falls) / self.FALLING, (self.rises - frame) / self.FALLING)
        return self.walker.drawn(self._walked(frame), fallen=min(max(fallen, 0.0), 1.0))

    def _walked(self, frame: float) -> float:
        """Return the frame at which a walker without a fall has the same position."""
        return frame - min(max(frame - self.falls, 0.0), self.rises - self.falls)


@dataclass(frozen=True)
class Cyclist:
    """A person on a bicycle, seen from the side."""

    route: Route
    look: Look
    frame_colour: Colour

    WHEEL = 5.6
    GEAR = 22.0  # pixels travelled per turn of the pedals

    def foot(self, frame: float) -> complex:
        """Return the point of the ground below the pedals."""
        return self.route.at(frame)

    def strokes(self, frame: float) -> list[Stroke]:
        """Return bicycle and rider with turning pedals."""
        at = self.foot(frame)
        turn = 2 * math.pi * frame * abs(self.route.velocity) / self.GEAR
        drawing = [
            *self._leg(turn + math.pi),
            *self._bicycle(),
            *self._leg(turn),
            *self._rider(),
        ]
        ground = shadow(-9.0 + 1.0j, 13.0 + 3.0j, 2.6)
        return [
            *_placed([ground], at, self.look.size, 1),
            *_placed(drawing, at, self.look.size, self.route.facing),
        ]

    def _bicycle(self) -> list[Stroke]:
        rear, front = -8.0 - 1j * self.WHEEL, 8.0 - 1j * self.WHEEL
        crank, seat, bars = -1.0 - 1j * self.WHEEL, -3.0 - 12.5j, 5.5 - 14.0j
        tubes = ((rear, crank), (rear, seat), (seat, crank), (crank, bars), (seat, bars))
        return [
            *(Stroke(hub, hub, 0.9, DARK, ring=self.WHEEL - 0.9) for hub in (rear, front)),
            *(Stroke(a, b, 0.7, self.frame_colour) for a, b in (*tubes, (bars, front))),
        ]

    def _leg(self, turn: float) -> list[Stroke]:
        hip = -3.0 - 13.5j
        pedal = -1.0 - 1j * self.WHEEL + 2.6 * complex(math.cos(turn), math.sin(turn))
        knee = (hip + pedal) / 2 + 2.6
        return [
            Stroke(hip, knee, 1.6, self.look.trousers),
            Stroke(knee, pedal, 1.3, self.look.trousers),
        ]

    def _rider(self) -> list[Stroke]:
        hip, shoulder, head = -3.0 - 14.0j, 2.5 - 20.5j, 4.8 - 24.6j
        return [
            Stroke(hip, shoulder, 2.7, self.look.top),
            disc(head, 2.2, SKIN),
            disc(head - 0.4 - 0.8j, 2.3, self.look.hair),
            Stroke(shoulder, 6.0 - 14.5j, 1.2, self.look.top),
        ]


@dataclass(frozen=True)
class Cart:
    """A small striped delivery vehicle with an open cab."""

    route: Route
    driver: Look
    stripes: tuple[Colour, Colour]

    def foot(self, frame: float) -> complex:
        """Return the point of the ground below the middle of the vehicle."""
        return self.route.at(frame)

    def strokes(self, frame: float) -> list[Stroke]:
        """Return the vehicle with its driver."""
        at = self.foot(frame)
        drawing = [*self._cab(), *self._box(), *self._wheels()]
        ground = shadow(-15.0 + 1.0j, 21.0 + 3.0j, 3.4)
        return [
            *_placed([ground], at, 1.0, 1),
            *_placed(drawing, at, 1.0, self.route.facing),
        ]

    def _cab(self) -> list[Stroke]:
        seat, head = 8.5 - 8.0j, 9.0 - 20.0j
        return [
            Stroke(seat, 9.0 - 15.0j, 2.6, self.driver.top),
            disc(head, 2.2, SKIN),
            disc(head - 0.5 - 0.7j, 2.2, self.driver.hair),
            Stroke(9.0 - 15.0j, 14.0 - 12.5j, 1.1, self.driver.top),
            Stroke(16.5 - 7.0j, 14.0 - 23.0j, 0.8, DARK),
            Stroke(0.0 - 24.0j, 14.5 - 24.0j, 1.4, self.stripes[0]),
        ]

    def _box(self) -> list[Stroke]:
        bars = (
            Stroke(x - 22.0j, x - 8.0j, 2.1, self.stripes[k % 2])
            for k, x in enumerate((-15.0, -11.0, -7.0, -3.0, 1.0))
        )
        return [*bars, Stroke(-15.5 - 5.5j, 16.0 - 5.5j, 2.4, self.stripes[1])]

    def _wheels(self) -> list[Stroke]:
        hubs = (-10.0 - 3.4j, 10.5 - 3.4j)
        return [disc(hub, r, c) for hub in hubs for r, c in ((3.6, DARK), (1.4, (150.0,) * 3))]


@dataclass(frozen=True)
class Fixture:
    """A thing that stands still: a bench, a lamp, a bin."""

    place: complex
    drawing: tuple[Stroke, ...]

    def foot(self, frame: float) -> complex:
        """Return its position."""
        return self.place

    def strokes(self, frame: float) -> list[Stroke]:
        """Return its strokes, the same at every frame."""
        return _placed(self.drawing, self.place, 1.0, 1)


@dataclass(frozen=True)
class Tree:
    """A tree whose crown sways in gusts of wind.

    Attributes:
        place: The foot of the trunk.
        clumps: Clumps of leaves, relative to the foot of the trunk.
        wind: The phase of the gusts at frame 0, in radians.
    """

    place: complex
    clumps: tuple[Stroke, ...]
    wind: float

    SWAY = 1.6  # largest displacement of a clump in the strongest gust, pixels
    SWAY_PERIOD = 19.0
    GUST_PERIOD = 90.0

    def foot(self, frame: float) -> complex:
        """Return the foot of the trunk."""
        return self.place

    def strokes(self, frame: float) -> list[Stroke]:
        """Return trunk and swaying crown; the shadow is part of the ground."""
        gust = 0.55 + 0.45 * math.sin(self.wind + 2 * math.pi * frame / self.GUST_PERIOD)
        beat = 2 * math.pi * frame / self.SWAY_PERIOD
        drawing = [Stroke(0j, -22.0j, 2.0, (84.0, 68.0, 54.0))]
        for k, clump in enumerate(self.clumps):
            sway = gust * self.SWAY * math.sin(beat + 0.9 * k)
            drawing.append(clump.placed(complex(sway, 0.0), 1.0, 1))
        return _placed(drawing, self.place, 1.0, 1)
