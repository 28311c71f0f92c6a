"""Reports on input recordings: tracks, damage, and how far they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from owtmix.base.time import TimeRange, timecode
from owtmix.plan.media_info import AudioTrack, BreakKind, Damage, Probe, TimeBreak
from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class PictureReport:
    """The picture of an input. Times are as in ``InputReport``.

    ``sizes`` are display sizes, in order of appearance. ``rates_hz`` are the lowest, median and highest frame rate.
    ``decoders`` are the devices that decoded it: ``cpu``, ``cuda:0``. ``used_to_s`` is None when the picture is not
    used, or when the report is not about a job.
    """

    codec: str
    sizes: tuple[str, ...]
    rates_hz: tuple[Fraction, ...]
    span: TimeRange
    gaps: tuple[TimeRange, ...]
    damage: Damage
    decoders: tuple[str, ...]
    used_to_s: Fraction | None = None


@dataclass(frozen=True, slots=True)
class SoundReport:
    """The sound of an input. Times are as in ``InputReport``.

    ``drift_s`` is the duration by timestamps minus the duration by number of samples; ``drift_ppm`` is the same in
    parts per million of the length. Drift is corrected in the output.
    """

    codec: str
    rate_hz: int
    channels: int
    span: TimeRange
    gaps: tuple[TimeRange, ...]
    damage: Damage
    drift_s: Fraction
    drift_ppm: Fraction
    used_to_s: Fraction | None = None


@dataclass(frozen=True, slots=True)
class InputReport:
    """One input. Times are seconds since its first presented frame or sample.

    ``left_out`` is the reason why the recording is not used, or None. ``breaks`` say where timestamps break, and what
    is done about it; ``flaws`` describe other parts that cannot be used, ``unused`` tracks that could be but are not.
    """

    file: str
    left_out: str | None = None
    picture: PictureReport | None = None
    sounds: tuple[SoundReport, ...] = ()
    breaks: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def damages(self) -> Iterator[str]:
        """Yield a warning for each kind of damage."""
        for flaw in self.flaws:
            yield f"{self.file}: {flaw}"
        if self.breaks:
            count = f" in {len(self.breaks)} places, first" * (len(self.breaks) > 1)
            yield f"{self.file}: its timestamps break{count} {self.breaks[0]}"
        if self.picture and self.picture.damage.count:
            yield f"the picture of {self.file} {_describe(self.picture.damage)}; the last good picture stays instead"
        if self.sounds and self.sounds[0].damage.count:
            yield f"the sound of {self.file} {_describe(self.sounds[0].damage)}; it is silent there"


@dataclass(frozen=True, slots=True)
class InputUse:
    """File times up to which the tracks of an input are used; None for unused tracks."""

    picture_s: Fraction | None = None
    sound_s: Fraction | None = None


def use_of(plan: RenderPlan, source: int) -> InputUse:
    """How far ``plan`` uses source number ``source``."""
    shots = (shot for shots in plan.picture.shots.values() for shot in shots) if plan.picture else ()
    shown = [min(shot.span.end, shot.until_s) - shot.offset_s for shot in shots if shot.source == source]
    placements = plan.sound.placements if plan.sound else ()
    heard = [placed.span.end - placed.offset_s for placed in placements if placed.source == source]
    return InputUse(max(shown, default=None), max(heard, default=None))


def report_input(file: str, probe: Probe, use: InputUse = InputUse()) -> InputReport:
    """Build the report of a probed file. Without decoded pictures, ``sizes`` has the probed size."""
    start = probe.span.start
    picture = None
    if video := probe.video:
        picture = PictureReport(
            codec=video.codec,
            sizes=tuple(map(str, probe.video_stats.sizes or (video.size,))),
            rates_hz=probe.rates_hz or (),
            span=video.span.shifted(-start),
            gaps=tuple(gap.shifted(-start) for gap in video.gaps),
            damage=_relative_to(start, probe.video_stats.damage),
            decoders=probe.video_stats.decoders,
            used_to_s=None if use.picture_s is None else min(use.picture_s, video.span.end) - start,
        )
    sounds = tuple(_report_sound(track, probe, use) for track in probe.sounds)
    return InputReport(
        file, None, picture, sounds, tuple(_break(start, found) for found in probe.breaks), probe.flaws, probe.unused
    )


def _report_sound(track: AudioTrack, probe: Probe, use: InputUse) -> SoundReport:
    start = probe.span.start
    drift_s = _drift_s(track)
    return SoundReport(
        codec=track.codec,
        rate_hz=track.rate_hz,
        channels=track.channels,
        span=track.span.shifted(-start),
        gaps=tuple(
            TimeRange(before.span.end, after.span.start).shifted(-start)
            for before, after in pairwise(track.runs)
            if before.span.end < after.span.start
        ),
        damage=_relative_to(start, probe.audio_damage),
        drift_s=drift_s,
        drift_ppm=drift_s / _total(run.span.duration for run in track.runs) * 1_000_000,
        used_to_s=None if use.sound_s is None else min(use.sound_s, track.span.end) - start,
    )


_BREAKS: Final[dict[BreakKind, str]] = {
    "jump": "jump ahead by {}: what follows is moved to where the file has it",
    "wrap": "wrap around: they are continued",
    "restart": "start again, {} earlier: they are continued",
    "step back": "step back by {}: what overlaps is cut",
    "burst": "have room for {} less than was recorded: that much is dropped",
    "copy": "repeat {}: the copy is dropped",
}


def _break(start: Fraction, found: TimeBreak) -> str:
    """A sentence on a place where timestamps break."""
    what = _BREAKS[found.kind].format(f"{float(abs(found.by_s)):.3f} s")
    return f"at {timecode(max(Fraction(0), found.at_s - start))}: those of the {found.track} {what}"


def _drift_s(track: AudioTrack) -> Fraction:
    """Duration of the runs by timestamps minus their duration by number of samples, in seconds."""
    counted = sum(run.knots[-1][0] - run.knots[0][0] for run in track.runs)
    return _total(run.span.duration for run in track.runs) - Fraction(counted, track.rate_hz)


def _total(terms: Iterable[Fraction]) -> Fraction:
    """The sum. Those with equal denominators first, then in pairs: the result of each sum may have a long one."""
    by_denominator: dict[int, int] = {}
    for term in terms:
        by_denominator[term.denominator] = by_denominator.get(term.denominator, 0) + term.numerator
    sums = [Fraction(numerator, denominator) for denominator, numerator in by_denominator.items()]
    while len(sums) > 1:
        sums = [sum(sums[at : at + 2], Fraction(0)) for at in range(0, len(sums), 2)]
    return next(iter(sums), Fraction(0))


def _relative_to(start: Fraction, damage: Damage) -> Damage:
    """Convert file time to time since ``start``."""
    return damage if damage.first_s is None else Damage(damage.count, max(Fraction(0), damage.first_s - start))


def _describe(damage: Damage) -> str:
    where = "" if damage.first_s is None else f", first at {timecode(damage.first_s)}"
    return f"is damaged in {damage.count} place{'s' * (damage.count > 1)}{where} of the file"
