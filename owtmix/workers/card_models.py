"""What models of NVIDIA cards have, by the name that the driver gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

CONSUMER_SESSIONS: Final = 8
"""NVENC sessions of a machine over all its cards whose sessions the driver limits (drivers from 2024 on; newer ones
allow more).
"""


@dataclass(frozen=True, slots=True)
class CardModel:
    """Engines of a card. ``limited``: its sessions count towards ``CONSUMER_SESSIONS``. ``known``: not a guess."""

    name: str
    nvdec: int
    nvenc: int
    limited: bool = False
    known: bool = True

    @property
    def needs_session(self) -> bool:
        """Whether one of ``CONSUMER_SESSIONS`` is held by whoever encodes on it."""
        return self.limited and self.nvenc > 0


# Engines of one GPU: NVIDIA, "Video Encode and Decode Support Matrix" (developer.nvidia.com), columns "# of NVDEC/chip"
# and "# of NVENC/chip"; sessions: its column "Max # of concurrent sessions", which is a limit of the whole system
# ("NVENC Application Note", licensing policy). An A16 board shows as four GPUs.
MODELS: Final = (
    # Turing
    CardModel("T4", nvdec=2, nvenc=1),
    # Ampere
    CardModel("A2", nvdec=2, nvenc=1),
    CardModel("A10", nvdec=2, nvenc=1),
    CardModel("A10G", nvdec=2, nvenc=1),
    CardModel("A16", nvdec=2, nvenc=1),
    CardModel("A30", nvdec=4, nvenc=0),
    CardModel("A40", nvdec=2, nvenc=1),
    CardModel("A100", nvdec=5, nvenc=0),
    CardModel("RTX A5000", nvdec=2, nvenc=1),
    CardModel("RTX A6000", nvdec=2, nvenc=1),
    CardModel("GeForce RTX 3080", nvdec=1, nvenc=1, limited=True),
    CardModel("GeForce RTX 3090", nvdec=1, nvenc=1, limited=True),
    # Ada
    CardModel("L4", nvdec=4, nvenc=2),
    CardModel("L40", nvdec=3, nvenc=3),
    CardModel("L40S", nvdec=3, nvenc=3),
    CardModel("RTX 6000 Ada", nvdec=3, nvenc=3),
    CardModel("GeForce RTX 4080", nvdec=1, nvenc=2, limited=True),
    CardModel("GeForce RTX 4090", nvdec=1, nvenc=2, limited=True),
    # Hopper
    CardModel("H100", nvdec=7, nvenc=0),
    CardModel("H200", nvdec=7, nvenc=0),
    # Blackwell
    CardModel("B200", nvdec=7, nvenc=0),
    CardModel("GeForce RTX 5080", nvdec=2, nvenc=2, limited=True),
    CardModel("GeForce RTX 5090", nvdec=2, nvenc=3, limited=True),
)


def model_of(name: str) -> CardModel:
    """The model of a card that the driver calls ``name``; for one that is not in the table, the least that cards have.

    >>> model_of("NVIDIA A100-SXM4-80GB").nvdec
    5
    """
    words = _words(name)
    fitting = [model for model in MODELS if _words(model.name) <= words]
    guess = CardModel(name or "a card without a name", nvdec=1, nvenc=1, limited=True, known=False)
    return max(fitting, key=lambda model: len(_words(model.name)), default=guess)


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Z0-9]+", name.upper()))
