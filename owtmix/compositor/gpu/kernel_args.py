"""The argument of a launch of ``compose.cu``: its ``Batch``, passed by value.

72 items, 64 tiles and 8 watermarks, take 3,520 bytes: less than the 4 KiB that every driver passes by value.
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
MAX_PITCH: Final = np.iinfo(np.uint16).max
"""In bytes."""
BLOCK: Final = (32, 8)
"""Threads of a block; each draws 2x2 pixels."""

_ITEM: Final = np.dtype(
    [
        *((name, np.uint64) for name in ("y", "u", "v", "geometry")),
        *((name, np.uint16) for name in ("left", "top", "right", "bottom", "pitch", "chroma_pitch", "kind", "corner")),
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
    """A tile with a video frame, an opaque overlay, or a blended overlay. Numbers are those of ``compose.cu``."""

    VIDEO = 0
    OPAQUE = 1
    OVERLAY = 2


@dataclass(frozen=True, slots=True)
class Surface:
    """Addresses of three planes in the GPU's memory, and their pitches in bytes.

    ``step`` is the distance of chroma samples in a row, in samples: 2 when Cb and Cr are interleaved.
    """

    y: int
    u: int
    v: int
    pitch: int
    chroma_pitch: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """A layer to draw; ``geometry`` is the address of the ``Geometry`` of a video frame.

    Its corners are round with a radius of ``corner_px``, at most half of its shorter side.
    """

    kind: Kind
    rect: Rect
    surface: Surface
    geometry: int = 0
    corner_px: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """One output frame: items from back to front, and the surface to draw on."""

    items: Sequence[Item]
    target: Surface


def pack_batch(canvas: Size, background: tuple[int, int, int], drawings: Sequence[Drawing]) -> NDArray[Any]:
    """The ``Batch`` that draws ``drawings`` in one launch, as a structured array of shape ().

    The kernel must be compiled for ``len(drawings)`` frames. ``background`` is limited-range Y, Cb, Cr.

    Raises:
        ValueError: a drawing has more than ``MAX_GPU_ITEMS`` items, or a pitch above ``MAX_PITCH``.
    """
    dtype = np.dtype(
        [
            ("size", np.int32, 2),
            ("background", np.int32, 3),
            ("padding", np.int32),
            ("frames", _FRAME, len(drawings)),
        ]
    )
    batch: NDArray[Any] = np.zeros((), dtype)
    batch["size"], batch["background"] = (canvas.width, canvas.height), background
    for frame, drawing in zip(batch["frames"], drawings, strict=True):
        if len(drawing.items) > MAX_GPU_ITEMS:
            raise ValueError(f"{len(drawing.items)} items in a frame, of {MAX_GPU_ITEMS} at most")
        target = drawing.target
        frame["y"], frame["u"], frame["v"] = target.y, target.u, target.v
        frame["pitch"], frame["chroma_pitch"], frame["step"] = target.pitch, target.chroma_pitch, target.step
        frame["count"] = len(drawing.items)
        for row, item in zip(frame["items"], drawing.items, strict=False):
            surface, rect = item.surface, item.rect
            if max(surface.pitch, surface.chroma_pitch) > MAX_PITCH:
                raise ValueError(f"lines of {max(surface.pitch, surface.chroma_pitch)} bytes")
            row["y"], row["u"], row["v"], row["geometry"] = surface.y, surface.u, surface.v, item.geometry
            row["left"], row["top"], row["right"], row["bottom"] = rect.x, rect.y, rect.right, rect.bottom
            row["pitch"], row["chroma_pitch"], row["kind"] = surface.pitch, surface.chroma_pitch, item.kind
            row["corner"] = item.corner_px
    return batch


def grid(canvas: Size, frames: int) -> tuple[int, int, int]:
    """Blocks of threads (x, y, z) that draw so many frames."""
    return -(-canvas.width // (2 * BLOCK[0])), -(-canvas.height // (2 * BLOCK[1])), frames
