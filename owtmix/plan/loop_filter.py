"""Which recordings a draft decodes without their codec's loop filter, a quarter to a half of decoding.

Without it the edges of blocks are rough, the more so the further a picture is from a key frame. Where it is shown much
smaller than it is, most of that is averaged away. A recording is decoded in one way throughout, and every key frame
begins anew, so that pixels do not depend on where decoding begins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import Final

from owtmix.base.geometry import Rect, ResizeMode, fit
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.plan.media_info import Clip, VideoTrack
from owtmix.plan.model import PicturePlan

CODECS: Final = frozenset({"h264", "vp8"})
"""FFmpeg's decoders of VP9 and AV1 filter always."""
LONGEST_GOP_S: Final = 12
"""With a single key frame, pictures were at 15 dB after two minutes."""
LARGEST_SHARE: Final = Fraction(1, 3)
"""What is shown small: this part of a picture's width and of its height, or less."""


def unfiltered(picture: PicturePlan, clips: Sequence[Clip]) -> frozenset[int]:
    """The numbers of the sources that are shown small wherever ``picture`` shows them, and have key frames enough."""
    found = {clip.source: clip.video for clip in clips if clip.video and _has_key_frames(clip.video)}
    shown_at: dict[StreamId, list[tuple[TimeRange, Rect, ResizeMode]]] = {}
    for scene in picture.scenes:
        for tile in scene.tiles:
            shown_at.setdefault(tile.stream, []).append((scene.span, tile.rect, scene.look.resize_mode))
        for tile, origin in zip(scene.tiles, scene.origins, strict=False):
            if origin:
                shown_at[tile.stream].append((scene.span, origin, scene.look.resize_mode))
    for stream, shots in picture.shots.items():
        tiles = shown_at.get(stream, [])
        for shot in shots:
            if shot.source is None or shot.source not in found:
                continue
            track = found[shot.source]
            if not all(_is_small(track, rect, mode) for rect, mode in _places(tiles, shot.span)):
                del found[shot.source]
    return frozenset(found)


def _places(tiles: Sequence[tuple[TimeRange, Rect, ResizeMode]], span: TimeRange) -> Iterator[tuple[Rect, ResizeMode]]:
    """Where and how those of a stream's ``tiles``, which follow one another, are shown in ``span``."""
    first = bisect_right(tiles, span.start, key=lambda tile: tile[0].end)  # there may be thousands
    for shown, rect, mode in islice(tiles, first, None):
        if shown.start >= span.end:
            return
        yield rect, mode


def _has_key_frames(track: VideoTrack) -> bool:
    return track.codec in CODECS and track.gop_s <= LONGEST_GOP_S


def _is_small(track: VideoTrack, tile: Rect, mode: ResizeMode) -> bool:
    fitted = fit(track.size, Fraction(1), tile, mode)
    sides = (fitted.target.width, fitted.crop.width), (fitted.target.height, fitted.crop.height)
    return all(target <= LARGEST_SHARE * whole for target, whole in sides)
