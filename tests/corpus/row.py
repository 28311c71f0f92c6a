"""A row of the table: the expected properties of a file. Times are file time, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Final

SHARED: Final = Path(__file__).parents[3] / "shared"
MEDIA: Final = SHARED / "media"
MANIFEST: Final = "MANIFEST.tsv"

TIME_TOLERANCE_S: Final = 0.003
"""Tolerance of times: the table and WebM files have milliseconds."""


@dataclass(frozen=True, slots=True)
class Video:
    """The picture of a file.

    ``sizes`` are ``WIDTHxHEIGHT`` as coded, in order of appearance, ``sar`` the shape of a pixel, ``turn`` by how many
    quarters the picture is turned counterclockwise, and ``mirrored`` whether it then is mirrored. ``end_s`` is the end
    of the last frame, which begins at ``last_s``; ``frames`` are those that can be shown, ``corrupt`` how many more are
    damaged or cannot be decoded; ``gaps`` those between frames of more than 3 s. ``black`` are ranges of flat black, as
    recorders write it for a muted camera. What pictures after ``intact_s`` show depends on what a
    decoder finds in its recycled buffers.
    """

    codec: str
    sizes: tuple[str, ...]
    first_s: float
    last_s: float
    end_s: float
    frames: int
    corrupt: int = 0
    matrix: str = "bt601"
    full_range: bool = False
    sar: Fraction = Fraction(1)
    turn: int = 0
    mirrored: bool = False
    gaps: tuple[tuple[float, float], ...] = ()
    black: tuple[tuple[float, float], ...] = ()
    index: int = 0
    intact_s: float = inf

    @property
    def first_size(self) -> tuple[int, int]:
        """Width and height of the first frame after rotation, in coded (not square) pixels."""
        width, height = map(int, self.sizes[0].split("x"))
        return (height, width) if self.turn % 2 else (width, height)


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a file, from the first sample to the end of the last, in ``runs`` without gaps.

    Its timestamps are reliable from ``steady_s`` on.
    """

    codec: str
    rate_hz: int
    channels: int
    first_s: float
    end_s: float
    runs: int = 1
    index: int = 0
    tolerance_s: float = TIME_TOLERANCE_S
    steady_s: float = -inf


@dataclass(frozen=True, slots=True)
class Row:
    """A file: its usable tracks, or a part of the message why it is left out. ``note`` says what is special about it.

    A ``still`` picture changes too little, and a ``quiet`` sound is too faint, to measure its delay.
    """

    name: str
    note: str
    video: Video | None = None
    sound: Sound | None = None
    left_out: str | None = None
    screen: bool = False
    still: bool = False
    quiet: bool = False
    starts_s: float | None = None

    @property
    def path(self) -> Path:
        """Path of the file. The name of a file made by a test is an absolute path."""
        return MEDIA / self.name

    @property
    def first_s(self) -> float:
        """Time of the first frame or sample; of the first packet where none of the first can be decoded."""
        return (
            self.starts_s
            if self.starts_s is not None
            else min(track.first_s for track in (self.video, self.sound) if track)
        )

    @property
    def end_s(self) -> float:
        """End of the last frame or sample."""
        return max(track.end_s for track in (self.video, self.sound) if track)
