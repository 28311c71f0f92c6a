"""What a recording holds and when: one pass over its packets, its sound and its first frame decoded.

Containers lie about durations, and some have none: the packets decide.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from owtmix.clip import AudioTrack, Damage, Probe, Rates, VideoTrack
from owtmix.errors import InputError
from owtmix.media.audio import AudioMeter
from owtmix.media.decode import SPIKE_S
from owtmix.media.picture import Picture, describe, frame_time
from owtmix.media.source import is_cover, leads, open_input, packets, usable
from owtmix.timing import TimeRange, timecode

GAP_S: Final = Fraction(1)
"""Shorter stretches without a frame never matter to the plan."""
LONGEST_FRAME_S: Final = Fraction(3, 10)
"""Of any codec, at its lowest rate: 2,048 samples at 8 kHz."""
DEFAULT_FRAME_S: Final = Fraction(1, 15)
"""How long the only frame of a file is shown when nothing says it."""


def probe(path: Path, advance: Callable[[Fraction], None] = lambda _: None) -> Probe:
    """Measure a recording. Of several pictures or sounds, the one marked as default is taken, else the first.

    ``advance`` is told the file time of each packet.

    Raises:
        InputError: it cannot be opened, or holds neither picture nor sound that can be decoded.
    """
    with open_input(path) as container:
        meters = {s.index: _meter(s) for s in container.streams if usable(s)}
        if not meters:
            others = dict.fromkeys(_codec(s) for s in container.streams if s.type in {"video", "audio"})
            found = f" (found {', '.join(others)})" if others else ""
            raise InputError(f"holds no picture or sound of a codec that is accepted{found}")
        flaws = [*_refused(container)]
        reached_s = Fraction(0)

        def end(problem: str) -> None:
            flaws.append(f"it is damaged at {timecode(reached_s)}, and ends there: {problem}")

        for packet in packets(container, *(meter.stream for meter in meters.values()), on_error=end):
            meters[packet.stream.index].add(packet)  # an empty packet has no stream_index
            if packet.pts is not None:
                reached_s = packet.pts * packet.time_base
                advance(reached_s)
        order = sorted(meters.values(), key=lambda m: (not m.stream.disposition & Disposition.default, m.stream.index))
        shown = next(filter(None, (m.track() for m in order if isinstance(m, _VideoMeter))), None)
        heard = next(filter(None, (m.track() for m in order if isinstance(m, _SoundMeter))), None)
    if not (shown or heard):
        raise InputError("holds no picture or sound that can be decoded")
    if not shown and any(isinstance(meter, _VideoMeter) for meter in order):
        flaws.append("none of its pictures can be decoded")
    if not heard and any(isinstance(meter, _SoundMeter) for meter in order):
        flaws.append("none of its sound can be decoded")
    video, rates_hz = shown or (None, None)
    audio, damage = heard or (None, Damage())
    return Probe(video, audio, rates_hz, damage, flaws=tuple(flaws))


class _VideoMeter:
    """Collects the packets of a picture, and decodes its first frame: that tells size, colour and the beginning."""

    def __init__(self, stream: VideoStream) -> None:
        assert stream.time_base is not None
        self.stream = stream
        self._time_base = stream.time_base
        self._pts = array("q")
        self._durations = array("q")
        self._first: tuple[Fraction, Picture] | None = None

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
                self._first = start, describe(frame, self.stream)
                return

    def track(self) -> tuple[VideoTrack, Rates | None] | None:
        """With the rates as ``Probe`` has them; None when nothing can be decoded."""
        if self._first is None:
            return None
        (first_s, picture), base = self._first, self._time_base
        first = int(first_s / base)
        ticks = [first, *sorted({pts for pts in self._steady_pts() if pts > first})]
        steps = sorted(b - a for a, b in pairwise(ticks))
        track = VideoTrack(
            index=self.stream.index,
            codec=self.stream.codec_context.codec.canonical_name,
            size=picture.displayed,
            matrix=picture.matrix,
            span=TimeRange(first_s, ticks[-1] * base + self._last_duration(steps)),
            last_s=ticks[-1] * base,
            gaps=tuple(TimeRange(a * base, b * base) for a, b in pairwise(ticks) if b - a > GAP_S / base),
        )
        if not steps:
            return track, None
        return track, (1 / (steps[-1] * base), 1 / (median_low(steps) * base), 1 / (steps[0] * base))

    def _steady_pts(self) -> Iterator[int]:
        """The stamps that ``VideoReader`` goes by."""
        spike = round(SPIKE_S / self._time_base)
        neighbours = zip([None, *self._pts[:-1]], self._pts, [*self._pts[1:], self._pts[-1]], strict=True)
        return (pts for before, pts, after in neighbours if not leads(before, pts, after, spike))

    def _last_duration(self, steps: Sequence[int]) -> Fraction:
        """How long the last frame is shown: as MP4 says, else as long as most, since Matroska only guesses."""
        stated = max(zip(self._pts, self._durations, strict=True), default=(0, 0))[1]
        if stated > 0 and _states_durations(self.stream):
            return stated * self._time_base
        if steps:
            return median_low(steps) * self._time_base
        return 1 / self.stream.average_rate if self.stream.average_rate else DEFAULT_FRAME_S


class _SoundMeter:
    """Decodes a sound to know when each sample is presented."""

    def __init__(self, stream: AudioStream) -> None:
        self.stream = stream
        # As the file begins: the decoder's own numbers follow a change in the middle.
        self._rate_hz, self._channels = stream.codec_context.sample_rate, stream.codec_context.channels
        self._meter = AudioMeter(self._rate_hz)
        self._stated_end_s = Fraction(0)
        self._damage = Damage()

    def add(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.duration:
            self._stated_end_s = max(self._stated_end_s, (packet.pts + packet.duration) * packet.time_base)
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._damage = self._damage.grown(None if packet.pts is None else packet.pts * packet.time_base)
            return
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            self._meter.add(frame)

    def track(self) -> tuple[AudioTrack, Damage] | None:
        """With what could not be decoded; None when nothing can be.

        Raises:
            InputError: it is in too many pieces.
        """
        runs = self._meter.runs()
        if not runs:
            return None
        if _states_durations(self.stream) and runs[-1].span.end - self._stated_end_s < LONGEST_FRAME_S:
            # The last frame is as long as the codec's frames are; how much of it counts, the container says.
            runs = (*runs[:-1], runs[-1].ended(self._stated_end_s, self._rate_hz))
        codec = self.stream.codec_context.codec.canonical_name
        return AudioTrack(self.stream.index, codec, self._rate_hz, self._channels, runs), self._damage


def _refused(container: InputContainer) -> Iterator[str]:
    """A sentence for each picture or sound of a codec that is not accepted."""
    for stream in container.streams:
        if stream.type in {"video", "audio"} and not usable(stream) and not is_cover(stream):
            kind = "picture" if stream.type == "video" else "sound"
            yield f"its {kind} in stream {stream.index} is of a codec that is not accepted ({_codec(stream)})"


def _codec(stream: Stream) -> str:
    """The name of a stream's codec, also of one that FFmpeg cannot decode, as far as it knows it."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _meter(stream: Stream) -> _VideoMeter | _SoundMeter:
    if isinstance(stream, VideoStream):
        return _VideoMeter(stream)
    assert isinstance(stream, AudioStream)
    return _SoundMeter(stream)


def _states_durations(stream: Stream) -> bool:
    """Matroska packets need not say how long they last; FFmpeg guesses, often by half."""
    return "matroska" not in stream.container.format.name
