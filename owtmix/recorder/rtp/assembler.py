"""Packets of one sender become frames, in order. Time is told: there is no clock and no socket here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from owtmix.recorder.rtp.payload import FormatName, Part
from owtmix.recorder.rtp.timeline import MAX_GAP, SequenceUnwrapper

MAX_BUFFERED_PACKETS: Final = 8192
MAX_BUFFERED_BYTES: Final = 8 << 20
"""Of what waits for packets before it, and so of a frame: less than a journal takes."""
MAX_ASKS: Final = 20
"""How often a packet is asked for."""


class Arrival(NamedTuple):
    """A depacketised packet. ``at_us`` is by a clock that never jumps, ``arrived_us`` since 1970."""

    sequence: int
    timestamp: int
    marker: bool
    name: FormatName
    part: Part
    at_us: int
    arrived_us: int


class Assembled(NamedTuple):
    """A frame. ``after_loss`` says that something before it is missing; times are those of its last packet."""

    name: FormatName
    timestamp: int
    data: bytes
    at_us: int
    arrived_us: int
    after_loss: bool


@dataclass(slots=True)
class _Hole:
    """Packets in a row that are missing."""

    since_us: int
    asked_us: int = -1 << 62
    asks: int = 0


class Assembler:
    """See the module.

    A picture is complete with a packet that has the marker, or with one of another time after it. Sound is complete
    with each packet.

    Args:
        is_video: Whether frames have many packets.
        patience_us: How long a missing packet is waited for.
    """

    def __init__(self, *, is_video: bool, patience_us: int) -> None:
        self.late = self.lost = 0
        """Packets that came too late or twice, and frames that were given up."""
        self._is_video = is_video
        self._patience_us = patience_us
        self._sequences = SequenceUnwrapper()
        self._waiting: dict[int, Arrival] = {}
        self._bytes = 0
        self._missing: dict[int, _Hole] = {}
        self._next: int | None = None
        """First packet of the next frame; what lies from there to ``_end`` is there and belongs to it."""
        self._end = 0
        self._after_loss = False
        self._broken: int | None = None
        """Time of the frame that was given up last, whose rest may still come."""

    def add(self, arrival: Arrival) -> None:
        """Take a packet, in any order."""
        before = self._sequences.highest
        found = self._sequences.unwrap(arrival.sequence)
        if found is None:
            self.late += 1
            return
        sequence, is_new = found
        if self._next is None or before is None:
            self._next = self._end = sequence
        elif is_new or (sequence > before and len(self._missing) + sequence - before > MAX_GAP + 1):
            self._restart(sequence)
        elif sequence > before + 1:
            self._missing.update(dict.fromkeys(range(before + 1, sequence), _Hole(arrival.at_us)))
        self._missing.pop(sequence, None)
        if sequence < self._next or sequence in self._waiting:
            self.late += 1
            return
        self._waiting[sequence] = arrival
        self._bytes += len(arrival.part.data)

    def pop(self, now_us: int) -> list[Assembled]:
        """The frames that are complete, in order. What was waited for long enough is given up."""
        frames = []
        while self._next is not None:
            if self._is_complete():
                frame = self._take()
                if frame:
                    frames.append(frame)
            elif not self._give_up(now_us):
                break
        return frames

    def flush(self) -> list[Assembled]:
        """The frames that are complete, without any patience: nothing more comes."""
        self._patience_us = 0
        return self.pop(1 << 62)

    def ask(self, now_us: int, every_us: int) -> list[int]:
        """Sequence numbers to ask the sender for, each at most once in ``every_us``."""
        asked = []
        for sequence, hole in self._missing.items():
            if hole.asked_us != now_us:
                if now_us - hole.asked_us < every_us or hole.asks == MAX_ASKS:
                    continue
                hole.asked_us, hole.asks = now_us, hole.asks + 1
            asked.append(sequence % (1 << 16))
        return asked

    @property
    def buffered(self) -> tuple[int, int, int]:
        """Packets that wait, their bytes, and packets that are waited for."""
        return len(self._waiting), self._bytes, len(self._missing)

    def _is_complete(self) -> bool:
        """Whether the next frame is; moves ``_end`` over what there is of it, once."""
        assert self._next is not None
        while (arrival := self._waiting.get(self._end)) is not None:
            if self._end > self._next and arrival.timestamp != self._waiting[self._next].timestamp:
                return True
            self._end += 1
            if arrival.marker or not self._is_video:
                return True
        return False

    def _take(self) -> Assembled | None:
        """The next frame, out of the buffer. None without data (padding), and where its beginning is missing."""
        parts = self._drop(self._end)
        data = b"".join(arrival.part.data for arrival in parts)
        if not data:
            return None
        filled = next(arrival for arrival in parts if arrival.part.data)
        if filled.timestamp == self._broken:
            return None
        if not filled.part.begins:
            self._lose()
            return None
        last = parts[-1]
        frame = Assembled(last.name, last.timestamp, data, last.at_us, last.arrived_us, self._after_loss)
        self._after_loss, self._broken = False, None
        return frame

    def _give_up(self, now_us: int) -> bool:
        """Give up the hole at ``_end``, if there is one and it is time. Returns whether anything changed."""
        highest = self._sequences.highest
        assert highest is not None
        is_full = len(self._waiting) > MAX_BUFFERED_PACKETS or self._bytes > MAX_BUFFERED_BYTES
        if self._end > highest:
            if is_full:  # one frame without an end
                self._lose()
                self._drop(self._end)
            return is_full
        hole = self._missing.get(self._end)
        if hole and now_us - hole.since_us < self._patience_us and not is_full:
            return False
        self._lose()
        before, stop = self._waiting.get(self._end - 1), self._end
        self._broken = before.timestamp if before else self._broken
        while stop <= highest and stop not in self._waiting:
            self._missing.pop(stop, None)
            stop += 1
        while self._is_video and (arrival := self._waiting.get(stop)) is not None:
            if arrival.part.begins and arrival.timestamp != self._broken:
                break
            stop += 1
        self._drop(stop)
        return True

    def _drop(self, stop: int) -> list[Arrival]:
        """Take what is before ``stop`` out of the buffer; the next frame begins there."""
        assert self._next is not None
        dropped = [self._waiting.pop(n) for n in range(self._next, stop) if n in self._waiting]
        self._bytes -= sum(len(arrival.part.data) for arrival in dropped)
        self._next = self._end = stop
        return dropped

    def _restart(self, sequence: int) -> None:
        """Begin anew at ``sequence``: what waits will not be completed."""
        self._lose()
        self._waiting.clear()
        self._missing.clear()
        self._bytes = 0
        self._next = self._end = sequence

    def _lose(self) -> None:
        self.lost += 1
        self._after_loss = True
