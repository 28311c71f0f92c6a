"""Estimates the memory that the decoder of a picture needs, from what the file states of it, before it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from av.video.stream import VideoStream

HELD_FRAMES: Final = 4
"""The frame that is decoded, the one that is shown, the next one, and one that is scaled."""
MOST_REFERENCES: Final = 16
"""Of H.264 and H.265."""
TABLES: Final = 1.25
"""Decoders keep tables beside their frames: measured were up to 13 % of their size."""
_REFERENCES: Final = {"vp8": 3, "vp9": 8, "av1": 8}
_PADDING_PX: Final = 64
"""Decoders align the sides of frames, and some add an edge."""
LONGEST_HEADER: Final = 1 << 16
LONGEST_CODE: Final = 32
"""In bits, as the standards have it."""
_H264_SPS: Final = 7
_HEVC_SPS: Final = 33
_CHROMA_444: Final = 3
_WITH_CHROMA: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles of H.264 whose parameter sets state the format of chroma."""


def decoder_bytes(stream: VideoStream) -> int:
    """About as many bytes as the decoder of ``stream`` takes, with the frames that it refers to.

    A file whose packets say other things than its header may take more.
    """
    context = stream.codec_context
    name = context.codec.canonical_name
    references = _REFERENCES.get(name, MOST_REFERENCES)
    if name in {"h264", "hevc"}:
        references = references_of(name, bytes(context.extradata or b""))
    bits = context.format.padded_bits_per_pixel if context.format else 12
    frame = (context.width + _PADDING_PX) * (context.height + _PADDING_PX) * bits // 8
    frames = references + min(context.reorder_depth, MOST_REFERENCES) + HELD_FRAMES
    return int(frame * frames * TABLES)


def references_of(codec: str, header: bytes) -> int:
    """The most references that the parameter sets in ``header`` allow; the codec's limit where there are none."""
    stated = []
    try:
        for unit in _units(codec, header[:LONGEST_HEADER]):
            bits = _Bits(unit.replace(b"\0\0\3", b"\0\0"))
            if codec == "h264" and unit[0] & 0x1F == _H264_SPS:
                stated.append(_h264_references(bits))
            elif codec == "hevc" and unit[0] >> 1 & 0x3F == _HEVC_SPS:
                stated.append(_hevc_references(bits))
    except IndexError:  # it ends too early
        pass
    return min(max(stated, default=MOST_REFERENCES), MOST_REFERENCES)


def _units(codec: str, header: bytes) -> Iterator[bytes]:
    """The units in a header: behind start codes, or with their lengths as MP4 and Matroska have it."""
    if header[:1] != b"\1":
        yield from filter(None, header.split(b"\0\0\1")[1:])
    elif codec == "h264":
        yield from _counted(header, 6, header[5] & 0x1F)
    else:
        at = 23
        for _ in range(header[22]):
            units = list(_counted(header, at + 3, int.from_bytes(header[at + 1 : at + 3])))
            yield from units
            at += 3 + sum(2 + len(unit) for unit in units)


def _counted(header: bytes, at: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        length = int.from_bytes(header[at : at + 2])
        if unit := header[at + 2 : at + 2 + length]:
            yield unit
        at += 2 + length


class _Bits:
    """Reads bits and Exp-Golomb codes; an IndexError says that the data has ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for at in range(self._at, self._at + count):
            value = value << 1 | self._data[at >> 3] >> (7 - (at & 7)) & 1
        self._at += count
        return value

    def code(self) -> int:
        """An unsigned Exp-Golomb code; a signed one has the same length."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > LONGEST_CODE:
                raise IndexError(zeros)
        return (1 << zeros) - 1 + self.take(zeros)


def _h264_references(bits: _Bits) -> int:
    """``max_num_ref_frames``; H.264, section 7.3.2.1.1."""
    bits.take(8)
    profile = bits.take(8)
    bits.take(16)
    bits.code()
    if profile in _WITH_CHROMA:
        chroma = bits.code()
        bits.take(chroma == _CHROMA_444)
        bits.code(), bits.code()
        bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma == _CHROMA_444 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)  # noqa: PLR2004 - as in the standard
    bits.code()
    order = bits.code()
    if order == 0:
        bits.code()
    elif order == 1:
        bits.take(1)
        bits.code(), bits.code()
        for _ in range(bits.code()):
            bits.code()
    return bits.code()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.code()
            following = (last + (code + 1 >> 1) * (1 if code & 1 else -1)) % 256
        last = following or last


def _hevc_references(bits: _Bits) -> int:
    """The largest ``sps_max_dec_pic_buffering``, less the picture itself; H.265, section 7.3.2.2."""
    bits.take(16 + 4)
    layers = bits.take(3)
    bits.take(1 + 88 + 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.code()
    bits.take(bits.code() == _CHROMA_444)
    bits.code(), bits.code()
    if bits.take(1):
        bits.code(), bits.code(), bits.code(), bits.code()
    bits.code(), bits.code(), bits.code()
    counts = []
    for _ in range(layers + 1 if bits.take(1) else 1):
        counts.append(bits.code())
        bits.code(), bits.code()
    return max(counts)
