"""Layout 2: a main tile of full height on the left, small ones in columns on its right (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Iterator

from owtmix.base.geometry import Area
from owtmix.plan.layouts.grids import full_height_main


def vertical(count: int) -> Iterator[Area]:
    match count:
        case _ if count <= 5:  # noqa: PLR2004
            return full_height_main("4/5", 1, "1/5", "1/4", count)
        case _ if count <= 7:  # noqa: PLR2004
            return full_height_main("7/8", 1, "1/8", "1/6", count)
        case _ if count <= 9:  # noqa: PLR2004
            return full_height_main("9/10", 1, "1/10", "1/8", count)
        case _ if count <= 17:  # noqa: PLR2004
            return full_height_main("4/5", 2, "1/10", "1/8", count)
        case _:
            return full_height_main("3/5", 4, "1/10", "1/8", min(count, 33))
