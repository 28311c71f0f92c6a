"""Which files the journals of a session become. Pure: it knows what is in them, and decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from owtmix.recorder.clock import TrackClock, place
from owtmix.recorder.journal import Codec
from owtmix.recorder.journal_scan import Scan
from owtmix.recorder.names import file_name

Container = Literal["mp4", "webm"]
SoundCodec = Literal["aac", "opus"]

EMPTY: Final = "it has no frames"
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

    A picture is copied. Sound is a chain of journals, each of which follows the last one, and becomes ``sound``.
    """

    name: str
    container: Container
    sound: SoundCodec
    picture: Track | None
    sounds: tuple[Track, ...]
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Media that is in no file. ``is_lost`` says whether there may be some; then its journal is worth keeping."""

    name: str
    reason: str
    is_lost: bool = False


def plan_files(scans: Sequence[Scan], formats: FileFormats) -> tuple[list[FilePlan], list[LeftOut]]:
    """The files of a session, whose journals are ``scans`` in their order, and what is left out.

    Each journal of pictures with a key frame has a file of its own: a new one is begun when the codec changes, or the
    sender begins anew. Sound belongs to the file of the picture beside it.
    """
    left_out = [LeftOut(scan.path.name, NO_KEY if scan.frames else EMPTY) for scan in scans if scan.first is None]
    clocks = dict(zip((scan.path for scan in scans), place([scan.log for scan in scans]), strict=True))

    def track(scan: Scan) -> Track:
        return Track(scan.path, scan.head.codec, clocks[scan.path])

    sounds = tuple(track(scan) for scan in scans if scan.head.kind == "audio" and scan.first)
    pictures = [scan for scan in scans if scan.head.kind == "video" and scan.first]
    if not pictures:
        return ([_sound_alone(scans[0], sounds, formats)] if sounds else []), left_out
    begin_us = [clocks[scan.path].anew().time_us(scan.first) for scan in pictures if scan.first]
    bounds = [None, *begin_us[1:], None]
    return [
        _with_picture(scan, part, track(scan), sounds, formats, (bounds[part], bounds[part + 1]))
        for part, scan in enumerate(pictures)
    ], left_out


def without_picture(plan: FilePlan, formats: FileFormats) -> FilePlan | None:
    """The same with its sound alone; None when it has no other track."""
    if not plan.picture or not plan.sounds:
        return None
    sound, container, extension = _alone(formats)
    name = f"{plan.name.rpartition('.')[0]}.{extension}"
    return replace(plan, name=name, container=container, sound=sound, picture=None)


def _with_picture(
    scan: Scan,
    part: int,
    picture: Track,
    sounds: tuple[Track, ...],
    formats: FileFormats,
    bounds: tuple[int | None, int | None],
) -> FilePlan:
    container: Container = "mp4" if scan.head.codec == "h264" else "webm"
    name = file_name(scan.head.stream, scan.head.session, part, container)
    sound: SoundCodec = formats.mp4_sound if container == "mp4" else "opus"
    return FilePlan(name, container, sound, picture, sounds, *bounds)


def _sound_alone(scan: Scan, sounds: tuple[Track, ...], formats: FileFormats) -> FilePlan:
    sound, container, extension = _alone(formats)
    return FilePlan(file_name(scan.head.stream, scan.head.session, 0, extension), container, sound, None, sounds)


def _alone(formats: FileFormats) -> tuple[SoundCodec, Container, str]:
    """Codec, container and extension of a file without a picture."""
    if formats.sound_alone == "webm":
        return "opus", "webm", "webm"
    return formats.mp4_sound, "mp4", "m4a"
