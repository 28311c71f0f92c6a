"""The device that composes the picture: the CPU alone, or a GPU beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_GPU_ITEMS: Final = 72
"""Tiles and watermarks that a GPU draws in one frame: 64 streams, and 8 watermarks."""


@dataclass(frozen=True, slots=True)
class RenderDevice:
    """``gpu`` is the number of the GPU that composes; None for the CPU alone.

    ``has_encoder`` says whether its H.264 encoder works, ``memory_bytes`` how much of its memory one process may take.
    ``why`` is the reason for the choice, in words.
    """

    why: str
    gpu: int | None = None
    has_encoder: bool = False
    memory_bytes: int = 0

    @property
    def name(self) -> str:
        """As ``--device`` spells it: ``cpu``, ``cuda:0``."""
        return "cpu" if self.gpu is None else f"cuda:{self.gpu}"


CPU = RenderDevice("nothing else was asked for")
