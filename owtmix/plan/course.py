"""The course of a room: its states in output time, and who is in the mix when (docs/rooms.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, islice, pairwise
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, overlapping
from owtmix.jobfile.bounds import MAX_SHOWN
from owtmix.jobfile.index import Index
from owtmix.jobfile.room_state import Change, OutputTime, RoomState
from owtmix.jobfile.spec import JobSpec, SubscriptionSpec
from owtmix.plan.subscription import admits, check_streams, joined, mixed_streams, subscribes_audio, subscribes_video
from owtmix.plan.timeline import Timeline

MAX_STATES_OF_STREAMS: Final = 5_000_000
"""After each update it is asked of each stream whether it is seen and heard: some microseconds each time."""
_FOREVER: Final = Fraction(10**15)
"""In seconds."""


@dataclass(frozen=True, slots=True)
class Course:
    """What changes in a room: ``begins`` holds until the first of ``changes``, which are in order of index time."""

    spec: JobSpec
    index: Index
    begins: RoomState
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def states(self) -> Iterator[RoomState]:
        """All states, in order."""
        yield self.begins
        yield from (change.state for change in self.changes)

    def streams(self) -> tuple[frozenset[StreamId], tuple[StreamId, ...]]:
        """The streams that are ever in the mix, and those that are only beyond ``MaxSubscriptions``."""
        joining = joined(self.index)
        specs = {state.subscription: self._spec(state) for state in self.states}.values()
        mixed = frozenset[StreamId]().union(*(mixed_streams(spec, joining) for spec in specs))
        beyond = (stream for stream in joining if stream not in mixed and any(admits(spec, stream) for spec in specs))
        return mixed, tuple(beyond)

    def check(self) -> list[str]:
        """Check the streams that the job and its updates name; returns a warning for each that is not there.

        Raises:
            SpecError: a position is of a stream that is not there.
        """
        known, spec = frozenset(file.stream for file in self.index.files), self.spec
        warnings = dict.fromkeys(check_streams(spec, known))
        for change in self.changes:
            before, spec = spec, self._spec(change.state)
            # What held before was told where it began to.
            found = check_streams(spec, known, f"{change.where}: ", before)
            warnings |= dict.fromkeys(f"{change.where}: {warning}" for warning in found)
        unknown = sorted((number, stream) for stream, number in self._switched().items() if stream not in known)
        for number, stream in unknown[:MAX_SHOWN]:
            warnings[f"{self.changes[number - 1].where}: {stream} has no recording in the index"] = None
        count = len(warnings) + max(0, len(unknown) - MAX_SHOWN)
        return [*islice(warnings, MAX_SHOWN), *([f"and {count - MAX_SHOWN:,} more of these"] * (count > MAX_SHOWN))]

    def _switched(self) -> dict[StreamId, int]:
        """The number of the first change that switched each stream."""
        state = self.changes[-1].state if self.changes else self.begins
        found: dict[StreamId, int] = {}
        for off in (state.hidden, state.muted):
            for stream, numbers in off.switches.items():
                found[stream] = min(numbers[0], found.get(stream, numbers[0]))
        return found

    def visits(self) -> dict[StreamId, tuple[TimeRange, ...]] | None:
        """When each stream is in the mix, as far as updates decide, in index time; None when they do not."""
        joining = joined(self.index)
        known: dict[SubscriptionSpec, frozenset[StreamId]] = {}
        for state in self.states:
            if state.subscription not in known:
                known[state.subscription] = mixed_streams(self._spec(state), joining)
        sets = [known[state.subscription] for state in self.states]
        if len(set(known.values())) == 1:
            return None
        # Longer than any room in both directions: the first state holds before the first update, the last one for ever.
        edges = [-_FOREVER, *(change.at_s for change in self.changes), _FOREVER]
        found: dict[StreamId, list[TimeRange]] = {}
        for (start, end), streams in zip(pairwise(edges), sets, strict=True):
            for stream in streams if start < end else ():
                spans = found.setdefault(stream, [])
                if spans and spans[-1].end == start:
                    spans[-1] = TimeRange(spans[-1].start, end)
                else:
                    spans.append(TimeRange(start, end))
        return {stream: tuple(spans) for stream, spans in found.items()}

    def spans(self, timeline: Timeline) -> tuple[StateSpan, ...]:
        """The states in output time; they cover ``[0, end)``."""
        found = [StateSpan(TimeRange(Fraction(0), timeline.end), self.spec, self.begins)]
        for change in self.changes:
            at = max(Fraction(0), timeline.output_time(change.at_s))
            if at >= timeline.end:
                break
            spec = self._spec(change.state)
            last = found[-1]
            if at == last.span.start:
                found[-1] = StateSpan(last.span, spec, change.state)
            else:
                found[-1] = replace(last, span=TimeRange(last.span.start, at))
                found.append(StateSpan(TimeRange(at, timeline.end), spec, change.state))
        return tuple(found)

    def late(self, timeline: Timeline) -> Iterator[str]:
        """A warning for each change after the end of the output."""
        for change in self.changes:
            if timeline.output_time(change.at_s) >= timeline.end:
                yield f"{change.where}: it comes after the end of the output, and changes nothing"

    def _spec(self, state: RoomState) -> JobSpec:
        return replace(self.spec, mixer=state.mixer, subscription=state.subscription)


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A state in a range of output time, and the job as it is then."""

    span: TimeRange
    spec: JobSpec
    state: RoomState

    def shows(self, stream: StreamId, *, has_picture: bool) -> bool:
        """Whether the stream has a tile while it is present."""
        return (has_picture or self.state.mixer.audio_only) and subscribes_video(self.spec, stream)

    def listens_to(self, stream: StreamId) -> bool:
        """Whether it counts that the stream speaks, also in an output without sound."""
        return self.spec.subscription.audio.admits(stream) and stream not in self.state.muted

    def hears(self, stream: StreamId) -> bool:
        """Whether the stream sounds."""
        return subscribes_audio(self.spec, stream) and stream not in self.state.muted


