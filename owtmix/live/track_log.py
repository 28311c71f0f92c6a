"""What is known by now of a journal that is still written: when its frames were captured, and where there are none."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from owtmix.base.own_files import write_whole
from owtmix.recorder.clock import Knot, TrackClock, TrackLog, fixed_clock, rtp_us
from owtmix.recorder.fixed_clock import add_knots, clock_file, read_knots
from owtmix.recorder.journal import Frame, JournalReader, Report
from owtmix.recorder.journal_scan import Scan, checked, lasts
from owtmix.render.callbacks import Heartbeat

US: Final = 1_000_000
GAP_US: Final = US
"""Shorter gaps between frames do not affect a plan."""
_MANY: Final = 1000
_NOTICED_US: Final = 3_000.0
"""A clock that is off by less is left as it is."""
_SLEW: Final = 0.002
"""By how much a clock runs faster or slower while it is set right: nobody sees or hears that."""
_SLEWED_US: Final = 10.0 * US


@dataclass(slots=True)
class Captured:
    """When the frames of a track were captured that are looked at by now, in microseconds since 1970.

    ``until_us`` is the end of its last sound. ``gaps`` are pauses of its pictures longer than ``GAP_US``.
    """

    first_us: int | None = None
    before_us: int = 0
    last_us: int = 0
    until_us: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def add(self, at_us: int, lasts_us: int) -> None:
        """Add the next frame."""
        if self.first_us is None:
            self.first_us = self.last_us = at_us
        elif at_us - self.last_us > GAP_US:
            self.gaps.append((self.last_us, at_us))
        self.before_us, self.last_us = self.last_us, max(self.last_us, at_us)
        self.until_us = max(self.until_us, at_us + lasts_us)


class LiveTrack:
    """A journal that is read as it grows.

    Attributes:
        captured: Of the frames before the edge that ``advance`` was told last.
        coming_us: When the first frame after that edge was captured; None where none is known.

    Raises:
        JournalError: it is no journal yet.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = JournalReader(path)
        self.head = self._reader.head
        self.log = TrackLog(self.head.rate, is_common=self.head.is_common)
        self.captured = Captured()
        self.coming_us: int | None = None
        self._first: Frame | None = None
        self._frames = 0
        self._coming: deque[tuple[Frame, int]] = deque()
        self._knots = list(read_knots(path))
        if self._knots:  # what follows a line that was not written whole could never be read
            write_whole(clock_file(path), b"")
            add_knots(path, self._knots)
        self._timer: TrackClock | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self._reader.ended or self._reader.is_damaged

    @property
    def has_begun(self) -> bool:
        """Whether there is a frame that can be used."""
        return self._first is not None

    @property
    def is_fixed(self) -> bool:
        """Whether its clock is fixed: times are known."""
        return bool(self._knots)

    def read(self, edge_us: int, heartbeat: Heartbeat) -> None:
        """Read what was written since. Of much, what is before ``edge_us`` is looked at meanwhile, and not held."""
        for number, record in enumerate(self._reader.records()):
            if number % _MANY == 0:
                heartbeat()
            length = lasts(self.head.codec, record)
            self.log.add(record, length)
            if isinstance(record, Report) or (frame := checked(self.head.codec, record)) is None:
                continue
            self._frames += 1
            frame = replace(frame, data=b"")
            if self._first is None and frame.is_key:
                self._first = frame
            if self._first:
                self._coming.append((frame, length * US // self.head.rate))
                if self.is_fixed and len(self._coming) % _MANY == 0:
                    self.advance(edge_us)

    def scan(self) -> Scan:
        """As ``journal_scan.scan_journal``, of what was read."""
        return Scan(
            self.path,
            self.head,
            self.log,
            self._first,
            self._frames,
            self._reader.is_damaged,
            tuple(self._knots),
        )

    def fix(self, clock: TrackClock) -> None:
        """Fix its clock, by what ``clock`` says now.

        Raises:
            OSError: that cannot be kept.
        """
        assert self._first
        first_us = rtp_us(self._first, self.head.rate)
        self._keep([Knot(first_us, clock.placed(first_us))])

    def set_right(self, clock: TrackClock, edge_us: int) -> None:
        """Let its clock run a little faster or slower from ``edge_us`` on, if ``clock`` says that it is wrong.

        Raises:
            OSError: that cannot be kept.
        """
        last = self._knots[-1]
        if edge_us <= last.at_us:
            return
        at_rtp_us = last.rtp_us + (edge_us - last.at_us)
        wrong_us = clock.placed(at_rtp_us) - edge_us
        if abs(wrong_us) > _NOTICED_US:
            most_us = _SLEW * _SLEWED_US
            right_us = edge_us + _SLEWED_US + max(-most_us, min(most_us, wrong_us))
            self._keep([Knot(at_rtp_us, float(edge_us)), Knot(at_rtp_us + _SLEWED_US, right_us)])

    def advance(self, edge_us: int) -> None:
        """Look at the frames that were captured before ``edge_us``; its clock is fixed."""
        if self._timer is None:
            self._timer = fixed_clock(self.head.rate, ())
        self._timer.knots = tuple(self._knots)
        self.coming_us = None
        while self._coming:
            frame, lasts_us = self._coming[0]
            at_us = self._timer.time_us(frame)
            if at_us >= edge_us:
                self.coming_us = at_us
                return
            self._coming.popleft()
            self.captured.add(at_us, lasts_us)

    def _keep(self, knots: Sequence[Knot]) -> None:
        add_knots(self.path, knots)
        self._knots += knots
