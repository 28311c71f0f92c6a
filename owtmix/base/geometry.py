"""Integer pixel geometry. The origin is top-left; edges are even, so that a 4:2:0 chroma sample belongs to one tile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from fractions import Fraction
from math import floor


class Anchor(Enum):
    """The corner of the canvas from which a position counts, and the corner of what is drawn that lies there."""

    TOP_LEFT = "top-left"
    TOP_RIGHT = "top-right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM_RIGHT = "bottom-right"

    def place(self, x: int, y: int, size: Size, canvas: Size) -> tuple[int, int]:
        """The top-left corner (px) of what is drawn ``x, y`` px from this corner of the canvas."""
        vertical, _, horizontal = self.value.partition("-")
        left = canvas.width - x - size.width if horizontal == "right" else x
        return left, canvas.height - y - size.height if vertical == "bottom" else y


class ResizeMode(IntEnum):
    """How a picture is scaled to its tile (``MixerConfig.ResizeMode``; docs/layouts.md, "Resizing")."""

    STRETCH = 0
    FILL = 1
    FIT = 2


class Orientation(Enum):
    """Rotation and mirroring of a decoded picture for display; the values are ``(a, b, c, d)`` of its display matrix.

    A point ``(x, y)`` of the decoded picture is displayed at ``(a x + c y, b x + d y)``.
    """

    UPRIGHT = (1, 0, 0, 1)
    CLOCKWISE = (0, 1, -1, 0)
    UPSIDE_DOWN = (-1, 0, 0, -1)
    COUNTERCLOCKWISE = (0, -1, 1, 0)
    MIRRORED = (-1, 0, 0, 1)
    FLIPPED = (1, 0, 0, -1)
    TRANSPOSED = (0, 1, 1, 0)
    TRANSVERSED = (0, -1, -1, 0)

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are exchanged."""
        return not self.value[0]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Rect:
    """``x, y`` (top-left corner) and size, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def overlaps(self, other: Rect) -> bool:
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def contains(self, other: Rect) -> bool:
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}"


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in fractions of the canvas's width and height."""

    left: Fraction
    top: Fraction
    width: Fraction
    height: Fraction

    def on(self, canvas: Size) -> Rect:
        """Return the rectangle in pixels. Edges are rounded, not sizes, so that neighbours meet without a gap.

        The rule is in docs/layouts.md, "From fractions to pixels".
        """
        x0, x1 = even(self.left * canvas.width), even((self.left + self.width) * canvas.width)
        y0, y1 = even(self.top * canvas.height), even((self.top + self.height) * canvas.height)
        return Rect(x0, y0, x1 - x0, y1 - y0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The used part of a picture (``crop``, in its pixels) and where it is drawn (``target``, in canvas pixels)."""

    crop: Rect
    target: Rect


def even(value: Fraction) -> int:
    """Round to the nearest even integer; halfway values are rounded up."""
    return 2 * floor(value / 2 + Fraction(1, 2))


def fit(picture: Size, sar: Fraction, tile: Rect, mode: ResizeMode) -> Fitted:
    """Place a picture of size ``picture`` and sample aspect ratio ``sar`` in ``tile``, on even edges.

    FIT keeps the aspect ratio and centres the picture; a remainder that cannot be halved goes to the right and bottom.
    FILL covers the tile with the centre of the picture and crops the rest. STRETCH maps the whole picture to the tile.
    """
    whole = Rect(0, 0, picture.width, picture.height)
    if mode is ResizeMode.STRETCH:
        return Fitted(whole, tile)
    shape = Fraction(picture.width, picture.height) * sar
    wider = shape * tile.height >= tile.width
    if mode is ResizeMode.FIT:
        if wider:
            width, height = tile.width, max(2, even(tile.width / shape))
        else:
            width, height = max(2, even(tile.height * shape)), tile.height
        x = tile.x + (tile.width - width) // 4 * 2
        y = tile.y + (tile.height - height) // 4 * 2
        return Fitted(whole, Rect(x, y, width, height))
    if wider:
        kept = Fraction(tile.width, tile.height) * picture.height / sar
        x, width = _centre(kept, picture.width)
        return Fitted(Rect(x, 0, width, picture.height), tile)
    kept = picture.width * sar * tile.height / tile.width
    y, height = _centre(kept, picture.height)
    return Fitted(Rect(0, y, picture.width, height), tile)


def _centre(kept: Fraction, whole: int) -> tuple[int, int]:
    """Offset and length of the central ``kept`` pixels of ``whole``; both even, unless all are kept."""
    length = max(2, even(kept))
    if length >= whole:
        return 0, whole
    return (whole - length) // 4 * 2, length
