"""Places the tracks of a session on the server's clock. Pure: it knows records of journals and nothing of media.

Three clocks are involved. A track counts RTP time, the sender has a clock, which its reports compare with RTP time, and
the server has the clock of ``arrived_us``. A frame's time is when its sender captured it, by the server's clock:

    RTP time  --(median over all reports of: NTP - RTP time)-->  sender's clock
    sender's clock  --(least of: arrival - NTP, over all reports of the session)-->  server's clock

Both differences are straight lines, since clocks drift: 100 ppm are 0.36 s in an hour. All tracks of a session have the
same second line, so sound and picture stay together. A track without reports has one line, through the least of:
arrival - RTP time. Tracks that count the same time, as those of RTMP, have this line together.

Nothing is sent before it has been captured, and a packet of sound not before its last sample. Browsers report of sound
when they send a packet, as if its first sample were of that moment: by their reports it arrives before it is over. Its
line is lowered until it does not, which is by 20 to 40 ms.

Senders may lie or jump. Odd reports are left out; reports that contradict the arrival of frames are not believed; and
no frame is placed more than ``EARLY_US`` after its arrival, or ``LATE_US`` before it: there the track's clock has
jumped, and the frame counts as captured when it arrived. So the times of a session are those of its arrivals, whatever
a sender claims. Only where a sender or the recorder was held up, which frames soon after show that are in time again,
may frames be later, up to ``LATEST_US``.

A room that is composed while it is recorded cannot wait for what is known at the end: there clocks are fixed as it goes
(``fixed_clock``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import median
from typing import Final, NamedTuple

from owtmix.recorder.journal import Frame, Report

EARLY_US: Final = 500_000
LATE_US: Final = 5_000_000
"""Packets are repeated for a second, and a stream is gone after five."""
LATEST_US: Final = 60_000_000
"""So late may frames be after which others come in time: who sent or received them was held up."""
MAX_TIME_US: Final = 1 << 62

_SECOND_US: Final = 1_000_000
_MOST_SECONDS: Final = 100_000
"""More than a day."""
_SOON_S: Final = 20
"""Frames are in time again so soon after some that were held up."""
_WINDOW_US: Final = 10_000_000
"""Of arrival, in which the least delay counts: it has hundreds of frames."""
_MOST_WINDOWS: Final = 50_000
"""More than five days."""
_REPORTS_PER_WINDOW: Final = 16
_MOST_COMPARED: Final = 120
"""Points that are compared with each other for a drift."""
_MOST_DRIFT: Final = 1e-3
"""Quartz is off by 100 ppm at most. A clock that differs more has no drift, but jumps."""
_DRIFT_FROM_US: Final = 60_000_000
"""Over a shorter time jitter looks like drift."""
_FEWEST_POINTS: Final = 6
_ODD_US: Final = 2_000_000
"""A report that differs so much from most others is left out."""


class _Point(NamedTuple):
    """A clock said ``at_us``, and another one ``apart_us`` more."""

    at_us: float
    apart_us: float


@dataclass(frozen=True, slots=True)
class _Line:
    """How far a clock is ahead of another one: ``apart_us`` at ``from_us`` of that one, and ``drift`` more each us."""

    from_us: float
    apart_us: float
    drift: float

    def ahead(self, at_us: float) -> float:
        return self.apart_us + (at_us - self.from_us) * self.drift


class Knot(NamedTuple):
    """RTP time, in microseconds, and the server's clock then."""

    rtp_us: float
    at_us: float


