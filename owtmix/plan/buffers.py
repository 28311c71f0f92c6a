"""How many frames and layers of a canvas are held at a time: fewer on large canvases. No pixel depends on it."""

from __future__ import annotations

from typing import Final

from owtmix.base.geometry import Size

POOL_FRAMES: Final = 6
"""One being drawn, one kept as the previous frame, the others queued at the encoder."""
LEAST_POOL_FRAMES: Final = 3
"""With these, composing and encoding still go on side by side."""
POOL_PIXELS: Final = POOL_FRAMES * 3840 * 2160
"""Larger canvases have fewer frames."""

AHEAD_FRAMES: Final = 8
"""Frames decoded per recording in one go: fewer would cost decoding speed (docs/performance.md)."""
AHEAD_PIXELS: Final = AHEAD_FRAMES * 1920 * 1080
"""Limit of the layers that are held ready, in canvas pixels."""


def pool_frames(canvas: Size) -> int:
    """How many frames of a canvas there are, to be drawn and encoded in turn."""
    return max(LEAST_POOL_FRAMES, min(POOL_FRAMES, POOL_PIXELS // (canvas.width * canvas.height)))


def ahead_frames(canvas: Size) -> int:
    """For how many frames the layers are held ready."""
    return max(1, min(AHEAD_FRAMES, AHEAD_PIXELS // (canvas.width * canvas.height)))


def kept_converters(canvas: Size) -> int:
    """How many scalers of a recording are kept. Each holds memory for the frames that it has made ready."""
    return 2 if ahead_frames(canvas) > 1 else 1
