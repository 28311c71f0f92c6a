"""Layout 4: tiles of equal size in centred rows (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from owtmix.base.geometry import Area
from owtmix.plan.layouts.grids import area, grid
from owtmix.plan.layouts.tile import tile


def tile2(count: int) -> Iterator[Area]:
    match count:
        case 3:
            return iter((*islice(grid(2, "0", "0", "1/2", "1/2"), 2), area("1/4", "1/2", "1/2", "1/2")))
        case 5:
            rows = islice(grid(3, "0", "1/6", "1/3", "1/3"), 3), islice(grid(2, "1/6", "1/2", "1/3", "1/3"), 2)
            return iter((*rows[0], *rows[1]))
        case 6:
            return islice(grid(3, "0", "1/6", "1/3", "1/3"), 6)
        case 7 | 8 | 9:
            return islice(grid(3, "0", "0", "1/3", "1/3"), 9)
        case _:
            return tile(count)
