"""What is told about each input: what it holds, what is wrong with it, and up to where it is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from owtmix.base.time import TimeRange, timecode
from owtmix.plan.media_info import AudioTrack, Damage, Probe
from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class PictureReport:
    """The picture of an input; times as in ``InputReport``.

    ``sizes`` are as displayed, in order of appearance. ``rates_hz`` are the lowest, the median and the highest rate at
    which pictures follow each other. ``decoders`` are the devices that decoded it: ``cpu``, ``cuda:0``.
    ``used_to_s`` is None where nothing of it is used, or nobody asked for any use.
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
    """The sound of an input; times as in ``InputReport``.

    ``drift_s`` is how much longer its timestamps say that it lasts than its samples do, ``drift_ppm`` the same in parts
    of a million of its length. It is corrected.
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
    """One input. Its times are seconds since what it presents first. ``left_out`` is why nothing of it is used.

    ``flaws`` are sentences about what else cannot be used.
    """

    file: str
    left_out: str | None = None
    picture: PictureReport | None = None
    sound: SoundReport | None = None
    flaws: tuple[str, ...] = ()

    def damages(self) -> Iterator[str]:
        """What is damaged, for a warning."""
        for flaw in self.flaws:
            yield f"{self.file}: {flaw}"
        if self.picture and self.picture.damage.count:
            yield f"the picture of {self.file} {_damaged(self.picture.damage)}; the last good picture stays instead"
        if self.sound and self.sound.damage.count:
            yield f"the sound of {self.file} {_damaged(self.sound.damage)}; it is silent there"


@dataclass(frozen=True, slots=True)
class InputUse:
    """Up to where the tracks of an input are used, in file time; None where they are not."""

    picture_s: Fraction | None = None
    sound_s: Fraction | None = None


def use_of(plan: RenderPlan, source: int) -> InputUse:
    """How far ``plan`` uses a source."""
    shots = (shot for shots in plan.picture.shots.values() for shot in shots) if plan.picture else ()
    shown = [min(shot.span.end, shot.until_s) - shot.offset_s for shot in shots if shot.source == source]
    placements = plan.sound.placements if plan.sound else ()
    heard = [placed.span.end - placed.offset_s for placed in placements if placed.source == source]
    return InputUse(max(shown, default=None), max(heard, default=None))


def report_input(file: str, probe: Probe, use: InputUse = InputUse()) -> InputReport:
    """Put together what is known; where no picture was decoded, the first one's size stands."""
    start = probe.span.start
    picture = sound = None
    if video := probe.video:
        picture = PictureReport(
            codec=video.codec,
            sizes=tuple(map(str, probe.video_stats.sizes or (video.size,))),
            rates_hz=probe.rates_hz or (),
            span=video.span.shifted(-start),
            gaps=tuple(gap.shifted(-start) for gap in video.gaps),
            damage=_since(start, probe.video_stats.damage),
            decoders=probe.video_stats.decoders,
            used_to_s=None if use.picture_s is None else min(use.picture_s, video.span.end) - start,
        )
    if audio := probe.audio:
        drift_s = _drift_s(audio)
        sound = SoundReport(
            codec=audio.codec,
            rate_hz=audio.rate_hz,
            channels=audio.channels,
            span=audio.span.shifted(-start),
            gaps=tuple(
                TimeRange(before.span.end, after.span.start).shifted(-start)
                for before, after in pairwise(audio.runs)
                if before.span.end < after.span.start
            ),
            damage=_since(start, probe.audio_damage),
            drift_s=drift_s,
            drift_ppm=drift_s / sum(run.span.duration for run in audio.runs) * 1_000_000,
            used_to_s=None if use.sound_s is None else min(use.sound_s, audio.span.end) - start,
        )
    return InputReport(file, None, picture, sound, probe.flaws)


def _drift_s(track: AudioTrack) -> Fraction:
    """How much longer the track lasts than its samples do at their nominal rate, holes aside."""
    return sum((run.span.duration - Fraction(run.knots[-1][0], track.rate_hz) for run in track.runs), Fraction(0))


def _since(start: Fraction, damage: Damage) -> Damage:
    """File time becomes time since ``start``."""
    return damage if damage.first_s is None else Damage(damage.count, max(Fraction(0), damage.first_s - start))


def _damaged(damage: Damage) -> str:
    where = "" if damage.first_s is None else f", first at {timecode(damage.first_s)}"
    return f"is damaged in {damage.count} place{'s' * (damage.count > 1)}{where} of the file"
