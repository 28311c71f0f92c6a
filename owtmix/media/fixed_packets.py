"""Sound whose packets all hold equally many samples (AAC in MP4): the container's tables are enough to measure it.

When it is decoded, frames are conformed to the measured sample counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from av import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

FIRST_FRAMES: Final = 3
"""Frames that are decoded to find the samples per packet; priming shortens the first ones."""


def has_fixed_packets(stream: AudioStream) -> bool:
    """Whether all packets hold equally many samples, with exact timestamps in the container."""
    return stream.codec_context.codec.name == "aac" and "mp4" in stream.container.format.name


def is_presented(packet: Packet[Stream]) -> bool:
    """Whether the samples of a packet are presented."""
    return packet.size > 0 and packet.pts is not None and not packet.is_discard


def samples_of(frame: AudioFrame, rate_hz: int) -> int:
    """Samples of a frame at the track's rate; the frame's own rate differs if the stream changes its rate."""
    return frame.samples if frame.sample_rate == rate_hz else round(frame.samples * rate_hz / frame.sample_rate)


class FixedPacketFrames:
    """Conforms decoded frames to the measured sample count; damaged packets become silence.

    Args:
        packet_samples: samples of each packet after the first frames, at ``rate_hz``.
        rate_hz: the track's rate.
    """

    def __init__(self, packet_samples: int, rate_hz: int) -> None:
        self._packet_samples = packet_samples
        self._rate_hz = rate_hz
        self._decoded_frames = 0
        self._latest: AudioFrame | None = None

    def conform(self, packet: Packet[Stream], frames: Sequence[AudioFrame]) -> tuple[Sequence[AudioFrame], bool]:
        """The frames to use for a packet that decoded to ``frames`` (none if it failed), and whether it is intact."""
        if self._decoded_frames < FIRST_FRAMES:
            self._decoded_frames += len(frames)
        elif not is_presented(packet):
            return (), True
        elif sum(samples_of(frame, self._rate_hz) for frame in frames) != self._packet_samples:
            return (self._silence(packet),), False
        self._latest = frames[-1] if frames else self._latest
        return frames, True

    def _silence(self, packet: Packet[Stream]) -> AudioFrame:
        assert self._latest
        like = self._latest
        samples = round(self._packet_samples * like.sample_rate / self._rate_hz)
        silence = AudioFrame(format=like.format.name, layout=like.layout.name, samples=samples)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.pts, silence.time_base = like.sample_rate, packet.pts, packet.time_base
        return silence
