"""Which addresses and ports media comes to: aioice leaves loopback out and takes any port.

It has no public setting for either, so its ``Connection`` is replaced (``install``). Media does not go through its
queue, either: that took more time than all that is done with a packet.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol, get_host_addresses

MOST_QUEUED: Final = 2048
"""Packets that wait until the connection is made: anybody can send some."""

_RECEIVE_BUFFER: Final = 1 << 20
_MEDIA: Final = range(128, 192)
"""First byte of RTP and RTCP (RFC 7983)."""


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Where media may come to.

    Attributes:
        addresses: Of this machine; all but loopback without any.
        ports: First and last of a range; None for any port.
    """

    addresses: tuple[str, ...] = ()
    ports: tuple[int, int] | None = None


class BoundConnection(Connection):
    """A connection at the addresses and ports of ``ice``, without STUN or TURN servers."""

    def __init__(self, *arguments: Any, ice: IceSettings, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.on_media: Callable[[bytes], None] | None = None
        """Is given media, when everything that came before it has been read."""
        self._ice = ice

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ARG002, ASYNC109 - as aioice has it
    ) -> list[Candidate]:
        """Candidates of this machine's addresses. An address that has no free port has none."""
        candidates = []
        loop = asyncio.get_running_loop()
        for address in self._ice.addresses or addresses:
            bound = bound_socket(address, self._ice.ports)
            if bound is None:
                continue
            _, protocol = await loop.create_datagram_endpoint(lambda: _MediaProtocol(self), sock=bound)
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", address),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=address,
                port=bound.getsockname()[1],
                type="host",
            )
            candidates.append(protocol.local_candidate)
            self._protocols.append(protocol)
        return candidates

    def data_received(self, data: bytes, component: int) -> None:
        """Take a datagram; see ``MOST_QUEUED``."""
        if self._queue.qsize() < MOST_QUEUED:
            super().data_received(data, component)

    @property
    def has_queued(self) -> bool:
        """Whether something that came has not been read."""
        return not self._queue.empty()


class _MediaProtocol(StunProtocol):
    """Hands media on without looking for STUN in it."""

    receiver: BoundConnection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if self.receiver.on_media and data and data[0] in _MEDIA:
            assert isinstance(data, bytes)
            self.receiver.on_media(data)
        else:
            super().datagram_received(data, addr)


def bound_socket(address: str, ports: tuple[int, int] | None) -> socket.socket | None:
    """A UDP socket at a port of the range that nobody has; None without any."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    first, last = ports or (0, 0)
    count = last - first + 1
    offset = random.randrange(count)  # noqa: S311 - spreads the ports, hides nothing
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    for n in range(count):
        try:
            bound.bind((address, first + (offset + n) % count))
        except OSError:
            continue
        return bound
    bound.close()
    return None


def local_addresses(ice: IceSettings) -> tuple[str, ...]:
    """The addresses that candidates are made of."""
    return ice.addresses or tuple(get_host_addresses(use_ipv4=True, use_ipv6=True))
