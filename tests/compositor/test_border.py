"""The border around who speaks."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.compositor.border import COLOUR, draw_border
from owtmix.plan.tiles import border_px

TILE: Final = Rect(20, 10, 120, 80)


def drawn(tile: Rect, border: int, corner: int = 0) -> NDArray[np.uint8]:
    """The opacity of the border on the tile. No pixel is drawn twice."""
    opacity = np.zeros((tile.height, tile.width), np.uint8)
    for rgba, x, y in draw_border(tile, border, corner):
        part = opacity[y - tile.y : y - tile.y + rgba.shape[0], x - tile.x : x - tile.x + rgba.shape[1]]
        assert part.shape == rgba.shape[:2]
        assert not part.any()
        part[:] = rgba[..., 3]
        assert (rgba[..., :3] == COLOUR).all()
    return opacity


def test_it_lies_inside_the_edges_of_the_tile() -> None:
    expected = np.full((80, 120), 255, np.uint8)
    expected[4:-4, 4:-4] = 0
    assert np.array_equal(drawn(TILE, 4), expected)


@pytest.mark.parametrize("corner", [3, 10, 24, 40])
def test_it_follows_round_corners(corner: int) -> None:
    opacity = drawn(TILE, 4, corner) / 255
    assert np.array_equal(opacity, opacity[::-1])
    assert np.array_equal(opacity, opacity[:, ::-1])
    assert (opacity[:4, corner:-corner] == 1).all()
    assert opacity[0, 0] < 0.5
    straight = 2 * 4 * (120 - 2 * corner) + 2 * 4 * (80 - 2 * corner)
    arcs = np.pi * (corner**2 - max(0, corner - 4) ** 2)
    if corner > 4:
        assert opacity.sum() == pytest.approx(straight + arcs, rel=0.01)


def test_a_tile_that_is_smaller_than_its_border_is_covered() -> None:
    assert (drawn(Rect(0, 0, 6, 4), 8) == 255).all()


@pytest.mark.parametrize(("height", "px"), [(2160, 12), (1080, 6), (720, 4), (540, 4), (480, 2), (90, 2)])
def test_it_is_a_part_of_the_canvas(height: int, px: int) -> None:
    assert border_px(Size(1920, height)) == px
