"""Who is in the room when: clips are placed in output time, and the output is cut into segments of constant presence.

Index time is what the index's ``StartTime`` counts, file time what a container's timestamps count, output time
starts at 0 with the earliest subscribed stream (semantics.md, "Time").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from owtmix.clip import Clip
from owtmix.spec.job import StreamId
from owtmix.timing import TimeRange, timecode


@dataclass(frozen=True, slots=True)
class Placed:
    """A clip in output time, or the part of it that counts: file time plus ``offset_s`` is output time."""

    clip: Clip
    span: TimeRange
    offset_s: Fraction


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of output time in which the same streams are present, in order of first joining."""

    span: TimeRange
    present: tuple[StreamId, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """From output time ``at_s``, index time is output time plus ``ahead_s``."""

    at_s: Fraction
    ahead_s: Fraction


@dataclass(frozen=True, slots=True)
class Timeline:
    """The room in output time.

    ``streams`` are the subscribed ones in order of first joining; ``pictures`` and ``sounds`` hold, for each, the
    parts of its clips that are seen and heard, in order and without overlap. ``segments`` cover ``[0, end)``.
    """

    end: Fraction
    streams: tuple[StreamId, ...]
    presence: Mapping[StreamId, tuple[TimeRange, ...]]
    pictures: Mapping[StreamId, tuple[Placed, ...]]
    sounds: Mapping[StreamId, tuple[Placed, ...]]
    segments: tuple[Segment, ...]
    jumps: tuple[Jump, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides the end and the gaps, in seconds (JobConfig and ``conf/owt.toml``)."""

    key_stream: StreamId | None
    idle_s: Fraction
    absence_s: Fraction
    keep_empty_gaps: bool


def build(clips: Sequence[Clip], rules: Rules) -> Timeline:
    """Place the clips of all subscribed streams; ``clips`` are in the order of the index and not empty."""
    room = [(clip, _index_range(clip)) for clip in clips]
    streams = _joining_order(room)
    origin = min(span.start for _, span in room)
    end, warnings = _end(room, rules)
    room = [(clip, TimeRange(span.start, min(span.end, end))) for clip, span in room if span.start < end]
    jumps, cut_warnings = _jumps(origin, merge((span for _, span in room), Fraction(0)), rules)
    placed: dict[StreamId, list[Placed]] = {stream: [] for stream in streams}
    for clip, span in room:
        ahead = max(j.ahead_s for j in jumps if j.at_s + j.ahead_s <= span.start)
        placed[clip.recording.stream].append(
            Placed(clip, span.shifted(-ahead), offset_s=span.start - ahead - clip.span.start)
        )
    streams = tuple(stream for stream in streams if placed[stream])
    presence = {s: merge((p.span for p in placed[s]), rules.absence_s) for s in streams}
    output_end = end - jumps[-1].ahead_s
    return Timeline(
        end=output_end,
        streams=streams,
        presence=presence,
        pictures={s: _latest_first([p for p in placed[s] if p.clip.video]) for s in streams},
        sounds={s: _latest_first([p for p in placed[s] if p.clip.audio]) for s in streams},
        segments=_segments(presence, output_end),
        jumps=jumps,
        warnings=(*warnings, *cut_warnings),
    )


def merge(ranges: Iterable[TimeRange], within: Fraction) -> tuple[TimeRange, ...]:
    """The union of ``ranges``; holes shorter than ``within`` are closed, as are touching edges."""
    merged: list[TimeRange] = []
    for span in sorted(ranges):
        if merged and (span.start <= merged[-1].end or span.start - merged[-1].end < within):
            merged[-1] = TimeRange(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def _index_range(clip: Clip) -> TimeRange:
    """What the file presents first happens at its ``StartTime``; ``EndTime`` bounds it."""
    start = clip.recording.start_s
    end = start + clip.span.duration
    if clip.recording.end_s is not None:
        end = min(end, clip.recording.end_s)
    return TimeRange(start, end)


def _joining_order(room: Sequence[tuple[Clip, TimeRange]]) -> tuple[StreamId, ...]:
    first: dict[StreamId, Fraction] = {}
    for clip, span in room:
        stream = clip.recording.stream
        first[stream] = min(first.get(stream, span.start), span.start)
    return tuple(sorted(first, key=lambda s: first[s]))


def _end(room: Sequence[tuple[Clip, TimeRange]], rules: Rules) -> tuple[Fraction, list[str]]:
    """Index time of the output's end: with the last stream, or ``IdleTime`` after the key stream left for good."""
    last = max(span.end for _, span in room)
    if rules.key_stream is None:
        return last, []
    visits = merge((span for clip, span in room if clip.recording.stream == rules.key_stream), Fraction(0))
    if not visits:
        return last, [f"KeyStream {rules.key_stream} is not in the mix: the output ends with the last stream"]
    left = visits[0].end
    for visit, back in pairwise(visits):
        if back.start - visit.end > rules.idle_s:
            break
        left = back.end
    return min(last, left + rules.idle_s), []


def _jumps(origin: Fraction, occupied: Sequence[TimeRange], rules: Rules) -> tuple[tuple[Jump, ...], list[str]]:
    """Where empty stretches longer than ``IdleTime`` are cut to it."""
    jumps = [Jump(Fraction(0), origin)]
    warnings = []
    for before, after in pairwise(occupied):
        cut = after.start - before.end - rules.idle_s
        if cut > 0 and not rules.keep_empty_gaps:
            at = before.end + rules.idle_s - jumps[-1].ahead_s
            jumps.append(Jump(at, jumps[-1].ahead_s + cut))
            warnings.append(
                f"nobody was in the room for {timecode(after.start - before.end)} from {timecode(at - rules.idle_s)}: "
                f"{timecode(cut)} of it is cut (IdleTime is {rules.idle_s} s)"
            )
    return tuple(jumps), warnings


def _latest_first(placed: Sequence[Placed]) -> tuple[Placed, ...]:
    """Where clips of one stream overlap, the one that started later wins; of equal starts the later in the index."""
    edges = sorted({edge for p in placed for edge in (p.span.start, p.span.end)})
    won: list[Placed] = []
    for start, end in pairwise(edges):
        rivals = [p for p in placed if p.span.start <= start and end <= p.span.end]
        if not rivals:
            continue
        best = max(enumerate(rivals), key=lambda r: (r[1].span.start, r[0]))[1]
        if won and won[-1].clip is best.clip and won[-1].span.end == start:
            won[-1] = Placed(best.clip, TimeRange(won[-1].span.start, end), best.offset_s)
        else:
            won.append(Placed(best.clip, TimeRange(start, end), best.offset_s))
    return tuple(won)


def _segments(presence: Mapping[StreamId, Sequence[TimeRange]], end: Fraction) -> tuple[Segment, ...]:
    edges = sorted({Fraction(0), end, *_edges(presence.values())})
    segments: list[Segment] = []
    for start, stop in pairwise(edges):
        present = tuple(s for s, spans in presence.items() if any(start in span for span in spans))
        if segments and segments[-1].present == present:
            segments[-1] = Segment(TimeRange(segments[-1].span.start, stop), present)
        else:
            segments.append(Segment(TimeRange(start, stop), present))
    return tuple(segments)


def _edges(presence: Iterable[Sequence[TimeRange]]) -> Iterator[Fraction]:
    for spans in presence:
        for span in spans:
            yield span.start
            yield span.end
