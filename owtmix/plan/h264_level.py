"""The level of an H.264 track: the one that x264 chooses, stated for chunks that differ in their bit rates."""

from __future__ import annotations

from math import isqrt
from typing import Final, NamedTuple

from owtmix.base.geometry import Size


class _Level(NamedTuple):
    """What a level allows (ITU-T H.264, table A-1), in macroblocks (a second, in a picture, of references) and kbit."""

    name: str
    blocks_per_s: int
    blocks: int
    reference_blocks: int
    rate_kbps: int
    buffer_kbit: int


_LEVELS: Final = (
    _Level("1", 1_485, 99, 396, 64, 175),
    _Level("1b", 1_485, 99, 396, 128, 350),
    _Level("1.1", 3_000, 396, 900, 192, 500),
    _Level("1.2", 6_000, 396, 2_376, 384, 1_000),
    _Level("1.3", 11_880, 396, 2_376, 768, 2_000),
    _Level("2", 11_880, 396, 2_376, 2_000, 2_000),
    _Level("2.1", 19_800, 792, 4_752, 4_000, 4_000),
    _Level("2.2", 20_250, 1_620, 8_100, 4_000, 4_000),
    _Level("3", 40_500, 1_620, 8_100, 10_000, 10_000),
    _Level("3.1", 108_000, 3_600, 18_000, 14_000, 14_000),
    _Level("3.2", 216_000, 5_120, 20_480, 20_000, 20_000),
    _Level("4", 245_760, 8_192, 32_768, 20_000, 25_000),
    _Level("4.1", 245_760, 8_192, 32_768, 50_000, 62_500),
    _Level("4.2", 522_240, 8_704, 34_816, 50_000, 62_500),
    _Level("5", 589_824, 22_080, 110_400, 135_000, 135_000),
    _Level("5.1", 983_040, 36_864, 184_320, 240_000, 240_000),
    _Level("5.2", 2_073_600, 36_864, 184_320, 240_000, 240_000),
    _Level("6", 4_177_920, 139_264, 696_320, 240_000, 240_000),
    _Level("6.1", 8_355_840, 139_264, 696_320, 480_000, 480_000),
    _Level("6.2", 16_711_680, 139_264, 696_320, 800_000, 800_000),
)
_MORE_IN_HIGH: Final = 5, 4
"""The profile High allows so much more rate, as a fraction."""


def level_of(size: Size, fps: int, references: int, rate_kbps: int, buffer_kbit: int, *, is_high: bool) -> str:
    """The lowest level that a track fits, the highest one if it fits none.

    Args:
        size: of a picture.
        fps: pictures a second.
        references: pictures that are kept to predict from.
        rate_kbps: the most that flows into the decoder's buffer.
        buffer_kbit: of the decoder.
        is_high: whether it is encoded in the profile High.
    """
    width, height = -(-size.width // 16), -(-size.height // 16)
    blocks = width * height
    more, than = _MORE_IN_HIGH if is_high else (1, 1)
    for level in _LEVELS:
        if (
            blocks <= level.blocks
            and max(width, height) <= isqrt(8 * level.blocks)
            and blocks * references <= level.reference_blocks
            and blocks * fps <= level.blocks_per_s
            and rate_kbps <= level.rate_kbps * more // than
            and buffer_kbit <= level.buffer_kbit * more // than
        ):
            return level.name
    return _LEVELS[-1].name
