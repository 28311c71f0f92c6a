"""Decodes the packets of a sound that has no container."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.recorder.journal import Codec
from owtmix.recorder.opus_packet import LOOKAHEAD, RATE_HZ
from owtmix.recorder.placed_sound import Block


def late_by(codec: Codec) -> int:
    """By how many samples what is decoded of a packet lies before what the packet says it holds."""
    return LOOKAHEAD if codec == "opus" else 0


class SoundDecoder:
    """Decodes packets of ``codec``, one after the other."""

    def __init__(self, codec: Codec) -> None:
        decoder = av.CodecContext.create(codec, "r")
        assert isinstance(decoder, AudioCodecContext)
        self._decoder = decoder
        self._resampler: tuple[int, str, av.AudioResampler] | None = None

    def blocks(self, data: bytes) -> list[Block]:
        """The sound of a packet, in stereo at 48 kHz.

        Raises:
            InputError: it cannot be decoded; the next one may be.
        """
        try:
            return [*self._blocks(data)]
        except (av.error.FFmpegError, ValueError) as error:
            raise_if_short(error)
            raise InputError(f"a packet of sound cannot be decoded: {error}") from None

    def _blocks(self, data: bytes) -> Iterator[Block]:
        for frame in self._decoder.decode(Packet(data)):
            assert isinstance(frame, av.AudioFrame)
            rate_hz, layout = frame.sample_rate, frame.layout.name
            if (rate_hz, layout) == (RATE_HZ, "stereo"):
                yield np.ascontiguousarray(frame.to_ndarray(), np.float32)
                continue
            if not self._resampler or self._resampler[:2] != (rate_hz, layout):
                # FFmpeg makes one channel softer when it makes two of it.
                wanted = "mono" if layout == "mono" else "stereo"
                self._resampler = rate_hz, layout, av.AudioResampler("fltp", wanted, RATE_HZ)
            for resampled in self._resampler[2].resample(frame):
                channels = np.asarray(resampled.to_ndarray(), np.float32)
                yield np.ascontiguousarray(np.broadcast_to(channels, (2, channels.shape[1])))
