"""A session: one sender, whose frames go into journals. At most one sound and one picture."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Kind
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.rtp.transport import now_us
from owtmix.recorder.track_journal import TrackJournal, TrackTime

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


class Session(ABC):
    """See the module. What is its own of a source is below: ``WebRtcSession`` and ``FedSession``.

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
        self.settings: Final = settings
        self.fell_silent = False
        """Whether it ended since nothing came any more."""
        self._on_event = on_event
        self._has_joined = self._is_full = False
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._running: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def journals(self) -> Sequence[TrackJournal]:
        """Of its tracks."""

    @property
    @abstractmethod
    def alive_us(self) -> int:
        """When something came for the last time; 0 before."""

    @abstractmethod
    def counters(self, journal: TrackJournal) -> dict[str, int]:
        """What a track has had, as JSON: ``frames``, ``bytes``, ``lost``, ``late`` and others."""

    @abstractmethod
    async def close(self) -> None:
        """Receive no more."""

    def begin(self) -> None:
        """Run from now on, until ``end`` or the sender leaves; called once."""
        self._running = asyncio.create_task(self._run())

    async def end(self, why: str) -> None:
        """End the session, and wait until its journals are on the disk."""
        self.say_stop(why)
        if self._running:
            await asyncio.wait({self._running})

    @property
    def is_ending(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._stop.done()

    def say_stop(self, why: str) -> None:
        """End the session soon."""
        if not self._stop.done():
            self._stop.set_result(why)

    def want(self, *, audio: bool, video: bool) -> None:
        """Write sound or picture from now on, or no longer."""
        for journal in self.journals:
            journal.want(wanted=audio if journal.kind == "audio" else video)

    def status(self) -> dict[str, Any]:
        """As JSON: who, since when, the arrival of the last frame, and what each track has had."""
        arrivals = [journal.last_us for journal in self.journals if journal.last_us is not None]
        return {
            "session": self.name,
            "stream": str(self.stream),
            "began_us": self.began_us,
            "last_us": max(arrivals, default=None),
            "tracks": [self._track_status(journal) for journal in self.journals],
        }

    def make_journal(self, kind: Kind, time: TrackTime, need_key: Callable[[], None]) -> TrackJournal:
        """The journal of one of its tracks."""
        return TrackJournal(self.settings.journals, self.name, self.stream, kind, time, need_key, self._tell_of_disk)

    def write(self, journal: TrackJournal, frame: EncodedFrame) -> None:
        """Write a frame that came. With the first one the stream has joined."""
        if not self._has_joined:
            self._has_joined = True
            self._on_event(self, "joined")
        journal.frame(frame)

    def _track_status(self, journal: TrackJournal) -> dict[str, Any]:
        return {
            "kind": journal.kind,
            "codec": journal.codec,
            "recorded": journal.is_wanted,
            "written": journal.written,
            **self.counters(journal),
        }

    async def _run(self) -> None:
        why = await self._watch()
        self.say_stop(why)
        try:
            await asyncio.wait_for(self.close(), CLOSE_S)
        except Exception:  # aiortc's, which must not keep the session
            _LOGGER.exception("session %s: its connection does not close", self.name)
        await asyncio.to_thread(self._on_disk, TrackJournal.finish)
        self._on_event(self, "left", why)

    async def _watch(self) -> str:
        """Bring journals to the disk until the session ends. Returns why it does."""
        settings, begun_us = self.settings, now_us()
        while True:
            looked_us = now_us()
            done, _ = await asyncio.wait({self._stop}, timeout=SYNC_EVERY_S)
            if done:
                return self._stop.result()
            if now_us() - looked_us > HELD_UP_US:  # what came meanwhile was not read yet
                continue
            alive_us = self.alive_us
            if alive_us and now_us() - alive_us > settings.silence_s * 1e6:
                self.fell_silent = True
                return f"no packets for {settings.silence_s:g} s"
            if not alive_us and now_us() - begun_us > settings.connect_s * 1e6:
                return f"nothing came within {settings.connect_s:g} s"
            await asyncio.to_thread(self._on_disk, TrackJournal.sync)

    def _on_disk(self, do: Callable[[TrackJournal], None]) -> None:
        for journal in self.journals:
            do(journal)

    def _tell_of_disk(self, problem: str | None) -> None:
        """Once for both tracks, and once when the first of them can be written again."""
        if self._is_full != (problem is not None):
            self._is_full = problem is not None
            self._on_event(self, "disk_full" if self._is_full else "disk_ok", problem or "")
