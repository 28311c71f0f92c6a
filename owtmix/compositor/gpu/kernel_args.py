"""What a launch of ``compose.cu`` is told, as bytes: its ``Batch``, which travels as a kernel argument.

72 items, 64 tiles and 8 overlays, take 3,520 bytes: less than the 4 KiB that every driver passes by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.plan.device import MAX_GPU_ITEMS

SOURCE: Final = Path(__file__).with_name("compose.cu")
KERNEL: Final = "compose"
LONGEST_PITCH: Final = np.iinfo(np.uint16).max
"""Bytes from one line to the next."""
BLOCK: Final = (32, 8)
"""Threads, each of which draws two by two pixels."""

_ITEM: Final = np.dtype(
    [
        *((name, np.uint64) for name in ("y", "u", "v", "geometry")),
        *((name, np.uint16) for name in ("left", "top", "right", "bottom", "pitch", "chroma_pitch", "kind", "spare")),
    ]
)
_FRAME: Final = np.dtype(
    [
        *((name, np.uint64) for name in ("y", "u", "v")),
        *((name, np.int32) for name in ("pitch", "chroma_pitch", "step", "count")),
        ("items", _ITEM, MAX_GPU_ITEMS),
    ]
)


class Kind(IntEnum):
    """What an item is; ``compose.cu`` has the same numbers."""

    PICTURE = 0
    CARD = 1
    OVERLAY = 2


@dataclass(frozen=True, slots=True)
class Surface:
    """Where three planes lie in a device's memory: addresses, and bytes from one line to the next.

    ``step`` is from one chroma sample of a line to the next: 2 where Cb and Cr alternate.
    """

    y: int
    u: int
    v: int
    pitch: int
    chroma_pitch: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """Something to draw; ``geometry`` is the address of a picture's."""

    kind: Kind
    rect: Rect
    surface: Surface
    geometry: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """One frame: items from back to front, and where it goes."""

    items: Sequence[Item]
    target: Surface


def pack_batch(canvas: Size, background: tuple[int, int, int], drawings: Sequence[Drawing]) -> NDArray[Any]:
    """The ``Batch`` that draws ``drawings``, compiled for as many frames.

    Raises:
        ValueError: a drawing has more than ``MAX_GPU_ITEMS`` items, or lines too long to be told.
    """
    dtype = np.dtype(
        [
            ("size", np.int32, 2),
            ("background", np.int32, 3),
            ("spare", np.int32),
            ("frames", _FRAME, len(drawings)),
        ]
    )
    told: NDArray[Any] = np.zeros((), dtype)
    told["size"], told["background"] = (canvas.width, canvas.height), background
    for frame, drawing in zip(told["frames"], drawings, strict=True):
        if len(drawing.items) > MAX_GPU_ITEMS:
            raise ValueError(f"{len(drawing.items)} items in a frame, of {MAX_GPU_ITEMS} at most")
        to = drawing.target
        frame["y"], frame["u"], frame["v"] = to.y, to.u, to.v
        frame["pitch"], frame["chroma_pitch"], frame["step"] = to.pitch, to.chroma_pitch, to.step
        frame["count"] = len(drawing.items)
        for row, item in zip(frame["items"], drawing.items, strict=False):
            surface, rect = item.surface, item.rect
            if max(surface.pitch, surface.chroma_pitch) > LONGEST_PITCH:
                raise ValueError(f"lines of {max(surface.pitch, surface.chroma_pitch)} bytes")
            row["y"], row["u"], row["v"], row["geometry"] = surface.y, surface.u, surface.v, item.geometry
            row["left"], row["top"], row["right"], row["bottom"] = rect.x, rect.y, rect.right, rect.bottom
            row["pitch"], row["chroma_pitch"], row["kind"] = surface.pitch, surface.chroma_pitch, item.kind
    return told


def grid(canvas: Size, frames: int) -> tuple[int, int, int]:
    """How many blocks of threads draw so many frames."""
    return -(-canvas.width // (2 * BLOCK[0])), -(-canvas.height // (2 * BLOCK[1])), frames
