"""Service settings: ``conf/owt.toml``, read once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its shipped value; ``conf/owt.toml`` explains each."""

    x264_preset: str = "veryfast"
    x264_threads: int = 4
    vp9_cpu_used: int = 8
    vp9_threads: int = 4
    index_keys: tuple[str, ...] = ("$JobId.json", "$JobId/index.json", "$JobId/$JobId.json", "$JobId.info")
    index_time_unit: str = "auto"
    absence_s: Fraction = Fraction(1)
    gap_s: Fraction = Fraction(3)
    placeholder_delay_s: Fraction = Fraction(1, 2)
    max_duration_s: Fraction = Fraction(24 * 3600)
    keep_empty_gaps: bool = False
    text_height: Fraction = Fraction(1, 24)
    time_zone: str = "Asia/Shanghai"
    image_timeout_s: float = 10.0
    image_max_bytes: int = 16 * 2**20
    image_max_pixels: int = 16_000_000
    log_days: int = 30
