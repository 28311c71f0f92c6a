"""A session: one sender's connection, whose frames go into journals. At most one sound and one picture."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiortc import RTCConfiguration, RTCPeerConnection

from owtmix.base.ids import StreamId
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.offer import OfferError, answer_offer
from owtmix.recorder.rtp.receiver import EncodedReceiver, Sink
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.rtp.transport import now_us
from owtmix.recorder.track_journal import TrackJournal

SYNC_EVERY_S: Final = 1.0
HELD_UP_US: Final = 2_000_000
"""A process that comes back so late from a pause of a second was held up: nobody is silent for that."""
CLOSE_S: Final = 5.0
"""Longest time that closing a connection may take."""

_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What all sessions of a room have in common; see ``RoomOptions``."""

    journals: Path
    ice: IceSettings
    key_every_s: float
    silence_s: float
    connect_s: float


class SessionEvent(Protocol):
    """Is told what happens to a session: ``joined``, ``left``, ``disk_full`` or ``disk_ok``, and why in words."""

    def __call__(self, session: Session, event: str, why: str = "") -> None: ...


class Session:
    """See the module.

    Args:
        name: Its id, of letters and digits.
        stream: Whose it is.
        began_us: Now.
        settings: Of the room.
        on_event: Is told what happens.
    """

    def __init__(
        self, name: str, stream: StreamId, began_us: int, settings: SessionSettings, on_event: SessionEvent
    ) -> None:
        self.name: Final = name
        self.stream: Final = stream
        self.began_us: Final = began_us
        self._settings = settings
        self._on_event = on_event
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._tracks: list[tuple[EncodedReceiver, TrackJournal]] = []
        self._gone: set[EncodedReceiver] = set()
        self._has_joined = self._is_full = False
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._running: asyncio.Task[None] | None = None

    async def answer(self, sdp: str) -> str:
        """The answer to an offer; called once. The session runs from then on, until ``end`` or its sender leaves.

        Raises:
            OfferError: The offer is not accepted. The session has ended.
        """
        try:
            receivers = await answer_offer(self._connection, sdp, self._settings.ice)
            for receiver in receivers:
                self._tracks.append((receiver, self._attach(receiver)))
            await self._connection.setLocalDescription()
            answer = self._answer()
        except BaseException:
            await self._connection.close()
            raise
        self._connection.on("connectionstatechange", self._check_connection)
        self._running = asyncio.create_task(self._run())
        return answer

    async def end(self, why: str) -> None:
        """End the session, and wait until its journals are on the disk."""
        self._say_stop(why)
        if self._running:
            await asyncio.wait({self._running})

    def want(self, *, audio: bool, video: bool) -> None:
        """Write sound or picture from now on, or no longer."""
        for _, journal in self._tracks:
            journal.want(wanted=audio if journal.kind == "audio" else video)

    def status(self) -> dict[str, Any]:
        """As JSON: who, since when, the arrival of the last frame, and what each track has had."""
        arrivals = [journal.last_us for _, journal in self._tracks if journal.last_us is not None]
        return {
            "session": self.name,
            "stream": str(self.stream),
            "began_us": self.began_us,
            "last_us": max(arrivals, default=None),
            "tracks": [_track_status(receiver, journal) for receiver, journal in self._tracks],
        }

    def _answer(self) -> str:
        answer = self._connection.localDescription.sdp
        if "a=candidate:" not in answer:
            raise OfferError("no address or port of this machine is free for media", status=503)
        return answer

    def _attach(self, receiver: EncodedReceiver) -> TrackJournal:
        def need_key() -> None:
            if receiver.reception:
                receiver.reception.need_key()

        journal = TrackJournal(
            self._settings.journals, self.name, self.stream, receiver.kind, need_key, self._tell_of_disk
        )

        def take(frame: EncodedFrame) -> None:
            if not self._has_joined:
                self._has_joined = True
                self._on_event(self, "joined")
            journal.frame(frame)

        key_every_us = round(self._settings.key_every_s * 1e6)
        receiver.sink = Sink(take, journal.report, lambda: self._take_bye(receiver), key_every_us)
        return journal

    async def _run(self) -> None:
        why = await self._watch()
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_S)
        except Exception:  # aiortc's, which must not keep the session
            _LOGGER.exception("session %s: its connection does not close", self.name)
        await asyncio.to_thread(self._on_disk, TrackJournal.finish)
        self._on_event(self, "left", why)

    async def _watch(self) -> str:
        """Bring journals to the disk until the session ends. Returns why it does."""
        settings, begun_us = self._settings, now_us()
        while True:
            looked_us = now_us()
            done, _ = await asyncio.wait({self._stop}, timeout=SYNC_EVERY_S)
            if done:
                return self._stop.result()
            if now_us() - looked_us > HELD_UP_US:  # what came meanwhile was not read yet
                continue
            alive_us = max((r.reception.alive_us for r, _ in self._tracks if r.reception), default=0)
            if alive_us and now_us() - alive_us > settings.silence_s * 1e6:
                return f"no packets for {settings.silence_s:g} s"
            if not alive_us and now_us() - begun_us > settings.connect_s * 1e6:
                return f"nothing came within {settings.connect_s:g} s"
            await asyncio.to_thread(self._on_disk, TrackJournal.sync)

    def _on_disk(self, do: Callable[[TrackJournal], None]) -> None:
        for _, journal in self._tracks:
            do(journal)

    def _say_stop(self, why: str) -> None:
        if not self._stop.done():
            self._stop.set_result(why)

    def _check_connection(self) -> None:
        state = self._connection.connectionState
        if state in {"failed", "closed"}:
            self._say_stop(f"the connection {'failed' if state == 'failed' else 'was closed'}")

    def _take_bye(self, receiver: EncodedReceiver) -> None:
        """The sender ends a track; with the last one that has begun, the session."""
        self._gone.add(receiver)
        if all(receiver in self._gone for receiver, _ in self._tracks if receiver.sender is not None):
            self._say_stop("the sender said goodbye")

    def _tell_of_disk(self, problem: str | None) -> None:
        """Once for both tracks, and once when the first of them can be written again."""
        if self._is_full != (problem is not None):
            self._is_full = problem is not None
            self._on_event(self, "disk_full" if self._is_full else "disk_ok", problem or "")


def _track_status(receiver: EncodedReceiver, journal: TrackJournal) -> dict[str, Any]:
    reception = receiver.reception
    counters = asdict(reception.counters) if reception else {}
    return {
        "kind": journal.kind,
        "codec": journal.codec,
        "recorded": journal.is_wanted,
        "written": journal.written,
        "frames": 0,
        "bytes": 0,
        **counters,
        "lost": reception.lost if reception else 0,
        "late": reception.late if reception else 0,
    }
