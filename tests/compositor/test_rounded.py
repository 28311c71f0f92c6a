"""Round corners on the CPU, by the reference of the kernel, which knows another way to find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.compositor.rounded import FULL, RoundedLayer, corner_coverage, rounded
from tests.support.card import oracle

CANVAS: Final = Size(96, 64)


@dataclass(frozen=True)
class Flat:
    """A layer of one value."""

    rect: Rect
    value: int = 200
    key: str = "flat"
    opaque: bool = True

    def blend(self, y: Any, u: Any, v: Any) -> None:
        for plane, by in ((y, 1), (u, 2), (v, 2)):
            rows, columns = (
                slice(self.rect.y // by, self.rect.bottom // by),
                slice(self.rect.x // by, self.rect.right // by),
            )
            plane[rows, columns] = self.value


def canvas() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    half = CANVAS.height // 2, CANVAS.width // 2
    y, u, v = (np.full(shape, value, np.uint8) for shape, value in (((64, 96), 40), (half, 90), (half, 170)))
    return y, u, v


@pytest.mark.parametrize("corner_px", [1, 2, 3, 7, 12, 15])
@pytest.mark.parametrize("rect", [Rect(10, 6, 40, 30), Rect(0, 0, 96, 64), Rect(66, 34, 30, 30)])
def test_they_are_those_of_the_reference(rect: Rect, corner_px: int) -> None:
    drawn = canvas()
    RoundedLayer(Flat(rect), corner_px).blend(*drawn)
    shapes = [(rect.height // by, rect.width // by) for by in (1, 2, 2)]
    pairs = [(np.zeros(shape, np.int64), np.full(shape, 200 * 256)) for shape in shapes]
    expected = oracle.draw(CANVAS, (40, 90, 170), [oracle.OverlayItem(rect, pairs, corner_px)])
    for found, model in zip(drawn, expected, strict=True):
        assert np.array_equal(found, model)


def test_a_corner_is_a_quarter_of_a_disc() -> None:
    coverage = corner_coverage(40) / FULL
    assert coverage.sum() == pytest.approx(np.pi / 4 * 40**2, rel=0.002)
    assert coverage[0, 0] == 0
    assert coverage[-1, -1] == 1
    assert np.array_equal(coverage, coverage.T)


def test_small_tiles_have_smaller_corners_and_without_any_nothing_is_done() -> None:
    layer = Flat(Rect(0, 0, 20, 12))
    assert rounded(layer, 0) is layer
    found = rounded(layer, 50)
    assert isinstance(found, RoundedLayer)
    assert (found.corner_px, found.rect, found.opaque) == (6, layer.rect, False)
    assert found.key != rounded(layer, 4).key != layer.key
