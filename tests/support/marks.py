"""Flashes and beeps in a file: when they begin, and how far that is from whole seconds of the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from tests.e2e.measure import RATE_HZ, Samples, beeps

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as parts of the picture."""

WHOLE: Final[Box] = (0.25, 0.1, 0.75, 0.8)
LEFT_HALF: Final[Box] = (0.15, 0.4, 0.35, 0.6)
RIGHT_HALF: Final[Box] = (0.65, 0.4, 0.85, 0.6)

_FLASH_LUMA: Final = 180
"""A flash has 235, what is between them at most 130."""
_SETTLING_S: Final = 2.0
"""A sender that has just begun has no steady clock: browsers drop and hold first pictures, encoders adapt."""


@dataclass(frozen=True, slots=True)
class Track:
    """Pictures and sound of a file, on its own time in seconds."""

    times_s: list[float]
    lumas: list[list[float]]
    sound_s: float
    samples: Samples

    @property
    def first_s(self) -> float:
        """What is presented first."""
        return min([*self.times_s[:1], *([self.sound_s] if self.samples.shape[1] else [])])

    @property
    def longest_gap_s(self) -> float:
        """The longest time from a picture to the next one."""
        return max((b - a for a, b in zip(self.times_s, self.times_s[1:], strict=False)), default=0.0)

    def flashes(self, box: int = 0) -> list[float]:
        """When each flash begins in a box."""
        bright = [luma[box] > _FLASH_LUMA for luma in self.lumas]
        return [at for at, was, now in zip(self.times_s[1:], bright, bright[1:], strict=False) if now and not was]

    def beeps(self, tone_hz: int) -> list[float]:
        """When each beep of a tone begins."""
        return [at + self.sound_s for at in beeps(self.samples, tone_hz)]


def read_track(path: Path, boxes: Sequence[Box] = (WHOLE,)) -> Track:
    """Decode a file."""
    times, lumas = [], []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0) if file.streams.video else ():
            times.append(_time_s(frame))
            lumas.append([_luma(frame, box) for box in boxes])
    with av.open(str(path)) as file:
        parts = [(_time_s(frame), frame.to_ndarray()) for frame in file.decode(audio=0)] if file.streams.audio else []
    if not parts:
        return Track(times, lumas, 0.0, np.zeros((2, 0), np.float32))
    first_s, (last_s, last) = parts[0][0], parts[-1]
    samples = np.zeros((2, round((last_s - first_s) * RATE_HZ) + last.shape[1] + 48), np.float32)
    for at_s, part in parts:
        at = round((at_s - first_s) * RATE_HZ)
        samples[:, at : at + part.shape[1]] = part
    return Track(times, lumas, first_s, samples)


@dataclass(frozen=True, slots=True)
class Marks:
    """By how many milliseconds flashes and beeps begin later than whole seconds of the clock."""

    flashes_ms: list[float]
    beeps_ms: list[float]

    @property
    def flash_ms(self) -> float:
        return median(self.flashes_ms)

    @property
    def beep_ms(self) -> float:
        return median(self.beeps_ms)

    def __str__(self) -> str:
        both = [("flashes", self.flashes_ms), ("beeps", self.beeps_ms)]
        return ", ".join(
            f"{len(of)} {name} {median(of):+.1f} ({min(of):+.1f} to {max(of):+.1f}) ms" for name, of in both
        )


def marks(track: Track, start_s: float, tone_hz: int, box: int = 0) -> Marks:
    """The marks of a file whose beginning was at ``start_s`` of the clock."""

    def late(found: list[float]) -> list[float]:
        since = [at - track.first_s for at in found]
        return [((start_s + at + 0.5) % 1 - 0.5) * 1000 for at in since if at > _SETTLING_S]

    return Marks(late(track.flashes(box)), late(track.beeps(tone_hz)))


def start_s(entry: dict[str, Any]) -> float:
    """When a file of an index began."""
    return float(entry["StartTime"]) / 1000


def _spread(values: list[float]) -> str:
    return f"{median(values):+.1f} ms ({len(values)}: {min(values):+.1f} to {max(values):+.1f})"


def _luma(frame: av.VideoFrame, box: Box) -> float:
    plane = frame.planes[0]
    rows: NDArray[np.uint8] = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    left, top, right, bottom = box
    across = slice(int(left * frame.width), int(right * frame.width), 4)
    return float(rows[int(top * frame.height) : int(bottom * frame.height) : 4, across].mean())


def _time_s(frame: av.VideoFrame | av.AudioFrame) -> float:
    assert frame.pts is not None
    assert frame.time_base is not None
    return float(frame.pts * frame.time_base)
