"""Sound whose packets tell how many samples they hold, so that it is measured without being decoded.

AAC in MP4 has equally many in each packet, and Opus says it in its first bytes. When the sound is decoded, frames are
conformed to the counted samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from av import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

FIRST_FRAMES: Final = 3
"""Frames that are decoded to find the samples per packet; priming shortens the first ones."""

_OPUS: Final = frozenset({"opus", "libopus"})
_OPUS_RATE_HZ: Final = 48_000
_OPUS_FRAME_SAMPLES: Final = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
"""Samples of a frame by the configuration number (RFC 6716, table 2)."""
_OPUS_MANY_FRAMES: Final = 3


def tells_samples(stream: AudioStream) -> bool:
    """Whether packets tell how many samples they hold, and have exact timestamps in the container."""
    name = stream.codec_context.codec.name
    return name in _OPUS or (name == "aac" and "mp4" in stream.container.format.name)


def is_opus(stream: AudioStream) -> bool:
    return stream.codec_context.codec.name in _OPUS


def is_presented(packet: Packet[Stream]) -> bool:
    """Whether the samples of a packet are presented."""
    return packet.size > 0 and packet.pts is not None and not packet.is_discard


def is_trimmed(packet: Packet[Stream]) -> bool:
    """Whether the container says that only a part of the packet is presented."""
    return any(
        data.data_type == "skip_samples" for data in packet.iter_sidedata()
    )  # has_sidedata takes ten times as long


def opus_samples(packet: Packet[Stream]) -> int:
    """Samples of an Opus packet at 48 kHz (RFC 6716, section 3.1); 0 for one that is not valid."""
    data = memoryview(packet)
    frames = (1, 2, 2, 0)[data[0] & 3]
    if not frames:
        frames = data[1] & 63 if len(data) > 1 else 0
    return _OPUS_FRAME_SAMPLES[data[0] >> 3] * frames


def opus_samples_by_heads(heads: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """``opus_samples`` of many packets: int64 (n,). ``heads`` are their first two bytes, ``sizes`` their lengths."""
    first = heads >> 8
    frames = np.array([1, 2, 2, 0])[first & 3]
    counted = np.where(sizes > 1, heads & 63, 0)
    count = np.where(first & 3 == _OPUS_MANY_FRAMES, counted, frames)
    return np.asarray(np.array(_OPUS_FRAME_SAMPLES)[first >> 3] * count, np.int64)


def samples_of(frame: AudioFrame, rate_hz: int) -> int:
    """Samples of a frame at the track's rate; the frame's own rate differs if the stream changes its rate."""
    return frame.samples if frame.sample_rate == rate_hz else round(frame.samples * rate_hz / frame.sample_rate)


class CountedFrames:
    """Conforms decoded frames to the counted samples; damaged packets become silence.

    Args:
        packet_samples: samples of each packet after the first frames, at ``rate_hz``; 0 when Opus packets tell it.
        rate_hz: the track's rate.
    """

    def __init__(self, packet_samples: int, rate_hz: int) -> None:
        self._packet_samples = packet_samples
        self._rate_hz = rate_hz
        self._decoded_frames = 0
        self._latest: AudioFrame | None = None

    def told(self, packet: Packet[Stream]) -> int:
        """How many samples ``conform`` makes of a packet that is not trimmed; 0 where only decoding tells."""
        if self._decoded_frames < FIRST_FRAMES or not is_presented(packet):
            return 0
        return self._packet_samples or opus_samples(packet)

    def conform(self, packet: Packet[Stream], frames: Sequence[AudioFrame]) -> tuple[Sequence[AudioFrame], bool]:
        """The frames to use for a packet that decoded to ``frames`` (none if it failed), and whether it is intact."""
        if self._decoded_frames < FIRST_FRAMES:
            self._decoded_frames += len(frames)
        elif not is_presented(packet):
            return (), True
        else:
            counted = self._packet_samples or opus_samples(packet)
            decoded = sum(samples_of(frame, self._rate_hz) for frame in frames)
            if decoded != counted and not is_trimmed(packet):
                return (self._silence(packet, counted),) if counted else (), False
        self._latest = frames[-1] if frames else self._latest
        return frames, True

    def _silence(self, packet: Packet[Stream], counted: int) -> AudioFrame:
        assert self._latest
        like = self._latest
        samples = round(counted * like.sample_rate / self._rate_hz)
        silence = AudioFrame(format=like.format.name, layout=like.layout.name, samples=samples)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.pts, silence.time_base = like.sample_rate, packet.pts, packet.time_base
        return silence
