"""The layout styles: how the canvas is divided into tiles for a number of streams (docs/layouts.md).

Each style is a module with a function from the number of streams to areas, registered in ``_STYLES``. Areas are in
the order in which they are assigned to streams and drawn, tile 1 first. A style knows only that number: areas are
fractions of the canvas, and streams, pixels and time are unknown here. ``plan.scenes`` asks for each scene's tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from owtmix.base.geometry import Area
from owtmix.jobfile.spec import LayoutStyle
from owtmix.plan.layouts.grids import WHOLE
from owtmix.plan.layouts.tile import tile
from owtmix.plan.layouts.tile2 import tile2
from owtmix.plan.layouts.vertical import vertical
from owtmix.plan.layouts.vertical2 import vertical2

_STYLES: Final[Mapping[LayoutStyle, Callable[[int], Iterator[Area]]]] = {
    LayoutStyle.TILE: tile,
    LayoutStyle.VERTICAL: vertical,
    LayoutStyle.TILE2: tile2,
    LayoutStyle.VERTICAL2: vertical2,
}


def areas(style: LayoutStyle, count: int) -> tuple[Area, ...]:
    """The tiles of a built-in style (1 to 5) for ``count`` streams; there may be fewer or more than ``count``."""
    if count <= 0:
        return ()
    if count == 1 or style is LayoutStyle.SINGLE:
        return (WHOLE,)
    return tuple(_STYLES[style](count))


def template(templates: Sequence[tuple[Area, ...]], count: int) -> tuple[Area, ...]:
    """The custom template with exactly ``count`` tiles, else the smallest with more, else the largest."""
    if count <= 0 or not templates:
        return ()
    enough = [t for t in templates if len(t) >= count]
    return min(enough, key=len) if enough else max(templates, key=len)


def largest(tiles: Sequence[Area]) -> int:
    """Index of the largest tile; of equal ones the first."""
    return max(range(len(tiles)), key=lambda i: (tiles[i].width * tiles[i].height, -i))
