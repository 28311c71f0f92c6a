"""Measures a recording in one pass over its packets, decoding as little as possible.

Durations stated by containers are often wrong or missing; timestamps of packets are used instead.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.base.time import TimeRange, timecode
from owtmix.media.audio_reader import AudioMeter
from owtmix.media.fixed_packets import FIRST_FRAMES, has_fixed_packets, is_presented, samples_of
from owtmix.media.open import is_cover, is_usable_stream, open_input, packets
from owtmix.media.partial_file import ByteRange, MissingBytesError, PartialFile
from owtmix.media.video_frame import DecodedFrame, describe_frame, frame_time
from owtmix.media.video_reader import SPIKE_S
from owtmix.plan.media_info import AudioTrack, Damage, Probe, Rates, VideoTrack

GAP_S: Final = Fraction(1)
"""Shorter gaps between frames do not affect the plan."""
LONGEST_FRAME_S: Final = Fraction(3, 10)
"""The longest audio frame of any codec: 2,048 samples at 8 kHz."""
DEFAULT_FRAME_S: Final = Fraction(1, 15)
"""Duration of the only frame of a file that states none."""
REPORT_EVERY_PACKETS: Final = 64
MAX_TIMESTAMP: Final = 2**61
"""Timestamps are clipped to this, in ticks: larger ones are broken, and differences would overflow."""

Ticks = NDArray[np.int64]
"""Timestamps in a stream's time base: int64 (n,). Lists of a day's frames would take a gigabyte."""


def probe(
    path: Path,
    advance: Callable[[Fraction], None] = lambda _: None,
    *,
    parts: Sequence[ByteRange] | None = None,
    wholly: bool = False,
) -> Probe:
    """Measure a recording. Of several video or audio tracks, uses the default one, else the first.

    Args:
        path: the file.
        advance: called with the file time (s) reached, every ``REPORT_EVERY_PACKETS``.
        parts: byte ranges that are present, in order and with gaps between them; None for the whole file. The result
            does not depend on them.
        wholly: decode all sound, to find damage.

    Raises:
        InputError: the file cannot be opened, or has neither video nor audio that can be decoded.
        MissingBytesError: more than ``parts`` is needed.
    """
    with ExitStack() as open_files:
        partial = None if parts is None else open_files.enter_context(PartialFile(path, parts))
        container = open_files.enter_context(open_input(path, partial=partial))
        meters = {s.index: _meter(s, wholly=wholly) for s in container.streams if is_usable_stream(s)}
        if not meters:
            others = dict.fromkeys(_codec(s) for s in container.streams if s.type in {"video", "audio"})
            found = f" (found {', '.join(others)})" if others else ""
            raise InputError(f"holds no picture or sound of a codec that is accepted{found}")
        _check_missing(partial, meters.values())
        flaws = list(_refused_streams(container))
        reached, base = 0, Fraction(0)

        def end(problem: str) -> None:
            flaws.append(f"it is damaged at {timecode(reached * base)}, and ends there: {problem}")

        unreported = 0
        for packet in packets(container, *(meter.stream for meter in meters.values()), on_error=end):
            meters[packet.stream.index].add(packet)  # an empty packet has no stream_index
            _check_missing(partial, meters.values())
            unreported += 1
            if packet.pts is not None:
                reached, base = packet.pts, packet.time_base
                if unreported >= REPORT_EVERY_PACKETS:
                    unreported = 0
                    advance(reached * base)
        order = sorted(meters.values(), key=lambda m: (not m.stream.disposition & Disposition.default, m.stream.index))
        video_found = next(filter(None, (m.track() for m in order if isinstance(m, _VideoMeter))), None)
        audio_found = next(filter(None, (m.track() for m in order if isinstance(m, _SoundMeter))), None)
    if not (video_found or audio_found):
        raise InputError("holds no picture or sound that can be decoded")
    if not video_found and any(isinstance(meter, _VideoMeter) for meter in order):
        flaws.append("none of its pictures can be decoded")
    if not audio_found and any(isinstance(meter, _SoundMeter) for meter in order):
        flaws.append("none of its sound can be decoded")
    video, rates_hz = video_found or (None, None)
    audio, damage = audio_found or (None, Damage())
    return Probe(video, audio, rates_hz, damage, flaws=tuple(flaws))


def _check_missing(partial: PartialFile | None, meters: Collection[_VideoMeter | _SoundMeter]) -> None:
    """Check that no missing bytes were read. Once nothing more needs decoding, reads may return zeros.

    Raises:
        MissingBytesError: missing bytes were read, or will be.
    """
    if not partial:
        return
    if any(meter.needs_all for meter in meters):
        raise MissingBytesError(None)
    partial.check()
    partial.zero_fill = all(meter.settled for meter in meters)


class _VideoMeter:
    """Measures a video track: packet timestamps, and the first decoded frame for size, colour and start.

    A meter is ``settled`` when it needs no more decoding; ``needs_all`` means that it never will be.
    """

    needs_all: Final = False

    def __init__(self, stream: VideoStream) -> None:
        assert stream.time_base is not None
        self.stream = stream
        self._time_base = stream.time_base
        self._pts = array("q")
        self._durations = array("q")
        self._first: tuple[Fraction, DecodedFrame] | None = None

    @property
    def settled(self) -> bool:
        return self._first is not None

    def add(self, packet: Packet[Stream]) -> None:
        if not packet.is_discard and packet.size and packet.pts is not None:
            self._pts.append(packet.pts)
            self._durations.append(packet.duration or 0)
        if self._first is None:
            self._decode(packet)

    def _decode(self, packet: Packet[Stream]) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            start = frame_time(frame, self.stream)
            if start is not None and not frame.is_corrupt:
                self._first = start, describe_frame(frame, self.stream)
                return

    def track(self) -> tuple[VideoTrack, Rates | None] | None:
        """The track, and its frame rates as in ``Probe``; None if no frame can be decoded."""
        if self._first is None:
            return None
        (first_s, frame), base = self._first, self._time_base
        ticks = self._ticks(int(first_s / base))
        steps = np.diff(ticks)
        last_s = int(ticks[-1]) * base
        breaks = np.flatnonzero(steps > floor(GAP_S / base)).tolist()
        steps.sort()
        track = VideoTrack(
            index=self.stream.index,
            codec=self.stream.codec_context.codec.canonical_name,
            size=frame.displayed,
            matrix=frame.matrix,
            span=TimeRange(first_s, last_s + self._last_duration(steps)),
            last_s=last_s,
            gaps=tuple(TimeRange(int(ticks[i]) * base, int(ticks[i + 1]) * base) for i in breaks),
        )
        if not len(steps):
            return track, None
        return track, (1 / (int(steps[-1]) * base), 1 / (_median(steps) * base), 1 / (int(steps[0]) * base))

    def _ticks(self, first: int) -> Ticks:
        """``first`` and the later timestamps that ``VideoReader`` uses, rising."""
        timestamps = np.clip(self._pts, -MAX_TIMESTAMP, MAX_TIMESTAMP)
        ahead = np.diff(timestamps) > round(SPIKE_S / self._time_base)
        back = -np.diff(timestamps) > round(SPIKE_S / self._time_base)
        spikes = np.append(True, ahead) & np.append(back, False)  # the first and the last have one neighbour
        ticks = np.sort(np.append(max(first, -MAX_TIMESTAMP), timestamps[~spikes & (timestamps > first)]))
        return np.asarray(ticks[np.append(True, np.diff(ticks) > 0)])

    def _last_duration(self, steps: Ticks) -> Fraction:
        """Duration of the last frame: as MP4 states it, else the median of all frames."""
        if self._pts and _states_durations(self.stream):
            timestamps, durations = np.asarray(self._pts), np.asarray(self._durations)
            stated = int(durations[timestamps == timestamps.max()].max())
            if stated > 0:
                return stated * self._time_base
        if len(steps):
            return _median(steps) * self._time_base
        return 1 / self.stream.average_rate if self.stream.average_rate else DEFAULT_FRAME_S


class _SoundMeter:
    """Measures an audio track; decodes only what the measurement needs, or all with ``wholly``."""

    def __init__(self, stream: AudioStream, *, wholly: bool) -> None:
        self.stream = stream
        # As of the start of the file: the decoder's values follow changes inside it.
        self._rate_hz, self._channels = stream.codec_context.sample_rate, stream.codec_context.channels
        self._meter = AudioMeter(self._rate_hz)
        self._stated_end = 0
        self._damage = Damage()
        self._wholly = wholly
        self._has_fixed_packets = has_fixed_packets(stream)
        self._decoded_frames = 0
        self._packet_samples = 0

    @property
    def needs_all(self) -> bool:
        return not self._has_fixed_packets

    @property
    def settled(self) -> bool:
        return self._has_fixed_packets and self._decoded_frames >= FIRST_FRAMES

    def add(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.duration:
            self._stated_end = max(self._stated_end, packet.pts + packet.duration)
        if not self.settled:
            for frame in self._decode(packet):
                self._meter.add(frame)
                self._decoded_frames += 1
                self._packet_samples = max(self._packet_samples, samples_of(frame, self._rate_hz))
            return
        if is_presented(packet):
            assert packet.pts is not None
            self._meter.place(packet.pts, self._packet_samples, packet.time_base)
        if self._wholly:
            self._decode(packet)

    def _decode(self, packet: Packet[Stream]) -> list[av.AudioFrame]:
        try:
            return packet.decode()  # type: ignore[return-value]  # the stream is audio
        except av.error.FFmpegError:
            self._damage = self._damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
            return []

    def track(self) -> tuple[AudioTrack, Damage] | None:
        """The track and its damage; None if nothing can be decoded.

        Raises:
            InputError: it has more than ``audio_drift.MAX_RUNS`` runs.
        """
        runs = self._meter.runs()
        if not runs:
            return None
        assert self.stream.time_base is not None
        stated_end_s = self._stated_end * self.stream.time_base
        if _states_durations(self.stream) and runs[-1].span.end - stated_end_s < LONGEST_FRAME_S:
            # The last frame has the codec's full length; the container states how much of it is presented.
            runs = (*runs[:-1], runs[-1].ended(stated_end_s, self._rate_hz))
        codec = self.stream.codec_context.codec.canonical_name
        packet_samples = self._packet_samples if self.settled else None
        return AudioTrack(self.stream.index, codec, self._rate_hz, self._channels, runs, packet_samples), self._damage


def _refused_streams(container: InputContainer) -> Iterator[str]:
    """A sentence for each video or audio stream of a codec that is not accepted."""
    for stream in container.streams:
        if stream.type in {"video", "audio"} and not is_usable_stream(stream) and not is_cover(stream):
            kind = "picture" if stream.type == "video" else "sound"
            yield f"its {kind} in stream {stream.index} is of a codec that is not accepted ({_codec(stream)})"


def _codec(stream: Stream) -> str:
    """The name of a stream's codec, also if FFmpeg has no decoder for it."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _meter(stream: Stream, *, wholly: bool) -> _VideoMeter | _SoundMeter:
    if isinstance(stream, VideoStream):
        return _VideoMeter(stream)
    assert isinstance(stream, AudioStream)
    return _SoundMeter(stream, wholly=wholly)


def _median(steps: Ticks) -> int:
    """The lower median of sorted steps."""
    return int(steps[(len(steps) - 1) // 2])


def _states_durations(stream: Stream) -> bool:
    """Whether packets state their durations. In Matroska FFmpeg guesses them, often wrongly by half."""
    return "matroska" not in stream.container.format.name
