"""The timeline: clips placed in output time, and segments of constant presence (docs/semantics.md, "Time").

There are three clocks: index time, in which ``StartTime`` and ``EndTime`` are given; file time, the timestamps of a
container; and output time, which is 0 at the start of the earliest subscribed stream.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, pairwise
from typing import Final

from owtmix.base.errors import InputError
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, parts_within
from owtmix.plan.jumps import Jump, ahead_of, jumps_between, merge_ranges
from owtmix.plan.long_clips import cut_to_fit, cut_warnings
from owtmix.plan.media_info import Clip

_NOTICED_S: Final = Fraction(1)
"""Files of one stream that overlap by less are cut by a recorder, not by a second device."""


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """A clip, or a part of it, in output time. File time plus ``offset_s`` is output time."""

    clip: Clip
    span: TimeRange
    offset_s: Fraction


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of output time in which the same streams are present; they are in order of first joining."""

    span: TimeRange
    present: tuple[StreamId, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The room in output time.

    ``presence`` has the subscribed streams in order of first joining. ``pictures`` are the shown parts of each stream's
    clips, sorted and without overlap, from a clip's first picture on; ``sounds`` are its clips with sound, sorted.
    ``segments`` cover ``[0, end)``.
    """

    end: Fraction
    presence: Mapping[StreamId, tuple[TimeRange, ...]]
    pictures: Mapping[StreamId, tuple[PlacedClip, ...]]
    sounds: Mapping[StreamId, tuple[PlacedClip, ...]]
    segments: tuple[Segment, ...]
    jumps: tuple[Jump, ...]
    warnings: tuple[str, ...]

    def output_time(self, index_s: Fraction) -> Fraction:
        """The output time of a time of the index; of one that is cut, that of the cut."""
        number = bisect_right(self.jumps, index_s, key=lambda jump: jump.at_s + jump.ahead_s)
        t = index_s - self.jumps[max(0, number - 1)].ahead_s
        return min(t, self.jumps[number].at_s) if 0 < number < len(self.jumps) else t

    def index_time(self, t: Fraction) -> Fraction:
        """The time of the index at output time ``t``."""
        return t + self.jumps[max(0, bisect_right(self.jumps, t, key=lambda jump: jump.at_s) - 1)].ahead_s


@dataclass(frozen=True, slots=True)
class TimelineRules:
    """Rules for the end of the output and for gaps, in seconds, from ``JobConfig`` and ``conf/owt.toml``.

    A clip that would last longer than ``longest_s`` is cut there. The output lasts ``lasts_s`` at least, and begins at
    ``begins_s`` of index time, which is before anybody comes, or else with who comes first.
    """

    key_stream: StreamId | None
    idle_s: Fraction
    absence_s: Fraction
    keep_empty_gaps: bool
    longest_s: Fraction
    lasts_s: Fraction = Fraction(0)
    begins_s: Fraction | None = None


def build_timeline(
    clips: Sequence[Clip], rules: TimelineRules, mixed: Mapping[StreamId, Sequence[TimeRange]] | None = None
) -> Timeline:
    """Place the clips of all subscribed streams. ``clips`` must be in the order of the index and not empty.

    ``mixed`` has the ranges of index time in which each stream is in the mix, where it is not always.

    Raises:
        InputError: no stream is there while it is in the mix.
    """
    room = cut_to_fit(clips, rules.longest_s, rules.idle_s, keep_gaps=rules.keep_empty_gaps)
    visits = _visits(room, rules.absence_s, mixed)
    end, warnings = _end(visits, rules)
    visits = {stream: kept for stream, spans in visits.items() if (kept := _until(end, spans))}
    occupied = merge_ranges(chain.from_iterable(visits.values()), Fraction(0))
    if rules.begins_s is not None and rules.begins_s < occupied[0].start:
        occupied = (TimeRange(rules.begins_s, occupied[0].end), *occupied[1:])
    jumps, gap_warnings = jumps_between(occupied, rules.idle_s, keep_gaps=rules.keep_empty_gaps)
    placed: dict[StreamId, list[PlacedClip]] = {stream: [] for stream in visits}
    for clip, span in room:
        stream = clip.recording.stream
        parts = [span] if mixed is None else parts_within(mixed.get(stream, ()), span)
        for used in _until(end, parts) if stream in placed else ():
            shown = used.shifted(-ahead_of(jumps, used.start))
            offset_s = shown.start - clip.span.start - (used.start - span.start)
            placed[stream].append(PlacedClip(clip, shown, offset_s))
    presence = {s: tuple(v.shifted(-ahead_of(jumps, v.start)) for v in spans) for s, spans in visits.items()}
    output_end = max(end - jumps[-1].ahead_s, rules.lasts_s)
    return Timeline(
        end=output_end,
        presence=presence,
        pictures={s: _resolve_overlaps([seen for p in parts if (seen := _shown(p))]) for s, parts in placed.items()},
        sounds={s: tuple(sorted((p for p in parts if p.clip.sounds), key=_start)) for s, parts in placed.items()},
        segments=_segments(presence, output_end),
        jumps=jumps,
        warnings=(
            *cut_warnings(room, rules.longest_s),
            *_overlaps(room, rules.absence_s),
            *(f"{c.recording.key} has {len(c.sounds)} sound tracks: all are heard" for c in clips if len(c.sounds) > 1),
            *warnings,
            *gap_warnings,
        ),
    )


def _overlaps(room: Sequence[tuple[Clip, TimeRange]], absence_s: Fraction) -> Iterator[str]:
    """A warning for each clip that overlaps an earlier one of its stream with media of the same kind.

    Nobody notices that recorders which cut files overlap them a little.
    """
    latest: dict[tuple[StreamId, str], tuple[Clip, Fraction]] = {}
    for clip, span in sorted(room, key=lambda entry: entry[1].start):
        told = False
        for kind in (["picture"] if clip.video else []) + (["sound"] if clip.sounds else []):
            before = latest.get((clip.recording.stream, kind))
            if before and before[1] - span.start >= max(absence_s, _NOTICED_S) and not told:
                told = True
                what = "all sound is heard, and the later picture is shown"
                yield f"{clip.recording.key} overlaps {before[0].recording.key} of the same stream: {what}"
            if before is None or before[1] < span.end:
                latest[clip.recording.stream, kind] = clip, span.end


def _shown(placed: PlacedClip) -> PlacedClip | None:
    """The part of a clip from its first picture on; None without one."""
    if placed.clip.video is None:
        return None
    start = max(placed.span.start, placed.clip.video.span.start + placed.offset_s)
    return replace(placed, span=TimeRange(start, placed.span.end)) if start < placed.span.end else None


def _start(placed: PlacedClip) -> Fraction:
    return placed.span.start


def _visits(
    room: Sequence[tuple[Clip, TimeRange]], absence_s: Fraction, mixed: Mapping[StreamId, Sequence[TimeRange]] | None
) -> dict[StreamId, tuple[TimeRange, ...]]:
    """Presence of each stream in index time, with short absences closed; streams are in order of first joining."""
    spans: dict[StreamId, list[TimeRange]] = {}
    for clip, span in sorted(room, key=lambda entry: entry[1].start):
        spans.setdefault(clip.recording.stream, []).append(span)
    visits = {stream: merge_ranges(ranges, absence_s) for stream, ranges in spans.items()}
    if mixed is None:
        return visits
    found = {
        stream: within
        for stream, ranges in visits.items()
        if (within := tuple(part for visit in ranges for part in parts_within(mixed.get(stream, ()), visit)))
    }
    if not found:
        raise InputError("nobody is in the room while they are subscribed: see the updates of SubscribeConfig")
    return found


def _until(end: Fraction, spans: Iterable[TimeRange]) -> tuple[TimeRange, ...]:
    """Truncate ``spans`` at ``end`` and drop those that start after it."""
    return tuple(TimeRange(span.start, min(span.end, end)) for span in spans if span.start < end)


def _end(visits: Mapping[StreamId, Sequence[TimeRange]], rules: TimelineRules) -> tuple[Fraction, list[str]]:
    """Index time of the end of the output, and warnings.

    It ends with the last stream, or ``IdleTime`` after the key stream left for longer than that.
    """
    last = max(spans[-1].end for spans in visits.values())
    if rules.key_stream is None:
        return last, []
    if rules.key_stream not in visits:
        return last, [f"KeyStream {rules.key_stream} is not in the mix: the output ends with the last stream"]
    left = visits[rules.key_stream][0].end
    for visit, back in pairwise(visits[rules.key_stream]):
        if back.start - visit.end > rules.idle_s:
            break
        left = back.end
    return min(last, left + rules.idle_s), []


def _resolve_overlaps(placed: Sequence[PlacedClip]) -> tuple[PlacedClip, ...]:
    """Resolve overlaps of one stream's clips: the later start is used, of equal starts the later in the index."""
    edges = sorted({edge for p in placed for edge in (p.span.start, p.span.end)})
    pending = deque(sorted(placed, key=lambda p: p.span.start))
    active: list[PlacedClip] = []
    used: list[PlacedClip] = []
    for start, end in pairwise(edges):
        active = [p for p in active if p.span.end > start]
        while pending and pending[0].span.start == start:
            active.append(pending.popleft())
        if not active:
            continue
        latest = active[-1]
        if used and used[-1].clip is latest.clip and used[-1].span.end == start:
            used[-1] = replace(latest, span=TimeRange(used[-1].span.start, end))
        else:
            used.append(replace(latest, span=TimeRange(start, end)))
    return tuple(used)


def _segments(presence: Mapping[StreamId, Sequence[TimeRange]], end: Fraction) -> tuple[Segment, ...]:
    joining: dict[Fraction, set[StreamId]] = defaultdict(set)
    leaving: dict[Fraction, set[StreamId]] = defaultdict(set)
    for stream, spans in presence.items():
        for span in spans:
            joining[span.start].add(stream)
            leaving[span.end].add(stream)
    there: set[StreamId] = set()
    segments: list[Segment] = []
    for start, stop in pairwise(sorted({Fraction(0), end, *joining, *leaving})):
        there = (there - leaving[start]) | joining[start]
        present = tuple(stream for stream in presence if stream in there)
        if segments and segments[-1].present == present:
            segments[-1] = Segment(TimeRange(segments[-1].span.start, stop), present)
        else:
            segments.append(Segment(TimeRange(start, stop), present))
    return tuple(segments)
