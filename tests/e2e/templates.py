"""The layout tables, transcribed from docs/layouts.md: the model shares no code with the program."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

Tile = tuple[Fraction, Fraction, Fraction, Fraction]
"""Left, top, width and height, as fractions of the canvas."""


def tiles(style: int, count: int) -> tuple[Tile, ...]:
    """The tiles of ``MixedVideoLayout`` 1 to 5 for ``count`` streams, the main tile first."""
    return next((template for most, template in _STYLES[style] if count <= most), None) or _square(count)


def _parse(text: str) -> tuple[Tile, ...]:
    """``"0,0,1/2,1 1/2,0,1/2,1"`` is two tiles side by side."""
    return tuple((Fraction(a), Fraction(b), Fraction(c), Fraction(d)) for a, b, c, d in map(_split, text.split()))


def _split(text: str) -> list[str]:
    return text.split(",")


def _grid(columns: int, rows: int, size: str, at: str = "0,0") -> tuple[Tile, ...]:
    """Equal tiles of ``size`` ("1/4,1/4"), row by row from ``at``."""
    width, height = map(Fraction, _split(size))
    left, top = map(Fraction, _split(at))
    cells = ((column, row) for row in range(rows) for column in range(columns))
    return tuple((left + column * width, top + row * height, width, height) for column, row in cells)


def _square(count: int) -> tuple[Tile, ...]:
    """The smallest k x k grid that holds ``count``, unused rows dropped and the rest centred."""
    side = next(k for k in range(count) if k * k >= count)
    rows = -(-count // side)
    return _grid(side, rows, f"1/{side},1/{side}", f"0,{Fraction(side - rows, 2 * side)}")


_WHOLE: Final = _parse("0,0,1,1")
_SIX: Final = "0,0,2/3,2/3 2/3,0,1/3,1/3 2/3,1/3,1/3,1/3 0,2/3,1/3,1/3 1/3,2/3,1/3,1/3 2/3,2/3,1/3,1/3"
_EIGHT: Final = (
    "0,0,3/4,3/4 3/4,0,1/4,1/4 3/4,1/4,1/4,1/4 3/4,1/2,1/4,1/4 "
    "0,3/4,1/4,1/4 1/4,3/4,1/4,1/4 1/2,3/4,1/4,1/4 3/4,3/4,1/4,1/4"
)
_UP_TO_2: Final = ((1, _WHOLE), (2, _parse("0,1/4,1/2,1/2 1/2,1/4,1/2,1/2")))
_FROM_10: Final = (
    (12, _grid(4, 3, "1/4,1/4", "0,1/8")),
    (16, _grid(4, 4, "1/4,1/4")),
    (17, _grid(4, 4, "1/5,1/5", "1/10,0") + _parse("2/5,4/5,1/5,1/5")),
)

_STYLES: Final[dict[int, tuple[tuple[int, tuple[Tile, ...]], ...]]] = {
    1: (
        *_UP_TO_2,
        (3, _parse("0,1/6,2/3,2/3 2/3,1/6,1/3,1/3 2/3,1/2,1/3,1/3")),
        (4, _grid(2, 2, "1/2,1/2")),
        (6, _parse(_SIX)),
        (8, _parse(_EIGHT)),
        (9, _grid(3, 3, "1/3,1/3")),
        *_FROM_10,
    ),
    2: (
        (1, _WHOLE),
        (5, _parse("0,0,4/5,1") + _grid(1, 4, "1/5,1/4", "4/5,0")),
        (7, _parse("0,0,7/8,1") + _grid(1, 6, "1/8,1/6", "7/8,0")),
        (9, _parse("0,0,9/10,1") + _grid(1, 8, "1/10,1/8", "9/10,0")),
        (17, _parse("0,0,4/5,1") + _grid(2, 8, "1/10,1/8", "4/5,0")),
        (33, _parse("0,0,3/5,1") + _grid(4, 8, "1/10,1/8", "3/5,0")),
    ),
    3: ((64, _WHOLE),),
    4: (
        *_UP_TO_2,
        (3, _parse("0,0,1/2,1/2 1/2,0,1/2,1/2 1/4,1/2,1/2,1/2")),
        (4, _grid(2, 2, "1/2,1/2")),
        (5, _parse("0,1/6,1/3,1/3 1/3,1/6,1/3,1/3 2/3,1/6,1/3,1/3 1/6,1/2,1/3,1/3 1/2,1/2,1/3,1/3")),
        (6, _grid(3, 2, "1/3,1/3", "0,1/6")),
        (9, _grid(3, 3, "1/3,1/3")),
        *_FROM_10,
    ),
    5: (
        (1, _WHOLE),
        (7, _WHOLE + _grid(6, 1, "1/6,1/6", "0,5/6")),
        (13, _parse("1/5,0,3/5,2/3") + _grid(6, 2, "1/6,1/6", "0,2/3")),
        (19, _parse("1/4,0,1/2,1/2") + _grid(6, 3, "1/6,1/6", "0,1/2")),
    ),
}
