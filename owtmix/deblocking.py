"""Which recordings can do without their codec's loop filter, which is up to two fifths of decoding.

Without it a picture is rough at the edges of blocks, the more so the further it is from a key frame. Where it is shown
much smaller than it is, edges are averaged away. A recording is decoded in one way throughout, so that its pixels do
not depend on where decoding begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from owtmix.clip import Clip, VideoTrack
from owtmix.geometry import Rect, ResizeMode, fit
from owtmix.plan import Picture

CODECS: Final = frozenset({"h264", "vp8"})
LONGEST_GOP_S: Final = Fraction(12)
LARGEST_SHARE: Final = Fraction(1, 3)
"""What a tile may have of a picture's width and of its height."""


def dispensable(picture: Picture, clips: Sequence[Clip]) -> frozenset[int]:
    """The numbers of the sources that need no loop filter, wherever ``picture`` shows them."""
    small = {clip.source: clip.video for clip in clips if clip.video and _has_key_frames(clip.video)}
    for stream, shots in picture.shots.items():
        rects = [(scene.span, tile.rect) for scene in picture.scenes for tile in scene.tiles if tile.stream == stream]
        for shot in shots:
            source = shot.source
            if source is None or source not in small:
                continue
            shown = (rect for span, rect in rects if span.overlaps(shot.span))
            if not all(_is_small(small[source], rect, picture.resize_mode) for rect in shown):
                del small[source]
    return frozenset(small)


def _has_key_frames(track: VideoTrack) -> bool:
    return track.codec in CODECS and track.gop_s <= LONGEST_GOP_S


def _is_small(track: VideoTrack, tile: Rect, mode: ResizeMode) -> bool:
    fitted = fit(track.size, Fraction(1), tile, mode)
    sizes = (fitted.target.width, fitted.crop.width), (fitted.target.height, fitted.crop.height)
    return all(target <= LARGEST_SHARE * whole for target, whole in sizes)
