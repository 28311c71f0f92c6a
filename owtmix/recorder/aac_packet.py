"""AAC in frames of ADTS (ISO/IEC 14496-3, 1.A.2), each of which says how it is decoded, as Annex B does for H.264."""

from __future__ import annotations

from typing import Final, NamedTuple

SAMPLES: Final = 1024
"""In a frame, by the rate of its head."""

_RATES_HZ: Final = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350)
_HEAD_BYTES: Final = 7
_CHECKED_HEAD_BYTES: Final = 9
_LONGEST: Final = (1 << 13) - 1
_SYNC: Final = 0xFFF0
_SYNC_AND_LAYER: Final = 0xFFF6
_MOST_PROFILES: Final = 4
_REPLICATED: Final = (5, 29)
"""Object types of AAC whose upper half is made by the decoder (SBR), also with parametric stereo."""
_MOST_CHANNELS: Final = 7


class AacError(Exception):
    """A configuration that is none, or that frames of ADTS cannot have."""


class AacFormat(NamedTuple):
    """How frames are decoded: the object type of AAC, the rate of its core in Hz, and the configuration of channels."""

    profile: int
    rate_hz: int
    channels: int

    @classmethod
    def from_config(cls, config: bytes) -> AacFormat:
        """By an AudioSpecificConfig.

        Raises:
            AacError: it is absurd, or says what is not recorded.
        """
        bits = _Bits(config)
        profile = bits.take(5)
        rate = bits.take(4)
        channels = bits.take(4)
        if profile in _REPLICATED:
            bits.take(4)
            profile = bits.take(5)
        has_short_frames = bits.take(1)
        if not 1 <= profile <= _MOST_PROFILES or rate >= len(_RATES_HZ) or has_short_frames:
            raise AacError("the configuration of the sound is of a kind that is not recorded")
        if not 1 <= channels <= _MOST_CHANNELS:
            raise AacError("the configuration of the sound has no number of channels")
        return cls(profile, _RATES_HZ[rate], channels)

    def frame(self, data: bytes) -> bytes:
        """A raw frame with the head of ADTS.

        Raises:
            AacError: it is empty, or too long for a frame of AAC.
        """
        size = len(data) + _HEAD_BYTES
        if not data or size > _LONGEST:
            raise AacError("a frame of sound that is none")
        bits = _SYNC | 1
        for value, width in (
            (self.profile - 1, 2),
            (_RATES_HZ.index(self.rate_hz), 4),
            (0, 1),
            (self.channels, 3),
            (0, 4),
            (size, 13),
            (0x7FF, 11),
            (0, 2),
        ):
            bits = bits << width | value
        return bits.to_bytes(_HEAD_BYTES, "big") + data


def format_of(frame: bytes) -> AacFormat | None:
    """The format of a frame of ADTS; None where it is no whole frame."""
    if len(frame) <= _HEAD_BYTES:
        return None
    bits = int.from_bytes(frame[:_HEAD_BYTES], "big")
    rate, channels, size = bits >> 34 & 0xF, bits >> 30 & 7, bits >> 13 & 0x1FFF
    is_checked = not bits >> 40 & 1
    is_frame = bits >> 40 & _SYNC_AND_LAYER == _SYNC and not bits & 3
    is_whole = size == len(frame) and (not is_checked or size > _CHECKED_HEAD_BYTES)
    if not is_frame or not is_whole or rate >= len(_RATES_HZ) or not channels:
        return None
    return AacFormat((bits >> 38 & 3) + 1, _RATES_HZ[rate], channels)


class _Bits:
    """The bits of bytes, the first one first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:8], "big")
        self._left = 8 * len(data[:8])

    def take(self, width: int) -> int:
        self._left -= width
        if self._left < 0:
            raise AacError("the configuration of the sound is cut")
        return self._value >> self._left & ((1 << width) - 1)
