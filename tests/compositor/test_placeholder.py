from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.placeholder import draw_placeholder

NAMES = ["alice", "\u738b\u5c0f\u660e", "\u0412\u043b\u0430\u0434\u0438\u043c\u0438\u0440", "\u0645\u062d\u0645\u062f"]


@pytest.mark.parametrize("name", ["", "alice", "\U0001f642", "x" * 500, "\u738b\u5c0f\u660e"])
def test_any_tile_gets_a_grey_placeholder(name: str) -> None:
    for width in (2, 6, 20, 64, 82, 640):
        for height in (2, 10, 14, 36, 80, 360):
            drawn = draw_placeholder(name, Size(width, height))
            assert drawn.shape == (height, width)
            assert drawn.dtype == np.uint8
            assert drawn.max() <= 200, "nothing bright"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [Size(64, 36), Size(160, 90), Size(180, 320), Size(1920, 1080)])
def test_names_are_readable_and_centred(name: str, size: Size) -> None:
    drawn = draw_placeholder(name, size)
    ink = drawn > 100
    columns = np.flatnonzero(ink.any(axis=0))
    assert ink.sum() > 20
    assert abs(columns[0] + columns[-1] - (size.width - 1)) <= 0.02 * size.width + 4
    rows = np.flatnonzero(ink.any(axis=1))
    assert rows[0] > 0.1 * size.height
    assert rows[-1] < 0.9 * size.height


def initial(name: str) -> NDArray[np.bool_]:
    """What is drawn into the disc."""
    return draw_placeholder(name, Size(320, 180))[40:100] > 100


def test_an_initial_is_a_capital_if_a_font_has_it() -> None:
    assert np.array_equal(initial("\u00e9mile"), initial("\u00c9MILE"))
    assert initial("\u10d0\u10dc\u10d0").any(), "no font has the capital of this Georgian letter"


def test_names_differ() -> None:
    assert len({draw_placeholder(name, Size(64, 36)).tobytes() for name in NAMES}) == len(NAMES)


def test_a_name_without_glyphs_leaves_the_disc() -> None:
    drawn = draw_placeholder("\U0001f642", Size(320, 180))
    assert drawn.max() == 66
    assert drawn.min() == 40
