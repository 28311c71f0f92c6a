"""The seam: a source brings streams to a host, which is the room."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from owtmix.base.ids import StreamId


class Admission(NamedTuple):
    """A session that has begun: its id, and the answer to the offer."""

    session: str
    sdp: str


class Host(Protocol):
    """A room, as sources see it."""

    async def admit(self, stream: StreamId, sdp: str) -> Admission:
        """Begin a session of ``stream`` with an offer. It replaces another one of the same stream.

        Raises:
            RequestError: The offer is not accepted, or the room is full.
        """

    async def leave(self, session: str, why: str) -> None:
        """End a session, if it has not ended."""

    def has(self, session: str) -> bool:
        """Whether a session goes on."""


class Source(Protocol):
    """Brings streams to ``host`` until it is cancelled."""

    async def run(self, host: Host) -> None: ...