def course_of(spec: JobSpec, index: Index, timeline: Timeline | None = None) -> Course:
    """The course of a room. Times of the output are those of ``timeline``, or nearly so without one.

    Raises:
        SpecError: an update is wrong.
    """
    begins = RoomState(spec.mixer, spec.subscription, spec.video.bit_rate_kbps if spec.video else 0)
    if not spec.updates or not spec.updates.updates:
        return Course(spec, index, begins)
    changes, warnings = spec.updates.course(begins, _seconds(index, timeline))
    streams = len({file.stream for file in index.files})
    if streams * len(changes) > MAX_STATES_OF_STREAMS:
        problem = f"{len(changes):,} updates for {streams:,} streams: the product is at most {MAX_STATES_OF_STREAMS:,}"
        raise SpecError(Problem("Data.Updates", problem))
    return Course(spec, index, begins, changes, tuple(map(str, (*spec.updates.warnings, *warnings))))


def _seconds(index: Index, timeline: Timeline | None) -> Callable[[Decimal | OutputTime], Fraction]:
    begins_s = min(file.start_s for file in index.files)

    def seconds(at: Decimal | OutputTime) -> Fraction:
        if isinstance(at, OutputTime):
            return timeline.index_time(at.s) if timeline else begins_s + at.s
        return index.scale.seconds(at) if index.scale else Fraction(at)

    return seconds


def cut_by(spans: Sequence[StateSpan], ranges: Iterable[TimeRange]) -> Iterator[tuple[TimeRange, StateSpan]]:
    """Cut ranges at the borders of states."""
    for span in ranges:
        for found in overlapping(spans, span):
            yield span.common(found.span), found


def where_not(
    spans: Sequence[StateSpan], within: TimeRange, holds: Callable[[StateSpan], bool]
) -> tuple[TimeRange, ...]:
    """The ranges in ``within`` in which something does not hold; there are as many as it begins to hold, at most."""
    runs = ([*run] for fits, run in groupby(overlapping(spans, within), holds) if not fits)
    return tuple(within.common(TimeRange(run[0].span.start, run[-1].span.end)) for run in runs)
