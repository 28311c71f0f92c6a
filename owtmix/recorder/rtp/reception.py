"""What arrives for one track of a session: packets of all senders in, frames of one of them out, and its feedback.

There is no clock and no socket here. ``at_us`` is by a clock that never jumps, ``arrived_us`` since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from owtmix.recorder.journal import Codec, Kind, Report
from owtmix.recorder.rtp.assembler import Arrival, Assembled, Assembler
from owtmix.recorder.rtp.packet import Packet
from owtmix.recorder.rtp.payload import Format, depacketise, is_key, original, red_blocks
from owtmix.recorder.rtp.timeline import Timeline

PATIENCE_US: Final = 1_000_000
"""For packets that are asked for again: recording has no hurry."""
SOUND_PATIENCE_US: Final = 400_000
"""For packets that are not: only for those out of order."""
SILENCE_US: Final = 1_000_000
"""A sender that is silent for so long is replaced by another."""
ASK_EVERY_US: Final = 60_000
KEY_REQUEST_EVERY_US: Final = 500_000

_OPUS_RATE: Final = 48_000
_VIDEO_RATE: Final = 90_000
_NTP_1970_S: Final = 2_208_988_800


class EncodedFrame(NamedTuple):
    """A frame of a track, as ``Frame``. Its time is comparable with that of frames of the same ``timeline``."""

    codec: Codec
    timeline: int
    rtp: int
    is_key: bool
    data: bytes
    arrived_us: int
    lead: int = 0


@dataclass(slots=True)
class Counters:
    """Of a track, since its session began.

    ``lost`` are frames that were given up, or that need one that was; ``recovered`` those out of redundant sound.
    """

    packets: int = 0
    bytes: int = 0
    frames: int = 0
    keys: int = 0
    lost: int = 0
    late: int = 0
    recovered: int = 0
    repeated: int = 0
    asked: int = 0
    key_requests: int = 0
    ignored: int = 0


class Reception:
    """See the module.

    One sender is listened to at a time: one that the offer names, or else the first, until it is silent.

    Args:
        kind: Of the track.
        formats: What its payload types stand for.
        senders: SSRCs that the offer names; none where it names none.
        repairs: The SSRC of retransmissions, and whose they are.
        can_ask: Whether the sender repeats packets.
        on_frame: Is given each frame.
        on_report: Is given each report of the sender, with the timeline that it is about.
    """

    def __init__(
        self,
        kind: Kind,
        formats: Mapping[int, Format],
        senders: Collection[int],
        repairs: Mapping[int, int],
        *,
        can_ask: bool,
        on_frame: Callable[[EncodedFrame], None],
        on_report: Callable[[int, Report], None],
    ) -> None:
        self.counters = Counters()
        self.sender: int | None = None
        self.alive_us = 0
        """When its last packet or report came."""
        self._heard_us = 0
        self._is_video = kind == "video"
        self._formats = formats
        self._senders = frozenset(senders)
        self._repairs = repairs
        self._can_ask = can_ask
        self._on_frame = on_frame
        self._on_report = on_report
        self._assembler = self._new_assembler()
        self._timeline = Timeline(self._rate, 0)
        self._newest: tuple[int, int] | None = None
        self._needs_key = self._is_video
        self._wants_key = self._is_video
        self._key_us = self._key_request_us = -1 << 62

    def add(self, packet: Packet, at_us: int, arrived_us: int) -> None:
        """Take a packet."""
        counters = self.counters
        form = self._formats.get(packet.payload_type)
        if form and form.name == "rtx":
            repeated = self._repeated(packet, form)
            form = repeated and self._formats.get(repeated.payload_type)
            packet = repeated or packet
            counters.repeated += form is not None
        part = depacketise(form.name, packet.payload) if form and self._listens(packet.ssrc, at_us) else None
        if part is None or form is None:
            counters.ignored += 1
            return
        counters.packets += 1
        counters.bytes += len(packet.payload)
        self._assembler.add(
            Arrival(packet.sequence, packet.timestamp, packet.marker, form.name, part, at_us, arrived_us)
        )
        self.tick(at_us)

    def report(self, ssrc: int, ntp: int, timestamp: int, at_us: int, arrived_us: int) -> None:
        """Take a sender report; ``ntp`` is its time as 32.32 bits of seconds."""
        if ssrc != self.sender:
            return
        self.alive_us = at_us
        rtp = self._timeline.near(timestamp, at_us)
        if rtp is not None:
            ntp_us = (ntp >> 32) * 1_000_000 + ((ntp & 0xFFFFFFFF) * 1_000_000 >> 32) - _NTP_1970_S * 1_000_000
            self._on_report(self._timeline.number, Report(rtp, arrived_us, ntp_us))

    def tick(self, at_us: int) -> None:
        """Hand on what is complete by now."""
        for frame in self._assembler.pop(at_us):
            self._emit(frame)

    def finish(self) -> None:
        """Hand on what is complete: nothing more comes."""
        for frame in self._assembler.flush():
            self._emit(frame)

    def need_key(self) -> None:
        """Give no picture until the next one that decoding can begin with, and ask for it."""
        self._needs_key = self._wants_key = self._is_video

    def asks(self, at_us: int) -> list[int]:
        """Sequence numbers of packets to ask the sender for."""
        asked = self._assembler.ask(at_us, ASK_EVERY_US) if self._can_ask else []
        self.counters.asked += len(asked)
        return asked

    def wants_key(self, at_us: int, every_us: int) -> bool:
        """Whether a picture that decoding can begin with is to be asked for: one is needed, or is due."""
        if not self._is_video or self.sender is None or at_us - self._key_request_us < KEY_REQUEST_EVERY_US:
            return False
        wants = self._wants_key or at_us - max(self._key_us, self._key_request_us) >= every_us
        if wants:
            self._key_request_us = at_us
            self.counters.key_requests += 1
        return wants

    @property
    def lost(self) -> int:
        """As ``Counters.lost``, with what the assembler gave up."""
        return self.counters.lost + self._assembler.lost

    @property
    def late(self) -> int:
        return self.counters.late + self._assembler.late

    @property
    def _rate(self) -> int:
        return _VIDEO_RATE if self._is_video else _OPUS_RATE

    def _new_assembler(self) -> Assembler:
        return Assembler(is_video=self._is_video, patience_us=PATIENCE_US if self._can_ask else SOUND_PATIENCE_US)

    def _listens(self, ssrc: int, at_us: int) -> bool:
        """Whether ``ssrc`` is the sender, or becomes it."""
        if ssrc != self.sender:
            if self._senders and ssrc not in self._senders:
                return False
            if self.sender is not None:
                if at_us - self._heard_us < SILENCE_US:
                    return False
                self._replace()
            self.sender = ssrc
        self._heard_us = self.alive_us = at_us
        return True

    def _replace(self) -> None:
        """Another sender has other numbers and another time."""
        self.finish()
        self.counters.lost, self.counters.late = self.lost, self.late
        self._assembler = self._new_assembler()
        self._timeline = Timeline(self._rate, self._timeline.number + 1)
        self.need_key()

    def _repeated(self, packet: Packet, form: Format) -> Packet | None:
        """The packet that a retransmission repeats."""
        found = original(packet.payload)
        ssrc = self._repairs.get(packet.ssrc, self.sender if not self._repairs else None)
        if found is None or ssrc is None or form.repairs is None:
            return None
        sequence, payload = found
        return Packet(form.repairs, packet.marker, sequence, packet.timestamp, ssrc, payload)

    def _emit(self, frame: Assembled) -> None:
        if not self._is_video:
            self._emit_sound(frame)
            return
        before = self._timeline.number
        rtp = self._timeline.place(frame.timestamp, frame.at_us)
        key = is_key(frame.name, frame.data)
        if frame.after_loss or self._timeline.number != before or self._is_old(rtp):
            self.need_key()
        if key and not self._is_old(rtp):
            self._needs_key = self._wants_key = False
            self._key_us = frame.at_us
        if self._needs_key:
            self._wants_key = True
            self.counters.lost += self._newest is not None
            return
        self._give(frame, rtp, frame.data, key=key)

    def _emit_sound(self, frame: Assembled) -> None:
        """The packet, after what of its redundant data was not given before."""
        rtp = self._timeline.place(frame.timestamp, frame.at_us)
        blocks = [(0, frame.data)]
        if frame.name == "red":
            blocks = [
                (block.before, block.data)
                for block in red_blocks(frame.data)
                if block.data and self._is_opus(block.payload_type)
            ]
        has_begun = self._newest is not None and self._newest[0] == self._timeline.number
        for before, data in blocks:
            if self._is_old(rtp - before):
                self.counters.late += not before
            elif has_begun or not before:
                self.counters.recovered += before > 0
                self._give(frame, rtp - before, data, key=True)

    def _is_opus(self, payload_type: int) -> bool:
        form = self._formats.get(payload_type)
        return form is not None and form.name == "opus"

    def _is_old(self, rtp: int) -> bool:
        """Whether a frame of this time, or of a later one, was given already."""
        return self._newest is not None and (self._timeline.number, rtp) <= self._newest

    def _give(self, frame: Assembled, rtp: int, data: bytes, *, key: bool) -> None:
        codec: Codec = "opus" if not self._is_video else "h264" if frame.name == "h264" else "vp8"
        self.counters.frames += 1
        self.counters.keys += key
        self._newest = self._timeline.number, rtp
        self._on_frame(EncodedFrame(codec, self._timeline.number, rtp, key, data, frame.arrived_us))
