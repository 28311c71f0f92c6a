"""A receiver of encoded frames: takes the place of aiortc's ``RTCRtpReceiver``, without decoder and thread.

aiortc makes receivers in one place and uses of them what stands here; ``RecordingTransport`` uses the rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)
from aiortc.stats import RTCStatsReport

from owtmix.recorder.journal import Kind, Report
from owtmix.recorder.rtp.packet import Packet
from owtmix.recorder.rtp.payload import Format, FormatName
from owtmix.recorder.rtp.reception import EncodedFrame, Reception
from owtmix.recorder.rtp.statistics import ReceptionStatistics
from owtmix.recorder.rtp.transport import RecordingTransport

REPORT_EVERY_US: Final = 1_000_000
MOST_ASKED: Final = 200
"""Packets that one message asks for."""

_NAMES: Final[dict[str, FormatName]] = {"h264": "h264", "vp8": "vp8", "opus": "opus", "red": "red", "rtx": "rtx"}


@dataclass(frozen=True, slots=True)
class Sink:
    """Who is told what a receiver received. ``key_every_us``: how often a key frame is asked for."""

    on_frame: Callable[[EncodedFrame], None]
    on_report: Callable[[int, Report], None]
    on_bye: Callable[[], None]
    key_every_us: int


class EncodedReceiver:
    """See the module. Gives frames to ``sink``, which is set before the answer is made."""

    def __init__(self, kind: Kind, transport: RecordingTransport) -> None:
        self.kind: Final = kind
        self.sink: Sink | None = None
        self.reception: Reception | None = None
        self.own_ssrc = 0
        self._enabled = True
        self._track: MediaStreamTrack | None = None
        self._transport = transport
        self._formats: dict[int, Format] = {}
        self._senders: frozenset[int] = frozenset()
        self._statistics: tuple[int | None, ReceptionStatistics] | None = None
        self._report_us = 0

    @property
    def track(self) -> MediaStreamTrack | None:
        return self._track

    @property
    def transport(self) -> RecordingTransport:
        return self._transport

    @property
    def sender(self) -> int | None:
        """SSRC of who is listened to."""
        return self.reception.sender if self.reception else None

    def setTransport(self, transport: RecordingTransport) -> None:  # noqa: N802
        self._transport = transport

    def _set_rtcp_ssrc(self, ssrc: int) -> None:
        self.own_ssrc = ssrc

    async def getStats(self) -> RTCStatsReport:  # noqa: N802
        """Nothing: see ``Reception.counters``."""
        return RTCStatsReport()

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin; called when the connection is made, perhaps again."""
        if self.reception or not self.sink:
            return
        repairs = {e.rtx.ssrc: e.ssrc for e in parameters.encodings if e.rtx}
        self._formats = formats(parameters.codecs)
        self._senders = frozenset(encoding.ssrc for encoding in parameters.encodings) | frozenset(repairs)
        self.reception = Reception(
            self.kind,
            self._formats,
            {encoding.ssrc for encoding in parameters.encodings},
            repairs,
            can_ask=any(f.type == "nack" and not f.parameter for c in parameters.codecs for f in c.rtcpFeedback),
            on_frame=self.sink.on_frame,
            on_report=self.sink.on_report,
        )
        self._transport._register_rtp_receiver(self, parameters)  # noqa: SLF001 - as aiortc's receiver does

    async def stop(self) -> None:
        """End for good; what is complete is given."""
        self._handle_disconnect()
        self._transport._unregister_rtp_receiver(self)  # noqa: SLF001 - as aiortc's receiver does

    def _handle_disconnect(self) -> None:
        if self.reception:
            self.reception.finish()

    async def _handle_rtp_packet(self, packet: object, arrival_time_ms: int) -> None:
        """Never called: ``RecordingTransport`` reads packets itself."""

    async def _handle_rtcp_packet(self, packet: object) -> None:
        """Never called, as ``_handle_rtp_packet``."""

    def knows(self, payload_type: int) -> bool:
        return payload_type in self._formats

    def names(self, ssrc: int) -> bool:
        """Whether the offer names ``ssrc`` as a sender of the track."""
        return ssrc in self._senders

    def take(self, packet: Packet, at_us: int, arrived_us: int) -> None:
        """Take a packet."""
        assert self.reception
        self.reception.add(packet, at_us, arrived_us)
        if packet.ssrc == self.reception.sender:
            if not self._statistics or self._statistics[0] != packet.ssrc:
                rate = self._formats[packet.payload_type].rate
                self._statistics = packet.ssrc, ReceptionStatistics(rate)
            self._statistics[1].add(packet.sequence, packet.timestamp, at_us)

    def take_report(self, packet: RtcpSrPacket, at_us: int, arrived_us: int) -> None:
        """Take a report of a sender, perhaps of another track's."""
        assert self.reception
        info = packet.sender_info
        self.reception.report(packet.ssrc, info.ntp_timestamp, info.rtp_timestamp, at_us, arrived_us)
        if self._statistics and self._statistics[0] == packet.ssrc:
            self._statistics[1].note_report(info.ntp_timestamp, at_us)

    def take_bye(self, packet: RtcpByePacket) -> None:
        """Take a sender's goodbye, perhaps of another track's."""
        if self.sink and self.sender in packet.sources:
            self.sink.on_bye()

    def tick(self, at_us: int) -> list[bytes]:
        """What is to be said to the sender."""
        reception = self.reception
        assert reception
        assert self.sink
        reception.tick(at_us)
        if reception.sender is None:
            return []
        messages: list[bytes] = []
        asked = reception.asks(at_us)
        for at in range(0, len(asked), MOST_ASKED):
            some = asked[at : at + MOST_ASKED]
            messages.append(bytes(RtcpRtpfbPacket(RTCP_RTPFB_NACK, self.own_ssrc, reception.sender, some)))
        if reception.wants_key(at_us, self.sink.key_every_us):
            messages.append(bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, self.own_ssrc, reception.sender)))
        if at_us >= self._report_us:
            # Reports of many receivers at the same moment would be lost together (RFC 3550, section 6.3).
            self._report_us = at_us + round(REPORT_EVERY_US * (0.5 + random.random()))  # noqa: S311
            messages += self._own_report(at_us)
        return messages

    def _own_report(self, at_us: int) -> list[bytes]:
        told = self._statistics and self._statistics[1].told(at_us)
        if not told or not self._statistics or self._statistics[0] is None:
            return []
        return [bytes(RtcpRrPacket(self.own_ssrc, [RtcpReceiverInfo(self._statistics[0], *told)]))]


def formats(codecs: list[RTCRtpCodecParameters]) -> dict[int, Format]:
    """What the payload types of an answer stand for."""
    found = {}
    for codec in codecs:
        repairs = codec.parameters.get("apt")
        assert codec.payloadType is not None
        found[codec.payloadType] = Format(
            _NAMES[codec.name.lower()], codec.clockRate, repairs if isinstance(repairs, int) else None
        )
    return found
