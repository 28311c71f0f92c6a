"""Tracks become the finished file, without encoding again; and the finished file is read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import merge
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, Literal, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from owtmix.base.errors import InputError, RenderError
from owtmix.media.open import open_input, reason
from owtmix.media.writers import TRACK_FORMAT, encoding_errors
from owtmix.plan.model import SAMPLE_RATE_HZ, Picture, Sound

ROUNDING_S: Final = Fraction(1, 1000)
"""WebM keeps milliseconds."""
MAX_PIXELS: Final = 8192 * 8192
"""Of the largest output; the limit for recordings is lower."""
FRAME_SAMPLES: Final = 1024
"""The longest codec frame that may pad the end of the sound."""

_LONGEST_STEP_S: Final = Fraction(FRAME_SAMPLES, SAMPLE_RATE_HZ) + 2 * ROUNDING_S
"""From one packet of the sound to the next."""

Timed: TypeAlias = "tuple[Fraction, int, Packet[Stream]]"
"""Decoding time in seconds, number of the stream, and the packet."""

_OPTIONS: Final = {
    "mp4": {"movflags": "+faststart", "fflags": "+bitexact"},
    "webm": {"fflags": "+bitexact"},
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A track with the frames ``frames`` of the picture, at ``fps`` frames a second, numbered from 0 in it."""

    path: Path
    frames: range
    fps: int


def stitch(pieces: Sequence[Piece], sound: Path | None, output: Path, container: Literal["mp4", "webm"]) -> None:
    """Write the pieces of a picture, one after the other, and a sound into ``output``, interleaved by time.

    Nothing is encoded again; each frame goes to the time that its number says.

    Raises:
        RenderError: a track cannot be read or is not as planned, or the output cannot be written.
    """
    with encoding_errors(), ExitStack() as files:
        target = files.enter_context(av.open(str(output), "w", format=container, options=_OPTIONS[container]))
        queues = []
        if pieces:
            template = files.enter_context(av.open(str(pieces[0].path), format=TRACK_FORMAT)).streams[0]
            queues.append(_picture(pieces, _like(target, template), template.codec_context.extradata))
        if sound:
            source = files.enter_context(av.open(str(sound), format=TRACK_FORMAT))
            queues.append(_packets(source, _like(target, source.streams[0])))
        for _, _, packet in merge(*queues, key=lambda entry: entry[:2]):
            target.mux(packet)


def _like(target: OutputContainer, template: Stream) -> Stream:
    stream = target.add_stream_from_template(template)
    stream.time_base = template.time_base
    return stream


def _picture(pieces: Sequence[Piece], stream: Stream, headers: bytes | None) -> Iterator[Timed]:
    """The packets of all pieces, moved to their places; each piece is open only while it is read."""
    for piece in pieces:
        with av.open(str(piece.path), format=TRACK_FORMAT) as source:
            if source.streams[0].codec_context.extradata != headers:
                raise RenderError("two chunks of the picture were encoded with different parameters")
            count = 0
            for time, index, packet in _packets(source, stream):
                shift = Fraction(piece.frames.start, piece.fps)
                assert packet.pts is not None
                assert packet.dts is not None
                ticks = int(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                count += 1
                yield time + shift, index, packet
        if count != len(piece.frames):
            raise RenderError(f"a chunk of the picture holds {count} frames, {len(piece.frames)} were planned")


def _packets(source: InputContainer, stream: Stream) -> Iterator[Timed]:
    for packet in source.demux(source.streams[0]):
        if packet.size and packet.dts is not None:
            time = packet.dts * packet.time_base
            packet.stream = stream
            yield time, stream.index, packet


def verify(output: Path, picture: Picture | None, sound: Sound | None) -> None:
    """Read a finished file back: every packet demuxed, first and last GOP decoded, counts and duration as planned.

    Raises:
        RenderError: it is not what was planned.
    """
    try:
        with open_input(output, MAX_PIXELS) as container:
            tracks = _read(container)
            if picture:
                _verify_picture(container, tracks, picture)
            if sound:
                _verify_sound(container, tracks, sound)
    except (InputError, av.error.FFmpegError) as error:
        raise RenderError(f"the finished file cannot be read back: {reason(error)}") from error


@dataclass(slots=True)
class _Track:
    """What a stream's packets say: presentation times in ticks, and the numbers of the key frames among them."""

    pts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    end: int = 0


def _read(container: InputContainer) -> dict[int, _Track]:
    tracks = {stream.index: _Track() for stream in container.streams}
    for packet in container.demux():
        if packet.size and packet.pts is not None:
            track = tracks[packet.stream_index]
            if packet.is_keyframe:
                track.keys.append(len(track.pts))
            track.pts.append(packet.pts)
            track.end = max(track.end, packet.pts + (packet.duration or 0))
    return tracks


def _verify_picture(container: InputContainer, tracks: dict[int, _Track], picture: Picture) -> None:
    if not container.streams.video:
        raise RenderError("the finished file has no picture")
    stream = container.streams.video[0]
    track = tracks[stream.index]
    assert stream.time_base is not None
    if len(track.pts) != picture.frames:
        raise RenderError(f"the finished file holds {len(track.pts)} frames, {picture.frames} were planned")
    if any(abs(pts * stream.time_base - picture.clock.time(i)) > ROUNDING_S for i, pts in enumerate(track.pts)):
        raise RenderError("frames of the finished file are not at their times")
    gop = picture.encoding.gop
    if not set(track.keys).issuperset(range(0, picture.frames, gop)):
        raise RenderError("the finished file lacks key frames that were planned")
    for key in {track.keys[0], track.keys[-1]}:
        container.seek(track.pts[key], stream=stream)
        expected = min(gop, picture.frames - key)
        decoded = sum(not frame.is_corrupt for frame in islice(container.decode(stream), expected))
        if decoded != expected:
            raise RenderError(f"{decoded} of the {expected} frames from frame {key} can be decoded")


def _verify_sound(container: InputContainer, tracks: dict[int, _Track], sound: Sound) -> None:
    if not container.streams.audio:
        raise RenderError("the finished file has no sound")
    stream = container.streams.audio[0]
    assert stream.time_base is not None
    times = [Fraction(0), *(pts * stream.time_base for pts in tracks[stream.index].pts)]
    if any(b - a > _LONGEST_STEP_S for a, b in pairwise(times)):
        raise RenderError("the sound of the finished file has a hole")
    end = tracks[stream.index].end * stream.time_base
    if not -ROUNDING_S <= end - Fraction(sound.samples, SAMPLE_RATE_HZ) <= Fraction(FRAME_SAMPLES, SAMPLE_RATE_HZ):
        raise RenderError(f"the sound of the finished file ends at {float(end):.3f} s, not where it was planned")
