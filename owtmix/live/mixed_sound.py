"""The sound of a mix, continuous over chunks: one limiter and one encoder, whose state stays from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from owtmix.live.sound_packets import PACKET_SAMPLES
from owtmix.media.writers import encoding_errors
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioEncoding, SoundPlan
from owtmix.render.audio_mix import MixObserver, summed
from owtmix.render.audio_source import AudioSources
from owtmix.render.limiter import BLOCK, Limiter, Samples

_LAYOUTS: Final = {1: "mono", 2: "stereo"}
RUN_UP: Final = 12 * BLOCK
"""Samples before a chunk that are mixed again where the chunk before was made by another process: 2 s, more than the
limiter and the encoder remember."""


class MixedSound:
    """Mixes and encodes a range of samples after the other.

    Args:
        encoding: AAC.
        first: the first sample that ``mix`` will be asked for; a multiple of ``BLOCK``.
    """

    def __init__(self, encoding: AudioEncoding, first: int) -> None:
        encoder = av.CodecContext.create("aac", "w")
        assert isinstance(encoder, AudioCodecContext)
        encoder.sample_rate, encoder.format = SAMPLE_RATE_HZ, "fltp"
        encoder.layout = _LAYOUTS[encoding.channels]
        encoder.bit_rate = encoding.bit_rate_kbps * 1000
        encoder.time_base = Fraction(1, SAMPLE_RATE_HZ)
        encoder.thread_count = 1
        self._encoder = encoder
        self._channels = encoding.channels
        self._limiter = Limiter()
        self._encoded = first
        self.next = first
        """The sample after the last one that was mixed."""
        self.next_packet = first // PACKET_SAMPLES
        """The number of the packet that comes next."""

    def mix(self, sound: SoundPlan, sources: AudioSources, until: int, observer: MixObserver) -> Iterator[bytes]:
        """The packets that are whole once all is mixed before sample ``until``.

        Raises:
            RenderError: encoding failed.
        """
        for block in summed(sound.placements, sources, range(self.next, until), observer):
            for limited in self._limiter.push(block):
                yield from self._encode(limited)
        self.next = until

    def finish(self) -> Iterator[bytes]:
        """What is left, when no more is mixed."""
        for limited in self._limiter.finish():
            yield from self._encode(limited)
        with encoding_errors():
            yield from self._counted(self._encoder.encode(None))

    def _encode(self, block: Samples) -> Iterator[bytes]:
        if self._channels == 1:
            block = ((block[0] + block[1]) * np.float32(0.5))[np.newaxis]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", _LAYOUTS[self._channels])
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts, frame.time_base = self._encoded, Fraction(1, SAMPLE_RATE_HZ)
        self._encoded += block.shape[1]
        with encoding_errors():
            yield from self._counted(self._encoder.encode(frame))

    def _counted(self, packets: list[av.Packet]) -> Iterator[bytes]:  # type: ignore[type-arg]
        for packet in packets:
            if packet.size:
                self.next_packet += 1
                yield bytes(packet)
