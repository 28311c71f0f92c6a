"""The sessions of a room: begun, replaced, counted, and written as the job subscribes them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from owtmix.base.ids import StreamId
from owtmix.plan.subscription import mixed_streams, subscribes_audio, subscribes_video
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.fed_session import FedSession
from owtmix.recorder.rtp.offer import OfferError
from owtmix.recorder.session import Session, SessionSettings
from owtmix.recorder.sources.base import Admission, Inlet
from owtmix.recorder.subscription import Subscription
from owtmix.recorder.turns import Turns
from owtmix.recorder.webrtc_session import WebRtcSession

MOST_ENDED: Final = 1000
"""Ids of sessions that ended, the newest."""
REPLACED: Final = "replaced"
"""Why a session ends whose stream has another one."""

_LOGGER: Final = logging.getLogger(__name__)


class Sessions:
    """See the module. Is the ``Host`` of sources.

    Args:
        settings: Of all sessions.
        subscription: What is recorded.
        most: Sessions at a time.
        tell: Is given events, as JSON.
    """

    def __init__(
        self,
        settings: SessionSettings,
        subscription: Subscription,
        most: int,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.subscription = subscription
        self.ended: deque[str] = deque(maxlen=MOST_ENDED)
        self._settings = settings
        self._most = most
        self._tell = tell
        self._sessions: dict[str, Session] = {}
        self._turns = Turns()
        self._beginning = 0
        """Streams that are being begun."""
        self._joining: dict[StreamId, None] = {}
        """Streams that are there, in the order in which they came."""
        self._is_open = True

    async def admit(self, stream: StreamId, sdp: str) -> Admission:
        """As ``Host.admit``."""
        self._check_place(stream)  # what is refused for that takes no turn
        async with self._turns.turn(stream):
            self._check_place(stream)
            session = WebRtcSession(uuid.uuid4().hex, stream, time.time_ns() // 1000, self._settings, self._take)
            self._beginning += 1
            try:
                answer = await session.answer(sdp)
            except OfferError as error:
                raise RequestError(str(error), error.status) from None
            finally:
                self._beginning -= 1
            await self._add(session)
        return Admission(session.name, answer)

    async def open(self, stream: StreamId) -> Inlet:
        """As ``Host.open``."""
        self._check_place(stream)  # what is refused for that takes no turn
        async with self._turns.turn(stream):
            self._check_place(stream)
            session = FedSession(uuid.uuid4().hex, stream, time.time_ns() // 1000, self._settings, self._take)
            await self._add(session)
        return session

    def _check_place(self, stream: StreamId) -> None:
        others = {session.stream for session in self._sessions.values()} - {stream}
        if not self._is_open or len(others) + self._beginning >= self._most:
            why = "the room is full" if self._is_open else "the room is being closed"
            raise RequestError(f"{why}; it has {len(self._sessions)} sessions", 503)

    async def _add(self, session: Session) -> None:
        """Take a session that has begun; it replaces others of its stream."""
        stream = session.stream
        replaced = [other for other in self._sessions.values() if other.stream == stream]
        self._sessions[session.name] = session
        self._joining.setdefault(stream)
        self._subscribe()
        _LOGGER.info("session %s of %s begins", session.name, stream)
        for other in replaced:
            await other.end(REPLACED)
        if not self._is_open:
            await session.end("stopped")

    async def leave(self, session: str, why: str) -> None:
        """As ``Host.leave``."""
        if session in self._sessions:
            await self._sessions[session].end(why)

    def has(self, session: str) -> bool:
        """As ``Host.has``."""
        return session in self._sessions

    def has_stream(self, stream: StreamId) -> bool:
        """As ``Host.has_stream``."""
        return stream in self._joining

    def update(self, subscription: Subscription) -> None:
        """Record something else from now on."""
        self.subscription = subscription
        self._subscribe()

    def status(self) -> list[dict[str, Any]]:
        """As JSON."""
        return [session.status() for session in self._sessions.values()]

    async def close(self) -> None:
        """End all, and begin no more."""
        self._is_open = False
        await asyncio.gather(*(session.end("stopped") for session in list(self._sessions.values())))

    def _take(self, session: Session, event: str, why: str = "") -> None:
        if event == "left":
            del self._sessions[session.name]
            self.ended.append(session.name)
            if all(other.stream != session.stream for other in self._sessions.values()):
                del self._joining[session.stream]
            self._subscribe()
        _LOGGER.info("session %s of %s: %s%s", session.name, session.stream, event, f", {why}" if why else "")
        at_us = time.time_ns() // 1000
        self._tell({"event": event, "session": session.name, "stream": str(session.stream), "at_us": at_us, "why": why})

    def _subscribe(self) -> None:
        """Write what is subscribed: of the streams that are there, the first ones that the job admits."""
        recorded = mixed_streams(self.subscription, self._joining)
        for session in self._sessions.values():
            is_recorded = session.stream in recorded
            session.want(
                audio=is_recorded and subscribes_audio(self.subscription, session.stream),
                video=is_recorded and subscribes_video(self.subscription, session.stream),
            )