class TrackLog:
    """What a clock needs to know of a journal. Its size depends on the time that passed, not on the records.

    Args:
        rate: Units of RTP time in a second.
        is_common: Whether all tracks of the session count the same time.
    """

    def __init__(self, rate: int, *, is_common: bool = False) -> None:
        self.rate = rate
        self.is_common = is_common
        self.first_arrived_us = MAX_TIME_US
        self.last_arrived_us = 0
        self.soon: dict[int, _Point] = {}
        """The least difference of arrival and RTP time, when a frame is over, in each second of arrival."""
        self._least: dict[int, _Point] = {}
        self._reports: dict[int, list[Report]] = {}

    def add(self, record: Frame | Report, lasts: int = 0) -> None:
        """Take the next record; a frame of sound ``lasts`` so many units of RTP time."""
        window = record.arrived_us // _WINDOW_US
        self.first_arrived_us = min(self.first_arrived_us, record.arrived_us)
        self.last_arrived_us = max(self.last_arrived_us, record.arrived_us)
        if isinstance(record, Report):
            held = self._reports.get(window)
            if held is None and len(self._reports) < _MOST_WINDOWS:
                self._reports[window] = [record]
            elif held is not None and len(held) < _REPORTS_PER_WINDOW:
                held.append(record)
            return
        over_us = rtp_us(record, self.rate) + lasts * 1e6 / self.rate
        point = _Point(over_us, record.arrived_us - over_us)
        _keep_least(self._least, window, point, _MOST_WINDOWS)
        _keep_least(self.soon, record.arrived_us // _SECOND_US, point, _MOST_SECONDS)

    @property
    def reports(self) -> list[Report]:
        return [report for reports in self._reports.values() for report in reports]

    @property
    def delays(self) -> list[_Point]:
        """The least difference of arrival and RTP time in each window, in order of arrival."""
        return [self._least[window] for window in sorted(self._least)]


@dataclass(slots=True)
class TrackClock:
    """Tells when the frames of a track were captured. Ask it in order: it follows jumps of the track's clock.

    Attributes:
        rate: Units of RTP time in a second.
        sender: From RTP time to the sender's clock; None where no report is believed.
        server: From there to the server's clock.
    """

    rate: int
    sender: _Line | None
    server: _Line
    soon: Mapping[int, _Point] = field(default_factory=dict)
    """The least difference of arrival and RTP time in each second of arrival."""
    shift_us: float = 0.0
    knots: tuple[Knot, ...] = ()
    """Where it was fixed while the room was composed: these are believed, not the lines."""

    def time_us(self, frame: Frame) -> int:
        """When ``frame`` was captured, by the server's clock, in microseconds since 1970."""
        time_us = self.placed(rtp_us(frame, self.rate)) + self.shift_us
        lag_us = frame.arrived_us - time_us
        if -EARLY_US <= lag_us <= LATE_US or (LATE_US < lag_us <= LATEST_US and self._is_held_up(frame.arrived_us)):
            return round(time_us)
        self.shift_us += lag_us
        return frame.arrived_us

    def _is_held_up(self, arrived_us: int) -> bool:
        """Whether frames that arrive soon after are in time."""
        second = arrived_us // _SECOND_US
        after = (self.soon[number] for number in range(second + 1, second + 1 + _SOON_S) if number in self.soon)
        lags = (at_us + apart_us - self.placed(at_us) - self.shift_us for at_us, apart_us in after)
        return any(-EARLY_US <= lag_us <= LATE_US for lag_us in lags)

    def anew(self) -> TrackClock:
        """The same, before the first frame."""
        return replace(self, shift_us=0.0)

    def placed(self, at_us: float) -> float:
        """The server's clock at an RTP time, both in microseconds, where the track's clock does not jump."""
        if self.knots:
            return between(self.knots, at_us)
        sent_us = at_us + (self.sender.ahead(at_us) if self.sender else 0)
        return sent_us + self.server.ahead(sent_us)


def fixed_clock(rate: int, knots: tuple[Knot, ...]) -> TrackClock:
    """A clock that believes nothing but its ``knots``."""
    return TrackClock(rate, None, _Line(0, 0, 0), knots=knots)


def between(knots: Sequence[Knot], rtp_us: float) -> float:
    """The server's clock at an RTP time: on the line between two of ``knots``; outside of them clocks are as fast."""
    number = bisect_right(knots, rtp_us, key=lambda knot: knot.rtp_us)
    before = knots[max(0, number - 1)]
    if not 0 < number < len(knots):
        return before.at_us + (rtp_us - before.rtp_us)
    after = knots[number]
    part = (rtp_us - before.rtp_us) / (after.rtp_us - before.rtp_us)
    return before.at_us + part * (after.at_us - before.at_us)


def rtp_us(record: Frame | Report, rate: int) -> float:
    """The RTP time of a record in microseconds."""
    return record.rtp * 1e6 / rate


def place(logs: Sequence[TrackLog]) -> list[TrackClock]:
    """The clocks of the tracks of a session."""
    senders = [_sender(log) for log in logs]
    delays = [
        _Point(report.ntp_us, report.arrived_us - report.ntp_us)
        for log, sender in zip(logs, senders, strict=True)
        if sender
        for report in log.reports
        if _is_near(report.ntp_us - rtp_us(report, log.rate), sender.ahead(rtp_us(report, log.rate)))
    ]
    server = _line(_least(_usual(delays)), is_least=True) if delays else None
    common = _least(sorted(point for log in logs if log.is_common for point in log.delays))
    return [
        _clock(log, sender, server, common if log.is_common else log.delays)
        for log, sender in zip(logs, senders, strict=True)
    ]


def _sender(log: TrackLog) -> _Line | None:
    """From RTP time to the sender's clock, by the reports of a track."""
    points = [_Point(at_us := rtp_us(report, log.rate), report.ntp_us - at_us) for report in log.reports]
    return _line(_usual(points), is_least=False) if points else None


def _clock(log: TrackLog, sender: _Line | None, server: _Line | None, delays: Sequence[_Point]) -> TrackClock:
    """The clock of a track; without reports by ``delays``, its own or those of all tracks that count the same time."""
    if sender and server:
        clock = TrackClock(log.rate, sender, server, log.soon)
        lags = [at_us + apart_us - clock.placed(at_us) for at_us, apart_us in delays]
        lag_us = median(lags) if lags else 0.0
        if -EARLY_US <= lag_us <= LATE_US:
            early_us = min(0.0, lag_us)
            return replace(clock, sender=replace(sender, apart_us=sender.apart_us + early_us))
    own = _line(_usual(delays), is_least=True) if delays else _Line(0, 0, 0)
    return TrackClock(log.rate, None, own, log.soon)


def _keep_least(points: dict[int, _Point], place: int, point: _Point, most: int) -> None:
    """Keep the point with the least difference at a place, of which there are ``most``."""
    least = points.get(place)
    if (least is None and len(points) < most) or (least and point.apart_us < least.apart_us):
        points[place] = point


def _is_near(some_us: float, other_us: float) -> bool:
    return abs(some_us - other_us) <= _ODD_US


def _usual(points: Sequence[_Point]) -> list[_Point]:
    """The points without those that differ from most. What a clock drifts in the time of all makes no point odd."""
    usual_us, usual_at_us = median(p.apart_us for p in points), median(p.at_us for p in points)
    return [
        p for p in points if abs(p.apart_us - usual_us) <= _ODD_US + _MOST_DRIFT * min(abs(p.at_us - usual_at_us), 1e11)
    ] or [*points][:1]


def _least(points: Sequence[_Point]) -> list[_Point]:
    """The point with the least difference in each window of time, in order."""
    found: dict[float, _Point] = {}
    for point in points:
        window = point.at_us // _WINDOW_US
        if window not in found or point.apart_us < found[window].apart_us:
            found[window] = point
    return [found[window] for window in sorted(found)]


def _line(points: Sequence[_Point], *, is_least: bool) -> _Line:
    """The line through the middle of ``points``, or with ``is_least`` below all of them.

    Its drift is the median of those between any two points (Theil and Sen): a third of the points may be wrong.
    """
    from_us = points[0].at_us
    drift = _drift(points)
    left = [point.apart_us - (point.at_us - from_us) * drift for point in points]
    return _Line(from_us, min(left) if is_least else median(left), drift)


def _drift(points: Sequence[_Point]) -> float:
    """The drift that points show; 0 where their scatter is as large, or no clock drifts like that."""
    some = points[:: max(1, -(-len(points) // _MOST_COMPARED))]
    span_us = some[-1].at_us - some[0].at_us
    if len(some) < _FEWEST_POINTS or span_us < _DRIFT_FROM_US:
        return 0.0
    slopes = [(b.apart_us - a.apart_us) / (b.at_us - a.at_us) for a, b in combinations(some, 2) if a.at_us != b.at_us]
    drift = median(slopes) if slopes else 0.0
    left = [point.apart_us - (point.at_us - some[0].at_us) * drift for point in some]
    usual = median(left)
    scatter_us = median(abs(value - usual) for value in left)
    return drift if abs(drift) <= _MOST_DRIFT and abs(drift) * span_us > 2 * scatter_us else 0.0
