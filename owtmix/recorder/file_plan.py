"""Which files the journals of a session become. Pure: it knows what is in them, and decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Self

from owtmix.recorder.clock import TrackClock, fixed_clock, place
from owtmix.recorder.journal import Codec
from owtmix.recorder.journal_scan import Scan
from owtmix.recorder.names import file_name

Container = Literal["mp4", "webm"]
SoundCodec = Literal["aac", "opus"]

EMPTY: Final = "it has no frames"
AWAY_US: Final = 5_000_000
"""A stream is gone after five seconds without packets."""

NO_KEY: Final = "it has no key frame, so nothing of it can be shown"


@dataclass(frozen=True, slots=True)
class FileFormats:
    """What may be chosen: the sound of MP4 files, and the format of files without a picture."""

    mp4_sound: SoundCodec = "aac"
    sound_alone: Literal["webm", "m4a"] = "webm"


@dataclass(frozen=True, slots=True)
class Track:
    """A journal to be read, and its clock."""

    path: Path
    codec: Codec
    clock: TrackClock


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file to be made of the frames from ``from_us`` on and before ``until_us``; None has no bound.

    A picture is copied. Sound is a chain of journals of one codec, each of which follows the last one, and becomes
    ``sound``. The sender was heard until ``heard_us``; 0 where another file follows.
    """

    name: str
    container: Container
    sound: SoundCodec
    picture: Track | None
    sounds: tuple[Track, ...]
    from_us: int | None = None
    until_us: int | None = None
    heard_us: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Media that is in no file. ``is_lost`` says whether there may be some; then its journal is worth keeping."""

    name: str
    reason: str
    is_lost: bool = False


def plan_files(scans: Sequence[Scan], formats: FileFormats) -> tuple[list[FilePlan], list[LeftOut]]:
    """The files of a session, whose journals are ``scans`` in their order, and what is left out.

    Each journal of pictures with a key frame has a file of its own: a new one is begun when the codec changes, or the
    sender begins anew. Sound belongs to the file of the picture beside it. What begins ``AWAY_US`` after all else has
    ended is in another file: the stream was away, since nobody subscribed to it.
    """
    left_out = [LeftOut(scan.path.name, NO_KEY if scan.frames else EMPTY) for scan in scans if scan.first is None]
    clocks = zip(scans, _clocks(scans), strict=True)
    plans: list[FilePlan] = []
    for spell in _spells([_Timed.of(scan, clock) for scan, clock in clocks if scan.first]):
        plans += _spell_files(spell, len(plans), formats)
    return plans, left_out


def _clocks(scans: Sequence[Scan]) -> list[TrackClock]:
    """The clocks of a session's journals: those that were fixed, or where they are placed by all that is known."""
    fixed = [replace(fixed_clock(scan.log.rate, scan.knots), soon=scan.log.soon) for scan in scans]
    if all(scan.knots for scan in scans):
        return fixed
    placed = place([scan.log for scan in scans])
    return [known if scan.knots else clock for scan, known, clock in zip(scans, fixed, placed, strict=True)]


@dataclass(frozen=True, slots=True)
class _Timed:
    """A journal that a file can be made of, from when its first frame was captured until its sender was last heard."""

    scan: Scan
    track: Track
    first_us: int
    heard_us: int

    @classmethod
    def of(cls, scan: Scan, clock: TrackClock) -> Self:
        assert scan.first
        track = Track(scan.path, scan.head.codec, clock)
        return cls(scan, track, clock.anew().time_us(scan.first), scan.log.last_arrived_us)


def _spells(journals: Sequence[_Timed]) -> list[list[_Timed]]:
    """The journals of each time in which the stream was there; these are in order, and so are pictures in each."""
    spells: list[list[_Timed]] = []
    end_us = 0
    for journal in sorted(journals, key=lambda journal: (journal.first_us, journal.scan.path.name)):
        if not spells or journal.first_us > end_us + AWAY_US:
            spells.append([])
        spells[-1].append(journal)
        end_us = max(end_us, journal.heard_us)
    return spells


def _spell_files(spell: Sequence[_Timed], part: int, formats: FileFormats) -> list[FilePlan]:
    """The files of a spell, of which the first is number ``part`` of its session."""
    sounds = tuple(journal.track for journal in spell if journal.scan.head.kind == "audio")
    pictures = [journal for journal in spell if journal.scan.head.kind == "video"]
    if not pictures:
        sound, container, extension = _alone(sounds, formats)
        files = [FilePlan(_name(spell[0], part, extension), container, sound, None, sounds)]
    else:
        files = _picture_files(pictures, part, sounds, formats)
    return [*files[:-1], replace(files[-1], heard_us=max(journal.heard_us for journal in spell))]


def _picture_files(
    pictures: Sequence[_Timed], part: int, sounds: tuple[Track, ...], formats: FileFormats
) -> list[FilePlan]:
    bounds = [None, *(picture.first_us for picture in pictures[1:]), None]
    return [
        _with_picture(picture, part + number, sounds, formats, (bounds[number], bounds[number + 1]))
        for number, picture in enumerate(pictures)
    ]


def without_picture(plan: FilePlan, formats: FileFormats) -> FilePlan | None:
    """The same with its sound alone; None when it has no other track."""
    if not plan.picture or not plan.sounds:
        return None
    sound, container, extension = _alone(plan.sounds, formats)
    name = f"{plan.name.rpartition('.')[0]}.{extension}"
    return replace(plan, name=name, container=container, sound=sound, picture=None)


def _with_picture(
    picture: _Timed,
    part: int,
    sounds: tuple[Track, ...],
    formats: FileFormats,
    bounds: tuple[int | None, int | None],
) -> FilePlan:
    container: Container = "mp4" if picture.track.codec == "h264" else "webm"
    sound: SoundCodec = _mp4_sound(sounds, formats) if container == "mp4" else "opus"
    return FilePlan(_name(picture, part, container), container, sound, picture.track, sounds, *bounds)


def _name(journal: _Timed, part: int, extension: str) -> str:
    return file_name(journal.scan.head.stream, journal.scan.head.session, part, extension)


def _mp4_sound(sounds: Sequence[Track], formats: FileFormats) -> SoundCodec:
    """What sound becomes in MP4. AAC stays what it is."""
    return "aac" if any(sound.codec == "aac" for sound in sounds) else formats.mp4_sound


def _alone(sounds: Sequence[Track], formats: FileFormats) -> tuple[SoundCodec, Container, str]:
    """Codec, container and extension of a file without a picture. WebM has no AAC."""
    sound = _mp4_sound(sounds, formats)
    if formats.sound_alone == "webm" and all(track.codec == "opus" for track in sounds):
        return "opus", "webm", "webm"
    return sound, "mp4", "m4a"
