"""Synthetic sounds with a known value at any time, in files with any timestamps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from owtmix.media.audio_drift import measure_runs
from owtmix.media.open import open_input
from owtmix.plan.media_info import AudioTrack

Sound = NDArray[np.float32]

FRAME_SAMPLES: Final = 960

SWEEP_HZ: Final = (200.0, 3000.0)
SWEEP_S: Final = 5.0


def sweep(seconds: NDArray[np.float64], amplitude: float = 0.4) -> Sound:
    """A repeated rising tone at the given times; no two times within ``SWEEP_S`` sound alike."""
    low, high = SWEEP_HZ
    t = np.mod(seconds, SWEEP_S)
    return np.asarray(amplitude * np.sin(2 * np.pi * (low * t + (high - low) * t * t / (2 * SWEEP_S))), np.float32)


def tone(seconds: NDArray[np.float64], hz: float, amplitude: float) -> Sound:
    return np.asarray(amplitude * np.sin(2 * np.pi * hz * seconds), np.float32)


def moments(duration_s: float, rate_hz: int) -> NDArray[np.float64]:
    """The time of every sample of ``duration_s``, in seconds."""
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def write_sound(
    path: Path,
    sound: Sound,
    rate_hz: int,
    *,
    codec: str = "pcm_s16le",
    retime: Callable[[Fraction], Fraction | None] = lambda t: t,
    damaged: Collection[int] = (),
) -> Path:
    """Write ``sound``, float32 (1, 2 or 6 channels, n), full scale 1.0.

    ``retime`` maps the time of each packet (s) to the one that is written; packets mapped to None are dropped. Packets
    with numbers in ``damaged`` hold garbage.
    """
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    # Edit lists use the movie time scale: by default milliseconds, which would shift the sound.
    options = {"movie_timescale": str(rate_hz)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.time_base = Fraction(1, rate_hz)
        container.start_encoding()
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate_hz)
        number = 0
        for start in [*range(0, sound.shape[1], FRAME_SAMPLES), None]:
            for packet in _encoded(stream, resampler, sound, start, rate_hz):
                time = retime(packet.pts * packet.time_base) if packet.pts is not None else None
                if time is not None:
                    container.mux(_restamped(packet, stream, time, garbage=number in damaged))
                number += 1
    return path


def _encoded(
    stream: AudioStream, resampler: av.AudioResampler, sound: Sound, start: int | None, rate_hz: int
) -> list[Packet[AudioStream]]:
    if start is None:
        return stream.encode(None)
    block = np.ascontiguousarray(sound[:, start : start + FRAME_SAMPLES])
    frame = AudioFrame.from_ndarray(block, "fltp", stream.codec_context.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
    return [packet for converted in resampler.resample(frame) for packet in stream.encode(converted)]


def _restamped(
    packet: Packet[AudioStream], stream: AudioStream, time: Fraction, *, garbage: bool
) -> Packet[AudioStream]:
    assert stream.time_base is not None
    written: Packet[Any] = Packet(b"\xff" * packet.size) if garbage else packet
    written.stream = stream
    written.time_base = stream.time_base
    written.pts = written.dts = round(time / stream.time_base)
    return written


def probe_sound(path: Path) -> AudioTrack:
    """Measure the first audio track of a file by decoding it."""
    with open_input(path) as container:
        stream = container.streams.audio[0]
        context = stream.codec_context
        assert stream.time_base
        frames: list[AudioFrame] = []
        for packet in container.demux(stream):
            with suppress(av.error.FFmpegError):
                frames += (frame for frame in packet.decode() if frame.samples)
        pts = np.array([frame.pts for frame in frames], np.int64)
        samples = np.array([frame.samples for frame in frames], np.int64)
        runs = measure_runs(pts, samples, stream.time_base, context.sample_rate)
        return AudioTrack(stream.index, context.name, context.sample_rate, context.layout.nb_channels, runs)
