"""A sender that has the keys of its session, and sends garbage."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress

import pylibsrtp

from tests.support.live import RunningRoom, Sending

PAYLOAD_TYPES = (96, 97, 98, 99, 100, 111)
H264_ABSURD = b"\x67\x42\x00\xff" + b"\xff" * 60
"""Parameters of a picture with sizes beyond measure."""


class HostileSender:
    """Sends what ``rng`` says, through the connection of ``sending`` and beside it."""

    def __init__(self, sending: Sending, rng: random.Random) -> None:
        self.sent = 0
        self._rng = rng
        self._transport = sending.publisher.connection.getSenders()[0].transport
        self._own = [sender._ssrc for sender in sending.publisher.connection.getSenders()]
        candidate = self._transport.transport.getRemoteCandidates()[0]
        self._beside = candidate.ip, candidate.port

    async def send_for(self, seconds: float) -> None:
        """As fast as one packet at a time can be, for so long."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beside:
            beside.setblocking(False)
            while loop.time() < until_s:
                for _ in range(20):
                    await self._send_one(beside)
                await asyncio.sleep(0.01)

    async def _send_one(self, beside: socket.socket) -> None:
        self.sent += 1
        with suppress(pylibsrtp.Error, BlockingIOError, ConnectionError):
            match self._rng.randrange(5):
                case 0:
                    beside.sendto(self._rng.randbytes(self._rng.randrange(1, 1400)), self._beside)
                case 1:
                    await self._transport._send_rtp(self._rtcp())
                case _:
                    await self._transport._send_rtp(self._rtp())

    def _rtp(self) -> bytes:
        rng = self._rng
        ssrc = rng.choice([*self._own, rng.randrange(2**32)])
        payload = rng.choice(
            [
                rng.randbytes(rng.randrange(0, 1200)),
                b"\x7c\x85" + rng.randbytes(900),
                b"\x18" + struct.pack("!H", len(H264_ABSURD)) + H264_ABSURD + b"\0\2\x68x\0\3\x65yz",
                b"\x90\xff" + rng.randbytes(20),
                b"\xef\xff\xff\xff" * 20,
            ]
        )
        extension = struct.pack("!HH", 0xBEDE, rng.randrange(4)) + rng.randbytes(12) if rng.random() < 0.3 else b""
        first = 0x80 | (0x10 if extension else 0) | (0x20 if rng.random() < 0.1 else 0)
        second = rng.choice(PAYLOAD_TYPES) | rng.choice([0, 0x80])
        head = struct.pack("!BBHLL", first, second, rng.randrange(65536), rng.randrange(2**32), ssrc)
        return head + extension + payload

    def _rtcp(self) -> bytes:
        rng = self._rng
        kind, count = rng.choice([200, 200, 201, 202, 205, 206, 207]), rng.randrange(4)
        body = struct.pack("!L", rng.choice([*self._own, rng.randrange(2**32)])) + rng.randbytes(4 * rng.randrange(12))
        return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


async def memory(room: RunningRoom) -> int:
    return int((await room.control.status())["memory_bytes"])
