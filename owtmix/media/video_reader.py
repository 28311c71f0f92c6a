"""Decodes the video of one recording, forwards, by presentation time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.geometry import Orientation, Size
from owtmix.base.shortage import raise_if_short
from owtmix.media.clocked_packets import clocked
from owtmix.media.nvdec import GPU_FORMAT, DecodingGpu, is_usable
from owtmix.media.open import close_input, open_input, packets, select_stream
from owtmix.media.skip_frames import SampleTimes, skip_unshown
from owtmix.media.video_frame import BLACK_DELAY_S, DecodedFrame, describe_frame, frame_time, orientation_of
from owtmix.plan.media_info import Damage, DecodeStats, Section

SEEK_S: Final = 2
"""Shorter distances are decoded, not seeked."""

MICROSECONDS: Final = 1_000_000
_UNKNOWN_US: Final = -(1 << 63)
"""Before all timestamps: damage without one."""


class _GpuStopped(Exception):  # noqa: N818 - not an error: the CPU takes over
    """The GPU cannot decode the file from here on."""


class VideoReader:
    """Gives the newest frame at rising file times. Uses one decoder thread: how damage decodes must not vary.

    Args:
        path: the recording, opened by the first ``frame_at``.
        index: of its video stream.
        gpu: decodes what it can; unsupported files, and files from their first damage on, are decoded on the CPU.
        times: the only times that ``frame_at`` will be called with; frames between them may be skipped.
        heartbeat: called at each packet, since there may be many from a key frame to the first frame.
        sections: the corrections of its timestamps.
        end_bytes: where its packets end, if that is before the end of the file.
        loop_filter: without it the CPU filters key frames only; what that does to others ends with the next key frame.
    """

    def __init__(
        self,
        path: Path,
        index: int,
        gpu: DecodingGpu | None = None,
        times: SampleTimes | None = None,
        heartbeat: Callable[[], None] = lambda: None,
        sections: Sequence[Section] = (),
        end_bytes: int | None = None,
        *,
        loop_filter: bool = True,
    ) -> None:
        self._path = path
        self._index = index
        self._times = times
        self._gpu = gpu
        self._heartbeat = heartbeat
        self._sections = sections
        self._end_bytes = end_bytes
        self._loop_filter = loop_filter
        self._skipped_packets = 0
        self._decoders: dict[str, None] = {}
        self._container: InputContainer | None = None
        self._frames: Iterator[tuple[Fraction, DecodedFrame]] = iter(())
        self._current: tuple[Fraction, DecodedFrame] | None = None
        self._next: tuple[Fraction, DecodedFrame] | None = None
        self._sizes: dict[Size, None] = {}
        self._damaged_us = array("q")

    @property
    def stats(self) -> DecodeStats:
        """Sizes, damage and decoders so far. The last good frame is shown instead of a damaged one."""
        return self.stats_between(None, None)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        """``stats`` with the damage in file time ``[start, end)`` (s) only; None is unbounded."""
        damaged = [
            us
            for us in self._damaged_us
            if (start is None or us >= start * MICROSECONDS) and (end is None or us < end * MICROSECONDS)
        ]
        first = damaged[0] if damaged and damaged[0] != _UNKNOWN_US else None
        damage = Damage(len(damaged), None if first is None else Fraction(first, MICROSECONDS))
        return DecodeStats(tuple(self._sizes), damage, tuple(self._decoders))

    @property
    def corrupt(self) -> int:
        """The number of packets that failed to decode, and of damaged frames."""
        return len(self._damaged_us)

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        """The newest frame presented at or before file time ``t`` (s); None before the first.

        ``t`` must not fall from call to call.

        Raises:
            InputError: the file cannot be opened, or its codec is not accepted.
        """
        try:
            self._advance(t)
        except _GpuStopped:
            self.close()
            self._container = self._gpu = None
            self._advance(t)
        return self._current[1] if self._current else None

    def _advance(self, t: Fraction) -> None:
        if self._container is None:
            self._start(t)
        while self._next is not None and self._next[0] <= t:
            self._current = self._next
            self._next = next(self._frames, None)

    def close(self) -> None:
        """Free the decoder; the reader cannot be used any more."""
        if self._container:
            self._frames = iter(())
            self._current = self._next = None
            close_input(self._container)

    def _start(self, t: Fraction) -> None:
        """Open the file and seek to the key frame before ``t``, or to the start of the file if that fails."""
        stream = self._open()
        assert stream.time_base is not None
        if self._sections or t > (stream.start_time or 0) * stream.time_base + SEEK_S:
            for early_s in (Fraction(0), BLACK_DELAY_S):
                if self._seek(stream, t, t - early_s):
                    return
                del self._damaged_us[:]
                self.close()
                self._skipped_packets = 0
                stream = self._open()
        self._prime(stream, BLACK_DELAY_S)

    def _seek(self, stream: VideoStream, t: Fraction, to: Fraction) -> bool:
        """Seek to the key frame before ``to``; returns whether decoding from there gives the frame at ``t``.

        If that key frame is black, it must be early enough to know that the camera counts as muted at ``t``.
        """
        assert self._container is not None
        time_base = stream.time_base
        assert time_base is not None
        try:
            if self._sections:
                stream = self._skip_to(stream, to)
            else:
                self._container.seek(int(to / time_base), stream=stream)
            self._prime(stream, Fraction(0))
        except av.error.FFmpegError as error:
            raise_if_short(error)
            return False
        if self._next is None or self._next[0] > t:
            return False
        # Frames before the key frame that refer to skipped ones are not damage of the file.
        first_us = round(self._next[0] * MICROSECONDS)
        self._damaged_us = array("q", (us for us in self._damaged_us if us >= first_us))
        black_since = self._next[1].black_since
        return black_since is None or t - black_since >= BLACK_DELAY_S

    def _skip_to(self, stream: VideoStream, to: Fraction) -> VideoStream:
        """Arrange that decoding begins at the key frame before ``to``. Broken timestamps cannot be sought by."""
        assert self._container
        time_base = stream.time_base
        assert time_base
        latest = 0
        for number, (packet, is_used) in enumerate(clocked(packets(self._container, stream), self._sections)):
            self._heartbeat()
            if is_used and packet.is_keyframe and packet.pts is not None and packet.pts * time_base <= to:
                latest = number
        self.close()
        self._skipped_packets = latest
        return self._open()

    def _prime(self, stream: VideoStream, head_start_s: Fraction) -> None:
        self._frames = self._described_frames(stream, head_start_s)
        self._next = next(self._frames, None)

    def _open(self) -> VideoStream:
        self._container = self._open_container()
        stream = select_stream(self._container, self._index)
        assert isinstance(stream, VideoStream)
        if not self._loop_filter:
            stream.codec_context.options = {**stream.codec_context.options, "skip_loop_filter": "nokey"}
        return stream

    def _open_container(self) -> InputContainer:
        if self._gpu:
            try:
                return open_input(self._path, end_bytes=self._end_bytes, hardware=self._gpu.hardware())
            except InputError:  # perhaps because of the GPU: try without it
                self._gpu = None
        return open_input(self._path, end_bytes=self._end_bytes)

    def _described_frames(self, stream: VideoStream, head_start_s: Fraction) -> Iterator[tuple[Fraction, DecodedFrame]]:
        """Described frames in decoding order, with rising presentation times.

        If the first frame is black, it counts as black for ``head_start_s`` longer.
        """
        latest: Fraction | None = None
        rotation: int | None = None
        orientation = Orientation.UPRIGHT
        black_since: Fraction | None = None
        stated_sar = stream.codec_context.sample_aspect_ratio
        for pts, frame in self._good_frames(stream):
            started = latest is not None
            latest = pts if latest is None else max(pts, latest)
            if frame.rotation != rotation:
                rotation, orientation = frame.rotation, orientation_of(frame)
            described = describe_frame(frame, stream, orientation)
            sar = stream.codec_context.sample_aspect_ratio
            if sar and sar != stated_sar:  # a change inside the stream overrides the container
                described = replace(described, sar=sar)
            self._sizes[described.displayed] = None
            if not described.is_blank(self._gpu):
                black_since = None
            elif black_since is None:
                black_since = latest if started else latest - head_start_s
            if black_since is not None:
                described = replace(described, black_since=black_since)
            yield latest, described

    def _good_frames(self, stream: VideoStream) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Undamaged frames in decoding order. Counts damaged ones, and packets that cannot be decoded."""
        assert self._container is not None
        found = self._packets(stream)
        for packet in skip_unshown(found, stream, self._times) if self._times and not self._gpu else found:
            self._heartbeat()
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                raise_if_short(error)
                if self._gpu:
                    raise _GpuStopped from None
                self._note_damage(None if packet.pts is None else packet.pts * packet.time_base)
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                pts = frame_time(frame, stream)
                context = stream.codec_context
                if self._gpu and not is_usable(frame, Size(context.width, context.height)):
                    raise _GpuStopped
                self._decoders[self._gpu.name if frame.format.name == GPU_FORMAT and self._gpu else "cpu"] = None
                if frame.is_corrupt:
                    self._note_damage(pts)
                elif pts is not None:
                    yield pts, frame

    def _packets(self, stream: VideoStream) -> Iterator[Packet[Stream]]:
        """The packets that are used, in corrected time."""
        assert self._container
        if not self._sections:
            yield from packets(self._container, stream)
            return
        for number, (packet, is_used) in enumerate(clocked(packets(self._container, stream), self._sections)):
            if is_used and (number >= self._skipped_packets or not packet.size):
                yield packet
            else:
                self._heartbeat()

    def _note_damage(self, at_s: Fraction | None) -> None:
        """Count damage at file time ``at_s``, or at the time of the previous damage if unknown."""
        if at_s is None:
            self._damaged_us.append(self._damaged_us[-1] if self._damaged_us else _UNKNOWN_US)
        else:
            self._damaged_us.append(round(at_s * MICROSECONDS))
