"""The layout tables (layouts.md): how many tiles, in which style, where.

Areas come in dealing order, tile 1 first, which is also drawing order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from math import isqrt
from typing import Final

from owtmix.base.geometry import Area
from owtmix.jobfile.spec import LayoutStyle

WHOLE: Final = Area(Fraction(0), Fraction(0), Fraction(1), Fraction(1))


def areas(style: LayoutStyle, count: int) -> tuple[Area, ...]:
    """The tiles of a documented style (1 to 5) for ``count`` streams; may be fewer than ``count``, or more."""
    if count <= 0:
        return ()
    if count == 1 or style is LayoutStyle.SINGLE:
        return (WHOLE,)
    return tuple(_STYLES[style](count))


def template(templates: Sequence[tuple[Area, ...]], count: int) -> tuple[Area, ...]:
    """Of custom templates, the one with exactly ``count`` tiles, else the smallest with more, else the largest."""
    if count <= 0 or not templates:
        return ()
    enough = [t for t in templates if len(t) >= count]
    return min(enough, key=len) if enough else max(templates, key=len)


def largest(tiles: Sequence[Area]) -> int:
    """Index of the main tile: the largest, the first of equals."""
    return max(range(len(tiles)), key=lambda i: (tiles[i].width * tiles[i].height, -i))


def _area(left: Fraction | str, top: Fraction | str, width: Fraction | str, height: Fraction | str) -> Area:
    return Area(Fraction(left), Fraction(top), Fraction(width), Fraction(height))


def _grid(columns: int, left: str, top: str, width: str, height: str) -> Iterator[Area]:
    """Endless rows of equal tiles from ``left, top``."""
    k = 0
    while True:
        row, column = divmod(k, columns)
        yield _area(Fraction(left) + column * Fraction(width), Fraction(top) + row * Fraction(height), width, height)
        k += 1


def _tile(count: int) -> Iterator[Area]:  # noqa: PLR0911 - one return for each row of the table
    match count:
        case 2:
            return islice(_grid(2, "0", "1/4", "1/2", "1/2"), 2)
        case 3:
            return _main("2/3", "1/6", right=("2/3", "1/6", "1/3", "1/3", 2))
        case 4:
            return islice(_grid(2, "0", "0", "1/2", "1/2"), 4)
        case 5 | 6:
            return islice(_corner("2/3", "1/3", right=2, below=3), 6)
        case 7 | 8:
            return islice(_corner("3/4", "1/4", right=3, below=4), 8)
        case 9:
            return islice(_grid(3, "0", "0", "1/3", "1/3"), 9)
        case _ if count <= 12:  # noqa: PLR2004
            return islice(_grid(4, "0", "1/8", "1/4", "1/4"), 12)
        case _ if count <= 16:  # noqa: PLR2004
            return islice(_grid(4, "0", "0", "1/4", "1/4"), 16)
        case 17:
            rows = islice(_grid(4, "1/10", "0", "1/5", "1/5"), 16)
            return iter((*rows, _area("2/5", "4/5", "1/5", "1/5")))
        case _:
            return _square(count)


def _main(size: str, top: str, right: tuple[str, str, str, str, int]) -> Iterator[Area]:
    yield _area("0", top, size, size)
    left, first, width, height, count = right
    yield from islice(_grid(1, left, first, width, height), count)


def _corner(main: str, small: str, right: int, below: int) -> Iterator[Area]:
    """A main tile in the top left corner, small ones down its right side, then below it."""
    yield _area("0", "0", main, main)
    yield from islice(_grid(1, main, "0", small, small), right)
    yield from islice(_grid(below, "0", main, small, small), below)


def _square(count: int) -> Iterator[Area]:
    """The smallest k x k grid that holds ``count``, unused rows dropped and the rest centred vertically."""
    k = isqrt(count - 1) + 1
    rows = -(-count // k)
    side = f"1/{k}"
    return islice(_grid(k, "0", str(Fraction(k - rows, 2 * k)), side, side), k * rows)


def _vertical(count: int) -> Iterator[Area]:
    match count:
        case _ if count <= 5:  # noqa: PLR2004
            return _column("4/5", 1, "1/5", "1/4", count)
        case _ if count <= 7:  # noqa: PLR2004
            return _column("7/8", 1, "1/8", "1/6", count)
        case _ if count <= 9:  # noqa: PLR2004
            return _column("9/10", 1, "1/10", "1/8", count)
        case _ if count <= 17:  # noqa: PLR2004
            return _column("4/5", 2, "1/10", "1/8", count)
        case _:
            return _column("3/5", 4, "1/10", "1/8", min(count, 33))


def _column(main: str, columns: int, width: str, height: str, count: int) -> Iterator[Area]:
    """A main tile of full height and, right of it, ``count - 1`` small ones."""
    yield _area("0", "0", main, "1")
    yield from islice(_grid(columns, main, "0", width, height), count - 1)


def _tile2(count: int) -> Iterator[Area]:
    match count:
        case 3:
            return iter((*islice(_grid(2, "0", "0", "1/2", "1/2"), 2), _area("1/4", "1/2", "1/2", "1/2")))
        case 5:
            rows = islice(_grid(3, "0", "1/6", "1/3", "1/3"), 3), islice(_grid(2, "1/6", "1/2", "1/3", "1/3"), 2)
            return iter((*rows[0], *rows[1]))
        case 6:
            return islice(_grid(3, "0", "1/6", "1/3", "1/3"), 6)
        case 7 | 8 | 9:
            return islice(_grid(3, "0", "0", "1/3", "1/3"), 9)
        case _:
            return _tile(count)


def _vertical2(count: int) -> Iterator[Area]:
    match count:
        case _ if count <= 7:  # noqa: PLR2004
            return _row(WHOLE, "5/6", count)
        case _ if count <= 13:  # noqa: PLR2004
            return _row(_area("1/5", "0", "3/5", "2/3"), "2/3", count)
        case _:
            return _row(_area("1/4", "0", "1/2", "1/2"), "1/2", min(count, 19))


def _row(main: Area, top: str, count: int) -> Iterator[Area]:
    """A main tile and ``count - 1`` small ones in rows of six from ``top``."""
    yield main
    yield from islice(_grid(6, "0", top, "1/6", "1/6"), count - 1)


_STYLES: Final = {
    LayoutStyle.TILE: _tile,
    LayoutStyle.VERTICAL: _vertical,
    LayoutStyle.TILE2: _tile2,
    LayoutStyle.VERTICAL2: _vertical2,
}
