"""Layout 5: a main tile above, small ones in rows of six below (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Iterator

from owtmix.base.geometry import Area
from owtmix.plan.layouts.grids import WHOLE, area, main_above_rows


def vertical2(count: int) -> Iterator[Area]:
    match count:
        case _ if count <= 7:  # noqa: PLR2004
            return main_above_rows(WHOLE, "5/6", count)
        case _ if count <= 13:  # noqa: PLR2004
            return main_above_rows(area("1/5", "0", "3/5", "2/3"), "2/3", count)
        case _:
            return main_above_rows(area("1/4", "0", "1/2", "1/2"), "1/2", min(count, 19))
