"""Decoding the picture of one recording, forwards, by presentation time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.geometry import Orientation, Size
from owtmix.media.nvdec import GPU_FORMAT, DecodingGpu, is_usable
from owtmix.media.open import check_unchanged, file_version, is_spike, open_input, packets, select_stream
from owtmix.media.skip_frames import SampleTimes, skip_unseen
from owtmix.media.video_frame import BLACK_DELAY_S, DecodedFrame, describe_frame, frame_time, orientation_of
from owtmix.plan.media_info import Damage, DecodeStats, VideoTrack

SPIKE_S: Final = Fraction(10)
"""A single stamp that lies further ahead of its neighbours is broken."""
SEEK_S: Final = 2
"""Seeking pays from this distance on; a shorter way is decoded."""


MICROSECONDS: Final = 1_000_000
_NEVER: Final = -(1 << 63)
"""Before every stamp."""


class _GpuStopped(Exception):  # noqa: N818 - it is where the CPU takes over
    """What the card makes of the file from here on cannot be used."""


class VideoReader:
    """Gives the newest frame at rising times. One decoder thread: what a damaged file shows must not vary.

    With ``card`` that decodes what it can; a file that it refuses, or at whose damage it stops, is decoded on the CPU
    from there on. With ``glances`` it is asked at these times alone, and need not decode what lies between.
    ``pulse`` is called at each packet: the way from a key frame to the first picture may be long.

    Raises:
        InputError: the file cannot be opened or its codec is not accepted.
    """

    def __init__(
        self,
        path: Path,
        index: int,
        card: DecodingGpu | None = None,
        glances: SampleTimes | None = None,
        pulse: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._index = index
        self._glances = glances
        self._card = card
        self._pulse = pulse
        self._decoders: dict[str, None] = {}
        self._container: InputContainer | None = None
        self._frames: Iterator[tuple[Fraction, DecodedFrame]] = iter(())
        self._current: tuple[Fraction, DecodedFrame] | None = None
        self._next: tuple[Fraction, DecodedFrame] | None = None
        self._sizes: dict[Size, None] = {}
        self._damaged_us = array("q")

    @property
    def stats(self) -> DecodeStats:
        """What it came across so far; instead of a damaged frame the last good one stays."""
        return self.stats_between(None, None)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        """The same with the damage from file time ``start`` on and before ``end``; None where there is no bound."""
        damaged = [
            us
            for us in self._damaged_us
            if (start is None or us >= start * MICROSECONDS) and (end is None or us < end * MICROSECONDS)
        ]
        first = damaged[0] if damaged and damaged[0] != _NEVER else None
        damage = Damage(len(damaged), None if first is None else Fraction(first, MICROSECONDS))
        return DecodeStats(tuple(self._sizes), damage, tuple(self._decoders))

    @property
    def corrupt(self) -> int:
        """How many packets could not be decoded, or frames came out damaged."""
        return len(self._damaged_us)

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        """The newest frame presented at or before file time ``t``; None before the first. ``t`` must not fall."""
        try:
            self._advance(t)
        except _GpuStopped:
            self.close()
            self._container = self._card = None
            self._advance(t)
        return self._current[1] if self._current else None

    def _advance(self, t: Fraction) -> None:
        if self._container is None:
            self._start(t)
        while self._next is not None and self._next[0] <= t:
            self._current = self._next
            self._next = next(self._frames, None)

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
        if t > (stream.start_time or 0) * stream.time_base + SEEK_S:
            for early_s in (Fraction(0), BLACK_DELAY_S):
                if self._seek(stream, t, t - early_s):
                    return
                del self._damaged_us[:]
                self.close()
                stream = self._open()
        self._prime(stream, BLACK_DELAY_S)

    def _seek(self, stream: VideoStream, t: Fraction, to: Fraction) -> bool:
        """Go to the key frame before ``to``; whether from there on it is known what is shown at ``t``.

        A black one must lie so early that at ``t`` it has been black for long enough to count.
        """
        assert self._container is not None
        assert stream.time_base is not None
        try:
            self._container.seek(int(to / stream.time_base), stream=stream)
            self._prime(stream, Fraction(0))
        except av.error.FFmpegError:
            return False
        if self._next is None or self._next[0] > t:
            return False
        # Pictures that lean on what was skipped are none.
        first_us = round(self._next[0] * MICROSECONDS)
        self._damaged_us = array("q", (us for us in self._damaged_us if us >= first_us))
        black_since = self._next[1].black_since
        return black_since is None or t - black_since >= BLACK_DELAY_S

    def _prime(self, stream: VideoStream, head_start_s: Fraction) -> None:
        self._frames = self._pictures(stream, head_start_s)
        self._next = next(self._frames, None)

    def _open(self) -> VideoStream:
        self._container = self._open_container()
        self._version = file_version(self._path)
        stream = select_stream(self._container, self._index)
        assert isinstance(stream, VideoStream)
        return stream

    def _open_container(self) -> InputContainer:
        if self._card:
            try:
                return open_input(self._path, hardware=self._card.hardware())
            except InputError:  # the card may be to blame, and software tells
                self._card = None
        return open_input(self._path)

    def _pictures(self, stream: VideoStream, head_start_s: Fraction) -> Iterator[tuple[Fraction, DecodedFrame]]:
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
            picture = describe_frame(frame, stream, orientation)
            sar = stream.codec_context.sample_aspect_ratio
            if sar and sar != stated_sar:  # it changed on the way; until then the container's word counts
                picture = replace(picture, sar=sar)
            self._sizes[picture.displayed] = None
            if not picture.is_blank(self._card):
                black_since = None
            elif black_since is None:
                black_since = latest if begun else latest - head_start_s
            if black_since is not None:
                picture = replace(picture, black_since=black_since)
            yield latest, picture

    def _good_frames(self, stream: VideoStream) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Frames in decoding order; those that are damaged, and packets that cannot be decoded, are counted."""
        assert self._container is not None
        found = packets(self._container, stream)
        for packet in skip_unseen(found, stream, self._glances) if self._glances and not self._card else found:
            self._pulse()
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                if self._card:
                    raise _GpuStopped from None
                self._note_damage(None if packet.pts is None else packet.pts * packet.time_base)
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                pts = frame_time(frame, stream)
                context = stream.codec_context
                if self._card and not is_usable(frame, Size(context.width, context.height)):
                    raise _GpuStopped
                self._decoders[self._card.name if frame.format.name == GPU_FORMAT and self._card else "cpu"] = None
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
        if held and not is_spike(before, held[0], pts, SPIKE_S):
            yield held
            before = held[0]
        if before is None or pts - before > SPIKE_S:
            held = pts, frame
        else:
            held = None
            yield pts, frame
            before = pts
    if held:
        yield held


def decode_all(path: Path, track: VideoTrack, advance: Callable[[Fraction], None]) -> DecodeStats:
    """Decode a picture from its first frame to its last; ``advance`` is told the file time about every second.

    Raises:
        InputError: the file cannot be opened.
    """
    reader = VideoReader(path, track.index)
    try:
        for second in range(ceil(track.span.duration) + 1):
            t = track.span.start + second
            reader.frame_at(t)
            advance(t)
    finally:
        reader.close()
    return reader.stats
