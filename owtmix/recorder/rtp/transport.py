"""aiortc's transport, for receiving only: what comes is bounded, read once, and given to the receivers; feedback."""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, cast

import pylibsrtp
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcdtlstransport import RtpReceiver as RoutedReceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpSrPacket, is_rtcp

from owtmix.recorder.rtp.ice import BoundConnection
from owtmix.recorder.rtp.packet import Packet, parse_packet
from owtmix.recorder.rtp.twcc import URI, TransportFeedback

if TYPE_CHECKING:
    from owtmix.recorder.rtp.receiver import EncodedReceiver

MAX_SSRCS: Final = 32
"""Senders in one session, of RTP and of RTCP: libsrtp keeps something for each, for ever."""
TICK_S: Final = 0.05

_RTP_SSRC, _RTCP_SSRC = slice(8, 12), slice(4, 8)
"""Where packets have the SSRC of their sender, encrypted or not."""


class Unprotecting(Protocol):
    """The receiving half of an SRTP session."""

    def unprotect(self, data: bytes) -> bytes: ...

    def unprotect_rtcp(self, data: bytes) -> bytes: ...


class BoundedSrtp:
    """Decrypts packets of the first ``MAX_SSRCS`` senders."""

    def __init__(self, session: Unprotecting) -> None:
        self._session = session
        self._known: set[bytes] = set()

    def unprotect(self, data: bytes) -> bytes:
        """Raises ``pylibsrtp.Error`` where ``data`` is no packet of the session, or of one sender too many."""
        ssrc = self._checked(data[_RTP_SSRC])
        packet = self._session.unprotect(data)
        self._known.add(ssrc)
        return packet

    def unprotect_rtcp(self, data: bytes) -> bytes:
        """As ``unprotect``."""
        ssrc = self._checked(data[_RTCP_SSRC])
        packet = self._session.unprotect_rtcp(data)
        self._known.add(ssrc)
        return packet

    def _checked(self, ssrc: bytes) -> bytes:
        if ssrc not in self._known and len(self._known) >= MAX_SSRCS:
            raise pylibsrtp.Error("the session has too many senders")
        return ssrc


class RecordingTransport(RTCDtlsTransport):
    """See the module. Takes the place of aiortc's ``RTCDtlsTransport`` (``install``)."""

    _receivers: tuple[EncodedReceiver, ...] = ()
    _sequence_id: int | None = None
    _ticking: asyncio.Task[None] | None = None

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        if self._rx_srtp is not None:
            self._rx_srtp = cast("pylibsrtp.Session", BoundedSrtp(self._rx_srtp))

    def _register_rtp_receiver(self, receiver: RoutedReceiver, parameters: RTCRtpReceiveParameters) -> None:
        super()._register_rtp_receiver(receiver, parameters)
        self._receivers = (*self._receivers, cast("EncodedReceiver", receiver))
        ids = [extension.id for extension in parameters.headerExtensions if extension.uri == URI]
        self._sequence_id = ids[0] if ids else self._sequence_id
        if self._ticking is None:
            self._feedback = TransportFeedback()
            self._ticking = asyncio.create_task(self._tick())

    def _unregister_rtp_receiver(self, receiver: RoutedReceiver) -> None:
        super()._unregister_rtp_receiver(receiver)
        self._receivers = tuple(other for other in self._receivers if other is not receiver)

    async def stop(self) -> None:
        """Stop feedback, and the transport."""
        if self._ticking:
            self._ticking.cancel()
        await super().stop()

    def _take(self, data: bytes) -> None:
        """Take an encrypted packet."""
        with suppress(pylibsrtp.Error):
            if is_rtcp(data):
                self._take_rtcp(self._rx_srtp.unprotect_rtcp(data))
            else:
                self._take_rtp(self._rx_srtp.unprotect(data))

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002 - as aiortc has it
        self._take_rtp(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self._take_rtcp(data)

    def _take_rtp(self, data: bytes) -> None:
        packet = parse_packet(data, self._sequence_id)
        if packet is None or not self._receivers:
            return
        at_us = now_us()
        if packet.transport_sequence is not None:
            self._feedback.add(packet.transport_sequence, at_us)
        receiver = self._route(packet)
        if receiver:
            receiver.take(packet, at_us, time.time_ns() // 1000)

    def _route(self, packet: Packet) -> EncodedReceiver | None:
        """The receiver whose sender this is, or else the only one that knows its payload type."""
        knowing = [receiver for receiver in self._receivers if receiver.knows(packet.payload_type)]
        if len(knowing) > 1:
            knowing = [receiver for receiver in knowing if receiver.names(packet.ssrc)]
        return knowing[0] if len(knowing) == 1 else None

    def _take_rtcp(self, data: bytes) -> None:
        try:
            packets = RtcpPacket.parse(data)
        except (ValueError, IndexError, struct.error):
            return
        for packet in packets:
            for receiver in self._receivers:
                if isinstance(packet, RtcpSrPacket):
                    receiver.take_report(packet, now_us(), time.time_ns() // 1000)
                elif isinstance(packet, RtcpByePacket):
                    receiver.take_bye(packet)

    async def _tick(self) -> None:
        """Give up and ask for what is missing, and say what came."""
        connection = self.transport._connection  # noqa: SLF001 - aiortc has no other way to it
        assert isinstance(connection, BoundConnection)
        while True:
            await asyncio.sleep(TICK_S)
            if connection.on_media is None and not connection.has_queued:
                connection.on_media = self._take
            messages: list[bytes] = []
            for receiver in self._receivers:
                messages += receiver.tick(now_us())
            for receiver in self._receivers:
                if receiver.sender is not None:  # one of them speaks for all
                    messages += self._feedback.messages(receiver.own_ssrc, receiver.sender)
            with suppress(ConnectionError):
                for message in messages:
                    await self._send_rtp(message)


def now_us() -> int:
    """By a clock that never jumps."""
    return time.monotonic_ns() // 1000
