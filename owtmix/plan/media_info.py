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


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The video track of a file. Times are file time.

    ``span`` is from the first presented frame to the end of the last one, which is presented at ``last_s``. ``gaps``
    are the ranges between consecutive frames that are longer than ``probe.GAP_S``. ``size`` is the display size of the
    first frame.
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
    """A range of sound without gaps.

    ``knots`` are at least two pairs ``(sample, time)``, increasing: sample number ``sample`` of the run, at the track's
    own rate, is presented at file time ``time``. Between knots the mapping is linear; the last knot is the end of the
    run. With clock drift the slope differs from 1 / rate.
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
    """The audio track of a file. ``runs`` are sorted and do not overlap.

    ``packet_samples`` is the constant number of samples per packet, after the first packets, when the runs were
    measured by counting packets; None when they were measured by decoding.
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
    """The usable tracks of a file; at least one is not None.

    ``rates_hz`` are the lowest, median and highest frame rate; None with fewer than two pictures. ``audio_damage`` and
    ``video_stats`` cover the parts of the sound and the picture that were decoded. ``flaws`` describe other
    parts of the file that cannot be used.
    """

    video: VideoTrack | None
    audio: AudioTrack | None
    rates_hz: Rates | None = None
    audio_damage: Damage = Damage()
    video_stats: DecodeStats = DecodeStats()
    flaws: tuple[str, ...] = ()

    @property
    def span(self) -> TimeRange:
        """From the first presented frame or sample to the end of the last, in file time."""
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
        """From the first presented frame or sample to the end of the last, in file time."""
        spans = [track.span for track in (self.video, self.audio) if track]
        return TimeRange(min(s.start for s in spans), max(s.end for s in spans))
