"""The device that composes the picture: the CPU or a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_GPU_ITEMS: Final = 72
"""Maximum number of tiles and watermarks that a GPU draws in one frame: 64 streams and 8 watermarks."""


@dataclass(frozen=True, slots=True)
class RenderDevice:
    """The chosen device.

    Attributes:
        why: The reason for the choice, for the user.
        gpu: Number of the GPU that composes; None for the CPU.
        has_encoder: Whether the GPU's H.264 encoder works.
        memory_bytes: How much GPU memory one process may use.
        sessions: How many sessions of its encoder are held, one for each process that encodes; 0 where any number is
            there.
        kernels: The folder with its compiled kernel.
        card: The GPU's UUID, where it is known.
    """

    why: str
    gpu: int | None = None
    has_encoder: bool = False
    memory_bytes: int = 0
    sessions: int = 0
    kernels: Path | None = None
    card: str = ""

    @property
    def name(self) -> str:
        """The value of ``--device``: ``cpu``, ``cuda:0``."""
        return "cpu" if self.gpu is None else f"cuda:{self.gpu}"


CPU = RenderDevice("the CPU is the default")
