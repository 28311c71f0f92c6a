"""Exact time: half-open ranges ``[start, end)`` in ``Fraction`` seconds, and the output's frame clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True, order=True)
class TimeRange:
    """A half-open range ``[start, end)`` in seconds, never empty. Fields of this type say which clock they count."""

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"empty time range [{self.start}, {self.end})")

    @property
    def duration(self) -> Fraction:
        return self.end - self.start

    def __contains__(self, t: Fraction) -> bool:
        return self.start <= t < self.end

    def overlaps(self, other: TimeRange) -> bool:
        return self.start < other.end and other.start < self.end

    def common(self, other: TimeRange) -> TimeRange:
        """The part that lies in both ranges, which must overlap."""
        return TimeRange(max(self.start, other.start), min(self.end, other.end))

    def shifted(self, by: Fraction) -> TimeRange:
        return TimeRange(self.start + by, self.end + by)


@dataclass(frozen=True, slots=True)
class FrameClock:
    """Converts between frame numbers and output time: frame ``i`` is presented at ``i / fps`` seconds.

    It shows the room at the middle of the time for which it is presented (docs/semantics.md, "Time").
    """

    fps: int

    def time(self, index: int) -> Fraction:
        """Presentation time of frame ``index``, in seconds."""
        return Fraction(index, self.fps)

    def middle(self, index: int) -> Fraction:
        """The time that frame ``index`` shows, in seconds."""
        return Fraction(2 * index + 1, 2 * self.fps)

    def index(self, t: Fraction) -> int:
        """Number of the frame that is shown at time ``t``."""
        return floor(t * self.fps)

    def first_from(self, t: Fraction) -> int:
        """Number of the first frame at or after ``t``; equals the number of frames before ``t``."""
        return ceil(t * self.fps)

    def first_showing(self, t: Fraction) -> int:
        """Number of the first frame that shows time ``t`` or a later one."""
        return max(0, ceil(t * self.fps - Fraction(1, 2)))


def timecode(t: Fraction) -> str:
    """Format seconds as ``01:02:03.456``, rounded down to the millisecond."""
    ms = floor(abs(t) * 1000)
    sign = "-" if t < 0 else ""
    return f"{sign}{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


class Spanned(Protocol):
    """An item with a time range."""

    @property
    def span(self) -> TimeRange: ...


SpannedT = TypeVar("SpannedT", bound=Spanned)


def overlapping(items: Sequence[SpannedT], span: TimeRange) -> Sequence[SpannedT]:
    """Those of ``items``, which must be sorted and disjoint, that overlap ``span``."""
    first = bisect_right(items, span.start, key=lambda item: item.span.end)
    return items[first : bisect_left(items, span.end, lo=first, key=lambda item: item.span.start)]


def item_at(items: Sequence[SpannedT], t: Fraction) -> SpannedT | None:
    """That of ``items``, which must be sorted and disjoint, in which ``t`` lies."""
    number = bisect_right(items, t, key=lambda item: item.span.start) - 1
    return items[number] if number >= 0 and t in items[number].span else None


def parts_within(ranges: Sequence[TimeRange], span: TimeRange) -> Iterator[TimeRange]:
    """The parts of ``ranges``, which must be sorted and disjoint, that lie in ``span``."""
    for number in range(bisect_right(ranges, span.start, key=lambda found: found.end), len(ranges)):
        if ranges[number].start >= span.end:
            return
        yield ranges[number].common(span)


class SpanCursor(Generic[SpannedT]):
    """Looks items up by time, in amortized O(1). Spans must be sorted and disjoint; ``t`` must not decrease."""

    def __init__(self, items: Sequence[SpannedT]) -> None:
        self._items = items
        self._position = 0

    def at(self, t: Fraction) -> SpannedT | None:
        """The item whose span contains ``t``, or None."""
        while self._position < len(self._items) and self._items[self._position].span.end <= t:
            self._position += 1
        item = self._items[self._position] if self._position < len(self._items) else None
        return item if item is not None and t in item.span else None

    @property
    def rest(self) -> Sequence[SpannedT]:
        """The items that end after the last ``t``."""
        return self._items[self._position :]
