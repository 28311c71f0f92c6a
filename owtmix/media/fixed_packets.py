"""Sound whose packets all hold equally many samples: a container's tables tell when each is presented.

It need not be decoded to be measured; decoded, it is made to hold what was counted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from av import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

BEGINNING_FRAMES: Final = 3
"""So many frames, of which priming may be cut off, are decoded to know how many samples a packet holds."""


def has_fixed_packets(stream: AudioStream) -> bool:
    """Whether all packets of a sound hold equally many samples, and the container states their times exactly."""
    return stream.codec_context.codec.name == "aac" and "mp4" in stream.container.format.name


def is_presented(packet: Packet[Stream]) -> bool:
    """Whether what a packet holds is presented."""
    return packet.size > 0 and packet.pts is not None and not packet.is_discard


def samples_of(frame: AudioFrame, rate_hz: int) -> int:
    """The samples of a frame at the track's rate, which is not the frame's own where a stream changes its rate."""
    return frame.samples if frame.sample_rate == rate_hz else round(frame.samples * rate_hz / frame.sample_rate)


class FixedPacketFrames:
    """Makes the decoded frames of an even sound what was counted on; silence stands in for what is damaged.

    Args:
        packet_samples: what each packet holds, behind the first frames.
        rate_hz: the track's rate, at which samples are counted.
    """

    def __init__(self, packet_samples: int, rate_hz: int) -> None:
        self._packet_samples = packet_samples
        self._rate_hz = rate_hz
        self._begun = 0
        self._latest: AudioFrame | None = None

    def even(self, packet: Packet[Stream], frames: Sequence[AudioFrame]) -> tuple[Sequence[AudioFrame], bool]:
        """What to take for the ``frames`` that a packet gave, none where it failed; and whether they are its own."""
        if self._begun < BEGINNING_FRAMES:
            self._begun += len(frames)
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
