"""What the picture is made with: the CPU alone, or a graphics card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_ITEMS: Final = 72
"""Tiles and watermarks that a card draws in one frame: 64 streams, and 8 watermarks."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """``card`` is the number of the graphics card that is used; without one all is done on the CPU.

    ``encodes`` tells whether its encoder works, ``memory`` how many bytes of its memory one process may take. ``why``
    says in words why it is used, or none is.
    """

    why: str
    card: int | None = None
    encodes: bool = False
    memory: int = 0

    @property
    def device(self) -> str:
        """As ``--device`` has it."""
        return "cpu" if self.card is None else f"cuda:{self.card}"


CPU = Equipment("nothing else was asked for")
