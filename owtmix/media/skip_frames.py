"""Skips decoding of non-reference frames that the output does not show.

An output of 15 frames a second shows every other frame of a camera at 30. The decoder knows which frames are
references: it is only told which frames are not shown (FFmpeg's ``skip_frame``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Final

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

SKIPPING_DECODERS: Final = frozenset({"h264", "hevc", "vp8", "vp9"})
"""Decoders that apply ``skip_frame`` to the next packet; dav1d applies it one packet late."""
REORDERED: Final = 16
"""Packets that a frame may be reordered by: the limit of H.264 and H.265."""


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """The file times (s) that a reader is asked for: every ``i / fps - offset_s``, and ``others``."""

    fps: int
    offset_s: Fraction
    others: tuple[Fraction, ...] = ()


def skip_unshown(
    packets: Iterator[Packet[Stream]], stream: VideoStream, times: SampleTimes
) -> Iterator[Packet[Stream]]:
    """Yield ``packets``; before each, set whether the decoder of ``stream`` may skip it."""
    if stream.codec_context.codec.name not in SKIPPING_DECODERS:
        yield from packets
        return
    assert stream.time_base
    ticks = _SampleTicks(times, stream.time_base)
    context = stream.codec_context
    skips = False
    before: deque[int] = deque(maxlen=REORDERED)
    coming: deque[tuple[int | None, Packet[Stream]]] = deque()
    for packet in chain(packets, [None] * REORDERED):
        if packet is not None:
            coming.append((packet.pts if packet.size else None, packet))
            if len(coming) <= REORDERED:
                continue
        if not coming:
            return
        pts, current = coming.popleft()
        if pts is not None:
            later = [other for other in (*before, *(ahead for ahead, _ in coming)) if other is not None and other > pts]
            unshown = bool(later) and not ticks.any_in(pts, min(later))
            if unshown != skips:
                skips = unshown
                context.skip_frame = "NONREF" if skips else "DEFAULT"
            before.append(pts)
        yield current


class _SampleTicks:
    """Sample times in ticks of a stream's time base, in exact integer arithmetic."""

    def __init__(self, times: SampleTimes, time_base: Fraction) -> None:
        per_tick = time_base * times.fps
        shift = times.offset_s * times.fps
        self._unit = per_tick.denominator * shift.denominator
        self._per_tick = per_tick.numerator * shift.denominator
        self._shift = shift.numerator * per_tick.denominator
        self._others: Sequence[Fraction] = [t / time_base for t in times.others]

    def any_in(self, start: int, end: int) -> bool:
        """Whether a sample time is in ``[start, end)``, in ticks."""
        first = -(-(start * self._per_tick + self._shift) // self._unit) * self._unit
        return first < end * self._per_tick + self._shift or any(start <= other < end for other in self._others)
