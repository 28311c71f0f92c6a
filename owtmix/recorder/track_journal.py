"""The journals of one track of a session, one after another: begun, ended and brought to the disk."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import SUFFIX, Frame, JournalHead, JournalWriter, Kind, Report
from owtmix.recorder.pace import Pace
from owtmix.recorder.rtp.reception import EncodedFrame

RETRY_US: Final = 1_000_000
"""After a write that failed."""

MOST_BREAKS: Final = 16
BREAK_EVERY_US: Final = 10_000_000
"""A journal follows another one, whose codec or timeline ended, so many times in a row, and then so seldom: each takes
a descriptor for a while, a read of its own when files are made, and one of pictures is a file."""

_LOGGER: Final = logging.getLogger(__name__)


class TrackTime(NamedTuple):
    """What a track counts: units in a second, and whether all tracks of the session count the same time."""

    rate: int
    is_common: bool = False


class TrackJournal:
    """See the module.

    A journal begins with the first frame that is wanted, a key frame, and has one codec and one timeline. Frames that
    cannot be written are dropped, until there is room again, and so are those of a sender that breaks off all the time.

    Args:
        folder: Of the journals.
        session: Id of the session.
        stream: Whose track it is.
        kind: Of the track.
        time: What the track counts.
        need_key: Asks for frames from the next key frame on.
        on_disk: Is told in words that nothing can be written, and None when it can again.
    """

    def __init__(
        self,
        folder: Path,
        session: str,
        stream: StreamId,
        kind: Kind,
        time: TrackTime,
        need_key: Callable[[], None],
        on_disk: Callable[[str | None], None],
    ) -> None:
        self.kind: Final = kind
        self.written = 0
        self.last_us: int | None = None
        """Arrival of the last frame, wanted or not."""
        self.codec: str | None = None
        self._folder = folder
        self._session = session
        self._stream = stream
        self._time = time
        self._need_key = need_key
        self._on_disk = on_disk
        self._is_wanted = False
        self._open: JournalWriter | None = None
        self._about: tuple[str, int] | None = None
        """Codec and timeline of the open journal."""
        self._ended: deque[JournalWriter] = deque()
        """Of which the thread that syncs takes, and no other."""
        self._count = 0
        self._breaks = Pace(MOST_BREAKS, BREAK_EVERY_US)
        self._is_broken = False
        self._failed_us: int | None = None
        self._waits_for_key = False

    @property
    def is_wanted(self) -> bool:
        return self._is_wanted

    def want(self, *, wanted: bool) -> None:
        """Write the frames from now on, or no longer. What comes back has another journal."""
        if wanted and not self._is_wanted:
            self._need_key()
        elif self._is_wanted and not wanted:
            self._end()
        self._is_wanted = wanted

    def frame(self, frame: EncodedFrame) -> None:
        """Write a frame, if it is wanted and can be."""
        self.last_us, self.codec = frame.arrived_us, frame.codec
        if not self._is_wanted or self._holds_back(frame):
            return
        about = (frame.codec, frame.timeline)
        if about != self._about:
            if self._about and not self._may_break(frame):
                return
            self._end()
        try:
            writer = self._open or self._begin(frame)
            writer.frame(Frame(frame.rtp, frame.arrived_us, frame.is_key, frame.data, frame.lead))
        except OSError as error:
            if self._failed_us is None:
                self._on_disk(error.strerror or type(error).__name__)
            self._failed_us = frame.arrived_us
            self._waits_for_key = False
            return
        self._open, self._about = writer, about
        self.written += 1
        if self._failed_us is not None:
            self._failed_us = None
            self._on_disk(None)

    def report(self, timeline: int, report: Report) -> None:
        """Write a sender report that is about the open journal."""
        if self._open and self._about and self._about[1] == timeline:
            with suppress(OSError):  # there are others, and a frame tells that the disk is full
                self._open.report(report)

    def sync(self) -> None:
        """Wait until what was written is on the disk. For a thread; no call may overlap another one."""
        while self._ended:
            try:
                self._ended.popleft().end()
            except OSError as error:
                _LOGGER.warning("a journal of %s ends without saying so: %s", self._stream, error.strerror)
        if writer_open := self._open:
            try:
                writer_open.sync()
            except OSError as error:
                _LOGGER.warning("a journal of %s may not be on the disk: %s", self._stream, error.strerror)

    def finish(self) -> None:
        """End all journals; as ``sync``, for a thread, when no frame comes any more."""
        self._end()
        self.sync()

    def _holds_back(self, frame: EncodedFrame) -> bool:
        """Whether frames are dropped: after a failure, until it is time to try again with a key frame."""
        if self._failed_us is None:
            return False
        if not self._waits_for_key and abs(frame.arrived_us - self._failed_us) < RETRY_US:
            return True
        if not self._waits_for_key:
            self._waits_for_key = True
            self._need_key()
        return not frame.is_key

    def _may_break(self, frame: EncodedFrame) -> bool:
        """Whether another journal may follow the open one. Where it may not, one that does later begins with a key."""
        if self._breaks.allows(frame.arrived_us):
            return True
        if not self._is_broken:
            self._is_broken = True
            _LOGGER.warning("%s of %s breaks off all the time: not all of it is recorded", self.kind, self._stream)
        self._need_key()
        return False

    def _begin(self, frame: EncodedFrame) -> JournalWriter:
        name = f"{self._session}.{self.kind}.{self._count + 1}{SUFFIX}"
        time = self._time
        head = JournalHead(self._session, self._stream, self.kind, frame.codec, time.rate, time.is_common)
        writer = JournalWriter(self._folder / name, head)
        self._count += 1
        return writer

    def _end(self) -> None:
        if self._open:
            self._ended.append(self._open)
        self._open = self._about = None
