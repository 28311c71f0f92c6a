"""Layout 1: tiles of equal size, or a main tile with small ones around it (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from owtmix.base.geometry import Area
from owtmix.plan.layouts.grids import area, grid, main_and_column, main_in_corner, square_grid


def tile(count: int) -> Iterator[Area]:  # noqa: PLR0911 - one return for each row of the table
    match count:
        case 2:
            return islice(grid(2, "0", "1/4", "1/2", "1/2"), 2)
        case 3:
            return main_and_column("2/3", "1/6", right=("2/3", "1/6", "1/3", "1/3", 2))
        case 4:
            return islice(grid(2, "0", "0", "1/2", "1/2"), 4)
        case 5 | 6:
            return islice(main_in_corner("2/3", "1/3", right=2, below=3), 6)
        case 7 | 8:
            return islice(main_in_corner("3/4", "1/4", right=3, below=4), 8)
        case 9:
            return islice(grid(3, "0", "0", "1/3", "1/3"), 9)
        case _ if count <= 12:  # noqa: PLR2004
            return islice(grid(4, "0", "1/8", "1/4", "1/4"), 12)
        case _ if count <= 16:  # noqa: PLR2004
            return islice(grid(4, "0", "0", "1/4", "1/4"), 16)
        case 17:
            rows = islice(grid(4, "1/10", "0", "1/5", "1/5"), 16)
            return iter((*rows, area("2/5", "4/5", "1/5", "1/5")))
        case _:
            return square_grid(count)
