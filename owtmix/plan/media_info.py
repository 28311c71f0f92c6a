"""What is known of a recording once it was probed. File time: seconds as its container's timestamps count them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

from owtmix.base.geometry import Size
from owtmix.base.time import TimeRange
from owtmix.jobfile.index import Recording

Matrix = Literal["bt601", "bt709"]
"""Which luma weights a picture was coded with."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The picture of a file.

    ``span`` (file time) runs from the first shown frame to the end of the last, which appears at ``last_s``;
    ``gaps`` are the ranges from one frame to the next that last longer than ``probe.GAP_S``.
    ``size`` is of the first frame as it is displayed.
    """

    index: int
    codec: str
    size: Size
    matrix: Matrix
    span: TimeRange
    last_s: Fraction
    gaps: tuple[TimeRange, ...]


@dataclass(frozen=True, slots=True)
class AudioRun:
    """A stretch of sound without holes.

    ``knots`` are pairs ``(sample, time)``: sample number ``sample`` of the run (at the track's own rate, counted
    from its first presented sample) is presented at file time ``time``; linear between knots. At least two, rising;
    the last knot is the run's end. A clock that drifts shows as a slope other than one over the rate.
    """

    knots: tuple[tuple[int, Fraction], ...]

    @property
    def span(self) -> TimeRange:
        """From the first sample to the end of the last, in file time."""
        return TimeRange(self.knots[0][1], self.knots[-1][1])

    def ended(self, end_s: Fraction, rate_hz: int) -> AudioRun:
        """The run without what it presents after ``end_s``; of its last stretch, at least one sample stays."""
        (before, start_s), (last, _) = self.knots[-2:]
        surplus = floor((self.knots[-1][1] - end_s) * rate_hz)
        kept = min(last, max(before + 1, last - surplus))
        if kept == last:
            return self
        at = start_s + (self.knots[-1][1] - start_s) * Fraction(kept - before, last - before)
        return AudioRun((*self.knots[:-1], (kept, at)))


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """The sound of a file. ``runs`` are in order and do not overlap.

    ``packet_samples`` is how many samples each packet holds, behind the first ones, where the runs were measured by
    that and not by decoding; None elsewhere.
    """

    index: int
    codec: str
    rate_hz: int
    channels: int
    runs: tuple[AudioRun, ...]
    packet_samples: int | None = None

    @property
    def span(self) -> TimeRange:
        """From the first sample to the end of the last, in file time."""
        return TimeRange(self.runs[0].span.start, self.runs[-1].span.end)


@dataclass(frozen=True, slots=True)
class Damage:
    """Packets that could not be decoded and pictures that came out damaged, the first at ``first_s`` (file time)."""

    count: int = 0
    first_s: Fraction | None = None

    def grown(self, at_s: Fraction | None) -> Damage:
        """One more, at ``at_s``, where that is known."""
        return self.joined(Damage(1, at_s))

    def joined(self, later: Damage) -> Damage:
        """Both together."""
        return Damage(self.count + later.count, later.first_s if self.first_s is None else self.first_s)


@dataclass(frozen=True, slots=True)
class DecodeStats:
    """What decoding a picture came across: its sizes as displayed, in order of appearance, and damage.

    ``decoders`` are the devices that decoded it: ``cpu``, ``cuda:0``.
    """

    sizes: tuple[Size, ...] = ()
    damage: Damage = Damage()
    decoders: tuple[str, ...] = ()

    def joined(self, later: DecodeStats) -> DecodeStats:
        """Both together."""
        return DecodeStats(
            tuple(dict.fromkeys((*self.sizes, *later.sizes))),
            self.damage.joined(later.damage),
            tuple(dict.fromkeys((*self.decoders, *later.decoders))),
        )


Rates = tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Probe:
    """The tracks of a file that can be used; at least one is not None.

    ``rates_hz`` are the lowest, the median and the highest rate at which pictures follow each other; None with fewer
    than two. ``audio_damage`` is what could not be decoded of the sound, and ``video_stats`` tells the same of the
    picture, both as far as they were decoded. ``flaws`` are sentences about what else of the file cannot be used.
    """

    video: VideoTrack | None
    audio: AudioTrack | None
    rates_hz: Rates | None = None
    audio_damage: Damage = Damage()
    video_stats: DecodeStats = DecodeStats()
    flaws: tuple[str, ...] = ()

    @property
    def span(self) -> TimeRange:
        """What the file presents, first to last, in file time."""
        spans = [track.span for track in (self.video, self.audio) if track]
        return TimeRange(min(s.start for s in spans), max(s.end for s in spans))


@dataclass(frozen=True, slots=True)
class Clip:
    """A probed recording. ``source`` is the number of its file in the plan's list of sources."""

    recording: Recording
    source: int
    video: VideoTrack | None
    audio: AudioTrack | None

    @property
    def span(self) -> TimeRange:
        """What the file presents, first to last, in file time."""
        spans = [track.span for track in (self.video, self.audio) if track]
        return TimeRange(min(s.start for s in spans), max(s.end for s in spans))
