"""Pictures that nobody will look at are not decoded, where no other picture is built on them.

An output of 15 frames a second shows every other frame of a camera at 30. Whether a frame is built on, its decoder
knows: it is only told which frames are not looked at.
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
"""Decoders that ask for each packet whether its picture is wanted; dav1d asks one packet later, and skips another."""
REORDERED: Final = 16
"""A frame's neighbours in presentation are at most so many packets away; H.264 and H.265 allow no more."""


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """When a file is looked at: at every ``i / fps - offset_s`` of its time, and at ``others``."""

    fps: int
    offset_s: Fraction
    others: tuple[Fraction, ...] = ()


def skip_unseen(
    packets: Iterator[Packet[Stream]], stream: VideoStream, glances: SampleTimes
) -> Iterator[Packet[Stream]]:
    """``packets``, each with the decoder of ``stream`` told whether its picture is looked at, if that is obedient."""
    if stream.codec_context.codec.name not in SKIPPING_DECODERS:
        yield from packets
        return
    assert stream.time_base
    looked_at = _Scale(glances, stream.time_base)
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
            later = [other for other in (*before, *(stamp for stamp, _ in coming)) if other is not None and other > pts]
            unseen = bool(later) and not looked_at.within(pts, min(later))
            if unseen != skips:
                skips = unseen
                context.skip_frame = "NONREF" if skips else "DEFAULT"
            before.append(pts)
        yield current


class _Scale:
    """The glances on the whole numbers of a stream's time base."""

    def __init__(self, glances: SampleTimes, time_base: Fraction) -> None:
        per_tick = time_base * glances.fps
        shift = glances.offset_s * glances.fps
        self._unit = per_tick.denominator * shift.denominator
        self._per_tick = per_tick.numerator * shift.denominator
        self._shift = shift.numerator * per_tick.denominator
        self._others: Sequence[Fraction] = [t / time_base for t in glances.others]

    def within(self, start: int, end: int) -> bool:
        """Whether there is a glance in ``[start, end)``, in ticks."""
        first = -(-(start * self._per_tick + self._shift) // self._unit) * self._unit
        return first < end * self._per_tick + self._shift or any(start <= other < end for other in self._others)
