"""Makes one gapless sound of decoded packets: silence where there is none, and each where its time says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.recorder.opus_packet import RATE_HZ

Block = NDArray[np.float32]
"""Stereo sound in -1..1, float32 (2, samples) at 48 kHz."""

_STRETCH: Final = 200
"""A block is stretched by no more than this part of it: nobody hears that, and no clock drifts as much."""
_SLACK: Final = 24
"""Samples that a block may be early or late: half a millisecond."""


class PlacedSound:
    """Gives blocks that follow each other without a gap, from ``position`` on, which the first one sets.

    A block that is late by half of its length or more follows silence. One that is early by as much has lost what was
    there before. Less is the drift between a sender's sound card and its clock: it is taken up by stretching.
    """

    def __init__(self) -> None:
        self.position: int | None = None
        """Of the next block, in samples since the file's beginning."""

    def add(self, at: int, block: Block) -> Iterator[Block]:
        """``block``, whose first sample belongs to sample ``at``, in blocks of a second at most."""
        if self.position is None:
            self.position = max(0, at)
            block, at = block[:, self.position - at :], self.position
        length = block.shape[1]
        late = at - self.position
        if late >= length // 2:
            yield from self.silence_to(at)
        elif late <= -(length // 2):
            block = block[:, -late:]
        elif abs(late) > _SLACK:
            most = max(1, length // _STRETCH)
            block = _stretched(block, length + max(-most, min(most, late)))
        if block.shape[1]:
            self.position += block.shape[1]
            yield block

    def silence_to(self, at: int) -> Iterator[Block]:
        """Silence up to sample ``at``."""
        while self.position is not None and self.position < at:
            count = min(RATE_HZ, at - self.position)
            self.position += count
            yield np.zeros((2, count), np.float32)


def _stretched(block: Block, length: int) -> Block:
    old = np.arange(block.shape[1])
    new = np.linspace(0, block.shape[1] - 1, length)
    return np.stack([np.interp(new, old, channel) for channel in block]).astype(np.float32)
