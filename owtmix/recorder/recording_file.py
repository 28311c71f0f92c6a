"""Writes one recording from journals, in a worker: pictures are copied, sound is copied or becomes AAC.

Frames are read, merged by time and written one after the other. Only what a container's index takes grows with its
length.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.writers import encoding_errors
from owtmix.recorder.aac_packet import AacFormat, format_of
from owtmix.recorder.file_plan import FilePlan, Track
from owtmix.recorder.journal import Frame
from owtmix.recorder.journal_scan import media_frames
from owtmix.recorder.key_frame import open_journal, picture_head
from owtmix.recorder.made import Made
from owtmix.recorder.track_writers import CopiedAac, CopiedPicture, CopiedSound, EncodedSound, SoundWriter

_MP4_HZ: Final = 720_000
"""Ticks in which MP4 counts when a track begins: a multiple of those of pictures, and of sound at 48 kHz."""
_OPTIONS: Final = {
    "mp4": {"movflags": "+faststart", "fflags": "+bitexact", "movie_timescale": str(_MP4_HZ)},
    "webm": {"fflags": "+bitexact"},
}

Timed = tuple[int, Frame]
"""When a frame was captured, in microseconds since 1970, and the frame."""


def make_recording(plan: FilePlan, path: Path, advance: Callable[[float], object]) -> Made:
    """Write the file ``path``, which exists. ``advance`` gets the seconds that are done, after each frame.

    Raises:
        InputError: nothing of the journals can be used.
        RenderError: FFmpeg refuses what is in them.
        DestinationError: the disk takes no more.
    """
    with encoding_errors(path), ExitStack() as opened:
        head, skipped = picture_head(plan.picture) if plan.picture else (None, 0)
        if head:
            opened.enter_context(head)
        pictures = islice(_frames(plan.picture, plan), skipped, None) if plan.picture else iter(())
        sounds = chain.from_iterable(_frames(track, plan) for track in plan.sounds)
        first_picture, first_sound = next(pictures, None), next(sounds, None)
        firsts = [first[0] for first in (first_picture, first_sound) if first]
        if not firsts:
            raise InputError("nothing in it can be used")
        start_us = min(firsts)
        out = opened.enter_context(av.open(str(path), "w", format=plan.container, options=_OPTIONS[plan.container]))
        picture = None
        if head and plan.picture:
            rate = plan.picture.clock.rate
            picture = CopiedPicture(out, head.streams.video[0], plan.container, start_us, rate)
        sound = _sound_writer(out, plan, first_sound[1], start_us, advance) if first_sound else None
        out.start_encoding()
        merged = heapq.merge(
            ((at_us, 0, frame) for at_us, frame in _with_first(first_picture, pictures)),
            ((at_us, 1, frame) for at_us, frame in _with_first(first_sound, sounds)),
            key=lambda entry: entry[:2],
        )
        for at_us, kind, frame in merged:
            if kind and sound:
                sound.write(at_us, frame.data)
            elif picture:
                picture.write(at_us, frame)
                if sound:
                    sound.wait(at_us)
            advance((at_us - start_us) / 1e6)
        if picture:
            picture.close()
        if sound:
            sound.close()
    end_us = max(writer.end_us for writer in (picture, sound) if writer)
    return Made(
        start_us,
        max(end_us, start_us + 1),
        picture.written if picture else 0,
        sound.written if sound else 0,
        sum(writer.damaged for writer in (picture, sound) if writer),
    )


def _sound_writer(
    out: OutputContainer, plan: FilePlan, first: Frame, start_us: int, advance: Callable[[float], object]
) -> SoundWriter:
    """What writes the sound, whose first packet is ``first``: what is all of one format is copied if it can be."""
    codec = plan.sounds[0].codec
    if plan.sound == "opus":
        return CopiedSound(out, start_us)
    formats = {_aac_format(track) for track in plan.sounds} - {None} if codec == "aac" else set()
    found = formats.pop() if len(formats) == 1 else None
    template = _aac_template(first.data) if found else None
    if found and template:
        return CopiedAac(out, template, found.rate_hz, start_us)
    return EncodedSound(out, codec, start_us, advance)


def _aac_template(data: bytes) -> AudioStream | None:
    """A stream that has what a muxer needs to know of a frame of AAC; None where FFmpeg finds none in it."""
    try:
        opened = av.open(io.BytesIO(data), "r", format="aac")
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise_if_short(error)
        return None
    stream = next(iter(opened.streams.audio), None)
    return stream if stream and stream.codec_context.sample_rate else None


def _aac_format(track: Track) -> AacFormat | None:
    """The format of a journal of AAC, which all its frames have; None where it has no frame."""
    with open_journal(track) as reader:
        first = next(media_frames(reader), None)
    return format_of(first.data) if first else None


def _frames(track: Track, plan: FilePlan) -> Iterator[Timed]:
    """The frames of a journal that belong to the file, with their times."""
    clock = track.clock.anew()
    with open_journal(track) as reader:
        for frame in media_frames(reader):
            at_us = clock.time_us(frame)
            is_early = plan.from_us is not None and at_us < plan.from_us
            if not is_early and (plan.until_us is None or at_us < plan.until_us):
                yield at_us, frame


def _with_first(first: Timed | None, others: Iterator[Timed]) -> Iterator[Timed]:
    return chain([first] if first else [], others)
