"""Joins tracks into a finished file without encoding them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from heapq import merge
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from owtmix.base.errors import RenderError
from owtmix.media.writers import TRACK_FORMAT, encoding_errors
from owtmix.outputs.base import FinishedTracks
from owtmix.plan.model import RenderPlan

PROGRAM: Final = f"owtmix {version('owtmix')}"

Timed: TypeAlias = "tuple[Fraction, int, Packet[Stream]]"
"""Decoding time in seconds, number of the stream, and the packet."""

_OPTIONS: Final = {
    "mp4": {"movflags": "+faststart", "fflags": "+bitexact"},
    "webm": {"fflags": "+bitexact"},
}


@dataclass(frozen=True, slots=True)
class ChunkTrack:
    """A file with the frames ``frames`` of the picture, at ``fps`` frames a second, numbered from 0 in it."""

    path: Path
    frames: range
    fps: int


def mux(plan: RenderPlan, tracks: FinishedTracks, output: Path, container: Literal["mp4", "webm"]) -> None:
    """Write the tracks of a plan into the file ``output``; see ``join_tracks``."""
    picture = plan.picture
    chunks = [
        ChunkTrack(path, frames, picture.clock.fps)
        for path, frames in zip(tracks.chunks, picture.chunks if picture else (), strict=True)
        if picture
    ]
    join_tracks(chunks, tracks.sound, output, container, metadata_of(plan))


def metadata_of(plan: RenderPlan) -> dict[str, str]:
    """Title, the time of the room (not of composing, so that bytes stay the same), and the program."""
    tags = {"title": plan.title, "encoding_tool": PROGRAM, "encoded_by": PROGRAM}
    begun = plan.epoch_at(Fraction(0))
    if begun is not None:
        tags["creation_time"] = datetime.fromtimestamp(float(begun), UTC).isoformat(timespec="microseconds")
    return tags


def join_tracks(
    chunks: Sequence[ChunkTrack],
    sound: Path | None,
    output: Path,
    container: Literal["mp4", "webm"],
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the chunks of a picture, one after the other, and a sound into ``output``, interleaved by time.

    Packets are copied; each frame gets the time of its number. ``metadata`` are tags of the file.

    Raises:
        RenderError: a track cannot be read or is not as planned, or the output cannot be written.
        DestinationError: the disk takes no more, or a folder was removed.
    """
    tracks = [*(chunk.path for chunk in chunks), *([sound] if sound else [])]
    with encoding_errors(*tracks, output), ExitStack() as files:
        target = files.enter_context(av.open(str(output), "w", format=container, options=_OPTIONS[container]))
        target.metadata.update(metadata)
        queues = []
        if chunks:
            template = files.enter_context(av.open(str(chunks[0].path), format=TRACK_FORMAT)).streams[0]
            queues.append(_picture(chunks, _like(target, template), template.codec_context.extradata))
        if sound:
            source = files.enter_context(av.open(str(sound), format=TRACK_FORMAT))
            queues.append(_packets(source, _like(target, source.streams[0])))
        for _, _, packet in merge(*queues, key=lambda entry: entry[:2]):
            target.mux(packet)


def _like(target: OutputContainer, template: Stream) -> Stream:
    stream = target.add_stream_from_template(template)
    stream.time_base = template.time_base
    return stream


def _picture(chunks: Sequence[ChunkTrack], stream: Stream, headers: bytes | None) -> Iterator[Timed]:
    """The packets of all chunks, shifted to their times; each chunk is open only while it is read."""
    for chunk in chunks:
        with av.open(str(chunk.path), format=TRACK_FORMAT) as source:
            if source.streams[0].codec_context.extradata != headers:
                raise RenderError("two chunks of the picture were encoded with different parameters")
            count = 0
            for time, index, packet in _packets(source, stream):
                shift = Fraction(chunk.frames.start, chunk.fps)
                assert packet.pts is not None
                assert packet.dts is not None
                ticks = int(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                count += 1
                yield time + shift, index, packet
        if count != len(chunk.frames):
            raise RenderError(f"a chunk of the picture holds {count} frames, {len(chunk.frames)} were planned")


def _packets(source: InputContainer, stream: Stream) -> Iterator[Timed]:
    for packet in source.demux(source.streams[0]):
        if packet.size and packet.dts is not None:
            time = packet.dts * packet.time_base
            packet.stream = stream
            yield time, stream.index, packet
