"""Results of probing a recording. File time is in seconds, as counted by the container's timestamps."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

from owtmix.base.geometry import Size
from owtmix.base.time import TimeRange
from owtmix.jobfile.index import Recording

Matrix = Literal["bt601", "bt709"]
"""The colour matrix (luma coefficients) of a picture."""


BreakKind = Literal["jump", "step back", "wrap", "restart", "burst", "copy"]
"""In what way timestamps break (docs/semantics.md, "Stamps that lie")."""


@dataclass(frozen=True, slots=True)
class ClockRules:
    """When timestamps are not believed, in seconds (``[timeline]`` in ``conf/owt.toml``).

    Packets that lie side by side in a file happened within ``beside_s``. A jump ahead of more than ``jump_s`` that the
    other track does not make is a break, for a track without another one from ``lone_jump_s`` on. Of a sound that has
    more media than ``longest_s``, which no output has, the rest is not measured.
    """

    beside_s: Fraction = Fraction(2)
    jump_s: Fraction = Fraction(3)
    lone_jump_s: Fraction = Fraction(3600)
    longest_s: Fraction = Fraction(86_400)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a track: the packets from number ``first`` of the track on, up to the next section.

    Packets are numbered from 0 in file order. ``shift`` is added to their timestamps, in ticks of the track's time
    base; None leaves them out. Before the first section timestamps are right.
    """

    first: int
    shift: int | None


@dataclass(frozen=True, slots=True)
class TimeBreak:
    """A place where timestamps break, at file time ``at_s`` (corrected), by ``by_s`` seconds."""

    track: Literal["picture", "sound"]
    kind: BreakKind
    at_s: Fraction
    by_s: Fraction


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The video track of a file. Times are file time, corrected by ``sections``.

    ``span`` is from the first presented frame to the end of the last one, which is presented at ``last_s``. ``gaps``
    are the ranges between consecutive frames that are longer than ``probe.GAP_S``. ``size`` is the display size of the
    first frame. ``gop_s`` is the longest time (s) from a key frame to the next one or to the end. ``decoder_bytes`` is
    about the memory that decoding it takes. It has so many ``pictures``, at different times.
    """

    index: int
    codec: str
    size: Size
    matrix: Matrix
    span: TimeRange
    last_s: Fraction
    gaps: tuple[TimeRange, ...]
    gop_s: Fraction
    sections: tuple[Section, ...] = ()
    decoder_bytes: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class AudioRun:
    """A range of sound without gaps.

    ``knots`` are at least two pairs ``(sample, time)``, increasing: sample number ``sample`` of the run, at the track's
    own rate, is presented at file time ``time``. Between knots the mapping is linear; the last knot is the end of the
    run. Samples before the first knot are not presented. With clock drift the slope differs from 1 / rate.
    """

    knots: tuple[tuple[int, Fraction], ...]

    @property
    def span(self) -> TimeRange:
        """From the first sample to the end of the last, in file time."""
        return TimeRange(self.knots[0][1], self.knots[-1][1])

    def ended(self, end_s: Fraction, rate_hz: int) -> AudioRun:
        """Truncate the run at ``end_s`` (file time); at least one sample after the second-last knot is kept."""
        (before, start_s), (last, _) = self.knots[-2:]
        surplus = floor((self.knots[-1][1] - end_s) * rate_hz)
        kept = min(last, max(before + 1, last - surplus))
        if kept == last:
            return self
        at = start_s + (self.knots[-1][1] - start_s) * Fraction(kept - before, last - before)
        return AudioRun((*self.knots[:-1], (kept, at)))


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track of a file. ``runs`` are sorted and do not overlap; they are corrected by ``sections``.

    ``is_counted`` says that the runs were measured by counting packets, not by decoding all of them;
    ``packet_samples`` is the number of samples in each packet then, after the first ones, or 0 when packets tell it.
    """

    index: int
    codec: str
    rate_hz: int
    channels: int
    runs: tuple[AudioRun, ...]
    is_counted: bool = False
    packet_samples: int = 0
    sections: tuple[Section, ...] = ()

    @property
    def span(self) -> TimeRange:
        """From the first sample to the end of the last, in file time."""
        return TimeRange(self.runs[0].span.start, self.runs[-1].span.end)


@dataclass(frozen=True, slots=True)
class Damage:
    """Number of undecodable packets and damaged pictures, and the file time of the first one."""

    count: int = 0
    first_s: Fraction | None = None

    def grown(self, at_s: Fraction | None) -> Damage:
        """Add one damaged packet or picture, at ``at_s`` if that is known."""
        return self.joined(Damage(1, at_s))

    def joined(self, later: Damage) -> Damage:
        """Add ``later`` damage."""
        return Damage(self.count + later.count, later.first_s if self.first_s is None else self.first_s)


@dataclass(frozen=True, slots=True)
class DecodeStats:
    """Statistics of decoding a video track.

    ``sizes`` are display sizes, in order of appearance; ``decoders`` are the devices used: ``cpu``, ``cuda:0``.
    """

    sizes: tuple[Size, ...] = ()
    damage: Damage = Damage()
    decoders: tuple[str, ...] = ()

    def joined(self, later: DecodeStats) -> DecodeStats:
        """Merge with the statistics of ``later`` pictures."""
        return DecodeStats(
            tuple(dict.fromkeys((*self.sizes, *later.sizes))),
            self.damage.joined(later.damage),
            tuple(dict.fromkeys((*self.decoders, *later.decoders))),
        )


Rates = tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Probe:
    """The usable tracks of a file: a picture, sounds, or both.

    ``start_s`` is when the file starts, in file time: its first packet, whether it can be decoded or not.
    ``rates_hz`` are the lowest, median and highest frame rate; None with fewer than two pictures. ``audio_damage`` and
    ``video_stats`` cover the parts of the sound and the picture that were decoded. ``breaks`` are the places where
    timestamps break. ``flaws`` describe other parts of the file that cannot be used, ``unused`` tracks that could be.
    No packet lies behind ``end_bytes``, if that is known: nothing need be looked for there.
    """

    video: VideoTrack | None
    sounds: tuple[AudioTrack, ...]
    start_s: Fraction
    rates_hz: Rates | None = None
    audio_damage: Damage = Damage()
    video_stats: DecodeStats = DecodeStats()
    breaks: tuple[TimeBreak, ...] = ()
    flaws: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    end_bytes: int | None = None

    @property
    def span(self) -> TimeRange:
        """From the start of the file to the end of the last frame or sample, in file time."""
        return _file_span(self)


@dataclass(frozen=True, slots=True)
class Clip:
    """A probed recording. ``source`` is the number of its file in the plan's list of sources."""

    recording: Recording
    source: int
    video: VideoTrack | None
    sounds: tuple[AudioTrack, ...]
    start_s: Fraction

    @property
    def span(self) -> TimeRange:
        """From the start of the file to the end of the last frame or sample, in file time."""
        return _file_span(self)


def _file_span(file: Probe | Clip) -> TimeRange:
    return TimeRange(file.start_s, max(track.span.end for track in (file.video, *file.sounds) if track))
