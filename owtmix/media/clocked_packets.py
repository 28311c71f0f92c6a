"""Packets of a track in corrected time: its sections applied to what the container says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from av.packet import Packet
from av.stream import Stream

from owtmix.plan.media_info import Section

LATEST: Final = 2**62
"""Broken timestamps are clipped to this, in ticks, so that none overflows."""


def clocked(packets: Iterator[Packet[Stream]], sections: Sequence[Section]) -> Iterator[tuple[Packet[Stream], bool]]:
    """Yield ``packets``, from the first of the track on, with corrected timestamps, and whether each is used."""
    coming = iter(sections)
    following = next(coming, None)
    shift: int | None = 0
    number = -1
    for packet in packets:
        if packet.size:
            number += 1
            while following and following.first <= number:
                shift, following = following.shift, next(coming, None)
            if shift:
                packet.pts, packet.dts = _moved(packet.pts, shift), _moved(packet.dts, shift)
        yield packet, shift is not None or not packet.size


def _moved(ticks: int | None, shift: int) -> int | None:
    return None if ticks is None else max(-LATEST, min(ticks + shift, LATEST))
