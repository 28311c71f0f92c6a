"""The seam: a source brings streams to a host, which is the room."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Kind
from owtmix.recorder.rtp.reception import EncodedFrame


class Admission(NamedTuple):
    """A session that has begun: its id, and the answer to the offer."""

    session: str
    sdp: str


class Inlet(Protocol):
    """A session whose frames a source brings."""

    @property
    def name(self) -> str:
        """Its id."""

    @property
    def fell_silent(self) -> bool:
        """Whether it ended since nothing came any more."""

    @property
    def is_ending(self) -> bool:
        """Whether it has ended, or is about to."""

    def take(self, kind: Kind, frame: EncodedFrame) -> None:
        """Take a frame, of H.264 or AAC; its times are milliseconds, which sound and picture have in common."""

    async def end(self, why: str) -> None:
        """End the session, if it has not ended."""


class Host(Protocol):
    """A room, as sources see it."""

    async def admit(self, stream: StreamId, sdp: str) -> Admission:
        """Begin a session of ``stream`` with an offer. It replaces another one of the same stream.

        Raises:
            RequestError: The offer is not accepted, or the room is full.
        """

    async def open(self, stream: StreamId) -> Inlet:
        """Begin a session of ``stream`` whose frames the source brings. It replaces another one of the same stream.

        Raises:
            RequestError: The room is full.
        """

    async def leave(self, session: str, why: str) -> None:
        """End a session, if it has not ended."""

    def has(self, session: str) -> bool:
        """Whether a session goes on."""

    def has_stream(self, stream: StreamId) -> bool:
        """Whether a stream has a session that goes on."""


class Source(Protocol):
    """Brings streams to ``host`` until it is cancelled."""

    async def run(self, host: Host) -> None: ...
