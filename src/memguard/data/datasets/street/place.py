"""The place: the ground, a tree and things that stand still."""

import math

import numpy as np
from numpy.typing import NDArray

from memguard.data.datasets.street.drawing import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    Canvas,
    Colour,
    Stroke,
    disc,
    draw,
    shadow,
)
from memguard.data.datasets.street.figures import DARK, Fixture, Tree

PROMENADE = (62.0, 128.0)  # the rows where people walk along
CROSSING = (152.0, 186.0)  # the columns where people walk across
TREE = complex(38.0, 56.0)
EDGE = 24.0  # pixels beyond the picture at which a figure is invisible


def draw_ground(rng: np.random.Generator) -> Canvas:
    """Draw the ground: lawns, a paved promenade with kerbs, and a path across it.

    Args:
        rng: Random generator of the texture.

    Returns:
        The picture, float32 (height, width, 3), RGB from 0 to 255.
    """
    rows = np.arange(PICTURE_HEIGHT)[:, None]
    columns = np.arange(PICTURE_WIDTH)
    (top, bottom), (left, right) = PROMENADE, CROSSING
    promenade = (rows >= top) & (rows < bottom) & (columns >= 0)
    path = (columns >= left) & (columns < right) & (rows >= 0)
    grass = np.array((104.0, 124.0, 88.0)) + np.array((1.0, 1.1, 0.8)) * _texture(rng, 9.0, 4.5)
    paved = np.array((152.0, 149.0, 143.0)) + _texture(rng, 5.0, 2.5)
    gravel = np.array((140.0, 134.0, 124.0)) + _texture(rng, 5.0, 3.0)
    # Slabs are longer near the camera.
    joints = np.isin(rows, np.cumsum(np.linspace(6, 13, 14)).astype(int))
    joints = joints | ((columns + rows // 2) % 24 == 0)
    paved[promenade & joints] -= 11.0
    kerb = np.isin(rows, (top - 1, top - 2, bottom, bottom + 1)) & ~path
    picture = np.where(promenade[..., None], paved, np.where(path[..., None], gravel, grass))
    picture[kerb] = (172.0, 170.0, 164.0)
    canvas = picture.astype(np.float32)
    crown = Stroke(TREE + 20.0 + 2.0j, TREE + 42.0 + 9.0j, 9.0, DARK, softness=7.0, opacity=0.3)
    draw(canvas, [crown], np.zeros(canvas.shape[:2], np.uint8))
    return canvas


def _texture(rng: np.random.Generator, blotches: float, grain: float) -> NDArray[np.float64]:
    """Draw blotches of about 20 pixels plus grain around 0 at random, (height, width, 1)."""
    coarse = rng.normal(0.0, blotches, (9, 13))
    rows = np.linspace(0, 8, PICTURE_HEIGHT)
    columns = np.linspace(0, 12, PICTURE_WIDTH)
    wide = np.stack([np.interp(columns, np.arange(13), line) for line in coarse])
    smooth = np.stack([np.interp(rows, np.arange(9), line) for line in wide.T], axis=1)
    return (smooth + rng.normal(0.0, grain, smooth.shape))[..., None]


def fixtures() -> list[Fixture]:
    """Return the benches, the lamp and the bin."""
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


def random_tree(rng: np.random.Generator) -> Tree:
    """Draw a tree at random; its crown is darker below and lighter, sunlit, above."""
    clumps = []
    for height in np.linspace(16.0, 40.0, 22):
        width = 17.0 * math.sqrt(max(0.1, 1.0 - ((height - 26.0) / 17.0) ** 2))
        place = complex(rng.uniform(-width, width), -height)
        light = 0.72 + 0.5 * (height - 16.0) / 24.0 + rng.uniform(-0.08, 0.08)
        colour = (74.0 * light, 98.0 * light, 62.0 * light)
        clumps.append(disc(place, rng.uniform(4.5, 6.5), colour))
    return Tree(TREE, tuple(clumps), wind=0.0)
