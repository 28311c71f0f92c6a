"""Decoding the picture of one recording, forwards, by presentation time."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.clip import Damage, Matrix, Seen, VideoTrack
from owtmix.geometry import Orientation, Size
from owtmix.media.source import check_unchanged, file_version, leads, open_input, packets, select

HD_LINES: Final = 720
SPIKE_S: Final = Fraction(10)
"""A single stamp that lies further ahead of its neighbours is broken."""
SEEK_S: Final = 2
"""Seeking pays from this distance on; a shorter way is decoded."""

BLACK_DELAY_S: Final = Fraction(1, 2)
"""A picture that fades in from black or out is no muted camera."""
BLANK_ROW_STEP: Final = 8
"""Every so many rows tell enough."""
BLANK_LUMA: Final = 18
BLANK_SPREAD: Final = 4
"""The first black frames after a picture keep a little of its colours."""

_PLANAR: Final = re.compile(r"(yuvj?4[24][0245]p|gray)(9|10|12)?(le)?")
_BYTE: Final = 8
_MATRICES: Final[dict[int, Matrix]] = {1: "bt709", 5: "bt601", 6: "bt601"}
_TURNS: Final = {
    90: Orientation.COUNTERCLOCKWISE,
    180: Orientation.UPSIDE_DOWN,
    270: Orientation.CLOCKWISE,
}
_FULL_RANGE: Final = 2
MICROSECONDS: Final = 1_000_000
_NEVER: Final = -(1 << 63)
"""Before every stamp."""
_serials = count()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded frame and how it is to be shown. No two have the same ``serial``.

    ``sar`` is the shape of a pixel of the frame as decoded, before it is turned; ``black_since`` is the file time from
    which on all frames were black up to this one, None when it is not.
    """

    frame: VideoFrame
    serial: int
    sar: Fraction
    orientation: Orientation
    matrix: Matrix
    full_range: bool
    interlaced: bool
    black_since: Fraction | None = None

    def is_black(self, t: Fraction) -> bool:
        """Whether, at file time ``t``, the camera has been muted for so long that its card is due."""
        return self.black_since is not None and t - self.black_since >= BLACK_DELAY_S

    def is_blank(self) -> bool:
        """Whether it is the flat black that recorders write for a muted camera; a dark room is never so flat."""
        if not _PLANAR.fullmatch(self.frame.format.name):
            return False
        depth = self.frame.format.components[0].bits
        scale = 1 << (depth - _BYTE)
        planes = (_rows(plane, np.uint8 if depth == _BYTE else np.uint16) for plane in self.frame.planes)
        luma = next(planes)
        if int(luma[len(luma) // 2].max()) > BLANK_LUMA * scale:  # one row tells it of most pictures
            return False
        return int(luma.max()) <= BLANK_LUMA * scale and all(
            int(p.max()) - int(p.min()) <= BLANK_SPREAD * scale for p in (luma, *planes)
        )

    @property
    def displayed(self) -> Size:
        """Size in pixels once turned."""
        size = Size(self.frame.width, self.frame.height)
        return Size(size.height, size.width) if self.orientation.swaps_sides else size


class VideoReader:
    """Gives the newest frame at rising times. One decoder thread: what a damaged file shows must not vary.

    Raises:
        InputError: the file cannot be opened or its codec is not accepted.
    """

    def __init__(self, path: Path, index: int) -> None:
        self._path = path
        self._index = index
        self._container: InputContainer | None = None
        self._frames: Iterator[tuple[Fraction, Picture]] = iter(())
        self._current: tuple[Fraction, Picture] | None = None
        self._next: tuple[Fraction, Picture] | None = None
        self._sizes: dict[Size, None] = {}
        self._damaged_us = array("q")

    @property
    def seen(self) -> Seen:
        """What it came across so far; instead of a damaged frame the last good one stays."""
        return self.seen_between(None, None)

    def seen_between(self, start: Fraction | None, end: Fraction | None) -> Seen:
        """The same with the damage from file time ``start`` on and before ``end``; None where there is no bound."""
        damaged = [
            us
            for us in self._damaged_us
            if (start is None or us >= start * MICROSECONDS) and (end is None or us < end * MICROSECONDS)
        ]
        first = damaged[0] if damaged and damaged[0] != _NEVER else None
        damage = Damage(len(damaged), None if first is None else Fraction(first, MICROSECONDS))
        return Seen(tuple(self._sizes), damage)

    @property
    def corrupt(self) -> int:
        """How many packets could not be decoded, or frames came out damaged."""
        return len(self._damaged_us)

    def picture_at(self, t: Fraction) -> Picture | None:
        """The newest frame presented at or before file time ``t``; None before the first. ``t`` must not fall."""
        if self._container is None:
            self._start(t)
        while self._next is not None and self._next[0] <= t:
            self._current = self._next
            self._next = next(self._frames, None)
        return self._current[1] if self._current else None

    def close(self) -> None:
        """Free the decoder; the reader is of no more use."""
        if self._container:
            self._frames = iter(())
            self._current = self._next = None
            self._container.close()

    def _start(self, t: Fraction) -> None:
        """Open the file near ``t``: at the key frame before it, or at its start when seeking leads astray."""
        stream = self._open()
        assert stream.time_base is not None
        start = (stream.start_time or 0) * stream.time_base
        if t > start + SEEK_S:
            try:
                assert self._container is not None
                # Early enough to see how long it has been black.
                self._container.seek(int((t - BLACK_DELAY_S) / stream.time_base), stream=stream)
                self._prime(stream, Fraction(0))
            except av.error.FFmpegError:
                self._next = None
            if self._next is not None and self._next[0] <= t:
                del self._damaged_us[:]  # pictures that lean on what was skipped are none
                return
            self.close()
            stream = self._open()
        self._prime(stream, BLACK_DELAY_S)

    def _prime(self, stream: VideoStream, head_start_s: Fraction) -> None:
        self._frames = self._pictures(stream, head_start_s)
        self._next = next(self._frames, None)

    def _open(self) -> VideoStream:
        self._container = open_input(self._path)
        self._version = file_version(self._path)
        stream = select(self._container, self._index)
        assert isinstance(stream, VideoStream)
        return stream

    def _pictures(self, stream: VideoStream, head_start_s: Fraction) -> Iterator[tuple[Fraction, Picture]]:
        """Pictures in decoding order with rising presentation times.

        A picture that begins black counts as black for ``head_start_s`` longer.
        """
        latest: Fraction | None = None
        rotation: int | None = None
        orientation = Orientation.UPRIGHT
        black_since: Fraction | None = None
        stated_sar = stream.codec_context.sample_aspect_ratio
        for pts, frame in _without_spikes(self._good_frames(stream)):
            begun = latest is not None
            latest = pts if latest is None else max(pts, latest)
            if frame.rotation != rotation:
                rotation, orientation = frame.rotation, orientation_of(frame)
            picture = describe(frame, stream, orientation)
            sar = stream.codec_context.sample_aspect_ratio
            if sar and sar != stated_sar:  # it changed on the way; until then the container's word counts
                picture = replace(picture, sar=sar)
            self._sizes[picture.displayed] = None
            if not picture.is_blank():
                black_since = None
            elif black_since is None:
                black_since = latest if begun else latest - head_start_s
            if black_since is not None:
                picture = replace(picture, black_since=black_since)
            yield latest, picture

    def _good_frames(self, stream: VideoStream) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Frames in decoding order; those that are damaged, and packets that cannot be decoded, are counted."""
        assert self._container is not None
        for packet in packets(self._container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._note_damage(None if packet.pts is None else packet.pts * packet.time_base)
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                pts = frame_time(frame, stream)
                if frame.is_corrupt:
                    self._note_damage(pts)
                elif pts is not None:
                    yield pts, frame
        check_unchanged(self._path, self._version)

    def _note_damage(self, at_s: Fraction | None) -> None:
        """One more damaged place; one without a stamp lies where the last one was."""
        if at_s is None:
            self._damaged_us.append(self._damaged_us[-1] if self._damaged_us else _NEVER)
        else:
            self._damaged_us.append(round(at_s * MICROSECONDS))


def _without_spikes(frames: Iterator[tuple[Fraction, VideoFrame]]) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The frames without those whose stamp lies far ahead of both neighbours': one must not freeze the rest."""
    before: Fraction | None = None
    held: tuple[Fraction, VideoFrame] | None = None
    for pts, frame in frames:
        if held and not leads(before, held[0], pts, SPIKE_S):
            yield held
            before = held[0]
        held = pts, frame
    if held:
        yield held


def look_through(path: Path, track: VideoTrack, advance: Callable[[Fraction], None]) -> Seen:
    """Decode a picture from its first frame to its last; ``advance`` is told the file time about every second.

    Raises:
        InputError: the file cannot be opened.
    """
    reader = VideoReader(path, track.index)
    try:
        for second in range(ceil(track.span.duration) + 1):
            t = track.span.start + second
            reader.picture_at(t)
            advance(t)
    finally:
        reader.close()
    return reader.seen


def frame_time(frame: VideoFrame, stream: VideoStream) -> Fraction | None:
    """Presentation time in seconds of file time; None where the container gives none."""
    ticks = frame.pts if frame.pts is not None else frame.dts
    assert stream.time_base is not None
    return None if ticks is None else ticks * stream.time_base


def describe(frame: VideoFrame, stream: VideoStream, orientation: Orientation | None = None) -> Picture:
    """How a frame is to be shown; its ``orientation`` is found where it is not given.

    An untagged one is BT.601 below 720 lines (semantics.md, "Picture").
    """
    return Picture(
        frame=frame,
        serial=next(_serials),
        sar=stream.sample_aspect_ratio or Fraction(1),
        orientation=orientation or orientation_of(frame),
        matrix=_MATRICES.get(frame.colorspace) or ("bt601" if frame.height < HD_LINES else "bt709"),
        interlaced=frame.interlaced_frame,
        full_range=frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj"),
    )


def orientation_of(frame: VideoFrame) -> Orientation:
    """How a frame is to be turned.

    A frame that was asked waits for the garbage collector, since PyAV's frame and its side data hold each other, and
    hundreds of large ones fill the memory before it comes: ask only where ``frame.rotation`` has changed.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside it there is data of a kind that PyAV does not know
        return _TURNS.get(frame.rotation % 360, Orientation.UPRIGHT)
    if matrix is None:
        return Orientation.UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("9i", memoryview(matrix))  # type: ignore[arg-type]  # side data is a buffer
    signs = tuple((value > 0) - (value < 0) if abs(value) >= 1 << 15 else 0 for value in (a, b, c, d))
    return next((o for o in Orientation if o.value == signs), Orientation.UPRIGHT)


def _rows(plane: VideoPlane, sample: type[np.uint8 | np.uint16]) -> NDArray[Any]:
    """Some rows of a plane, shape (rows, width)."""
    rows = np.frombuffer(memoryview(plane), sample).reshape(-1, plane.line_size // sample().itemsize)
    return rows[::BLANK_ROW_STEP, : plane.width]
