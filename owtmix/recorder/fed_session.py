"""A session whose frames a source brings, whole and in order: sound and picture count the same milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Frame, Kind
from owtmix.recorder.journal_scan import checked
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.rtp.transport import now_us
from owtmix.recorder.session import Session, SessionEvent, SessionSettings
from owtmix.recorder.track_journal import TrackJournal, TrackTime

MILLISECONDS: Final = TrackTime(1000, is_common=True)
_KINDS: Final[tuple[Kind, ...]] = ("audio", "video")


class FedSession(Session):
    """See the module; the arguments are those of ``Session``. It runs from the beginning."""

    def __init__(
        self, name: str, stream: StreamId, began_us: int, settings: SessionSettings, on_event: SessionEvent
    ) -> None:
        super().__init__(name, stream, began_us, settings, on_event)
        self._tracks = {kind: _Track(self, kind) for kind in _KINDS}
        self._alive_us = 0
        self.begin()

    def take(self, kind: Kind, frame: EncodedFrame) -> None:
        """Take a frame, which is written if it is wanted and could be media."""
        track = self._tracks[kind]
        self._alive_us = now_us()
        track.frames += 1
        track.bytes += len(frame.data)
        if not checked(frame.codec, Frame(frame.rtp, frame.arrived_us, frame.is_key, frame.data)):
            track.ignored += 1
        elif frame.is_key or not track.waits_for_key:
            track.keys += frame.is_key
            track.waits_for_key = False
            self.write(track.journal, frame)

    @property
    def journals(self) -> Sequence[TrackJournal]:
        """As ``Session.journals``."""
        return [track.journal for track in self._tracks.values()]

    @property
    def alive_us(self) -> int:
        """As ``Session.alive_us``."""
        return self._alive_us

    def counters(self, journal: TrackJournal) -> dict[str, int]:
        """As ``Session.counters``."""
        track = self._tracks[journal.kind]
        numbers = {"frames": track.frames, "bytes": track.bytes, "keys": track.keys, "ignored": track.ignored}
        return numbers | {"lost": 0, "late": 0}

    async def close(self) -> None:
        """As ``Session.close``: nothing is connected."""


class _Track:
    """A track, and what it has had."""

    def __init__(self, session: FedSession, kind: Kind) -> None:
        self.journal = session.make_journal(kind, MILLISECONDS, self._need_key)
        self.frames = self.bytes = self.keys = self.ignored = 0
        self.waits_for_key = True

    def _need_key(self) -> None:
        self.waits_for_key = True
