"""Arrangements of tiles that several layout styles share. Sizes are fractions of the canvas."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from math import isqrt
from typing import Final

from owtmix.base.geometry import Area

WHOLE: Final = Area(Fraction(0), Fraction(0), Fraction(1), Fraction(1))


def area(left: Fraction | str, top: Fraction | str, width: Fraction | str, height: Fraction | str) -> Area:
    return Area(Fraction(left), Fraction(top), Fraction(width), Fraction(height))


def grid(columns: int, left: str, top: str, width: str, height: str) -> Iterator[Area]:
    """Equal tiles, row by row from ``left, top``, without end."""
    k = 0
    while True:
        row, column = divmod(k, columns)
        yield area(Fraction(left) + column * Fraction(width), Fraction(top) + row * Fraction(height), width, height)
        k += 1


def main_and_column(size: str, top: str, right: tuple[str, str, str, str, int]) -> Iterator[Area]:
    """A main tile and a column beside it; ``right`` is the column's left, top, tile width, tile height and count."""
    yield area("0", top, size, size)
    left, first, width, height, count = right
    yield from islice(grid(1, left, first, width, height), count)


def main_in_corner(main: str, small: str, right: int, below: int) -> Iterator[Area]:
    """A main tile in the top left corner, small ones down its right side, then below it."""
    yield area("0", "0", main, main)
    yield from islice(grid(1, main, "0", small, small), right)
    yield from islice(grid(below, "0", main, small, small), below)


def square_grid(count: int) -> Iterator[Area]:
    """The smallest k x k grid that holds ``count``, unused rows dropped and the rest centred vertically."""
    k = isqrt(count - 1) + 1
    rows = -(-count // k)
    side = f"1/{k}"
    return islice(grid(k, "0", str(Fraction(k - rows, 2 * k)), side, side), k * rows)


def full_height_main(main: str, columns: int, width: str, height: str, count: int) -> Iterator[Area]:
    """A main tile of full height and, right of it, ``count - 1`` small ones."""
    yield area("0", "0", main, "1")
    yield from islice(grid(columns, main, "0", width, height), count - 1)


def main_above_rows(main: Area, top: str, count: int) -> Iterator[Area]:
    """A main tile and ``count - 1`` small ones in rows of six from ``top``."""
    yield main
    yield from islice(grid(6, "0", top, "1/6", "1/6"), count - 1)
