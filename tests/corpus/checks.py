"""Checks of a composed room against the table; each yields errors as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from tests.corpus import reference, rooms
from tests.corpus.reference import RATE_HZ, Cells, Film
from tests.corpus.rooms import Box, Composed, Guest
from tests.corpus.row import Row
from tests.e2e.measure import level_db
from tests.e2e.model import ABSENCE_S, GAP_S, PLACEHOLDER_DELAY_S, placed

COLOUR_TOLERANCE: Final = 6.0
"""Tolerance of a picture, of 255, mean over its cells: two lossy codecs, and cell edges between pixels."""

LEVEL_TOLERANCE_DB: Final = 1.2
"""A guest at full scale makes the limiter reduce the level by a decibel for a moment."""

UNSURE_S: Final = 0.02
"""This near to a change, both pictures are accepted: times in WebM files and the index are in milliseconds."""

PLACEHOLDER_GREY: Final = (25.0, 90.0)
"""Range of a placeholder's mean brightness: neither black nor bright."""
MUTED_S: Final = 0.5
"""A camera that has shown a picture counts as muted after this time of black."""

LAGS_S: Final = np.arange(-30, 31) / 100
NOTICEABLE: Final = 0.3
"""Least change of a picture that counts as movement, of 255, mean over its cells."""
TELLING: Final = 1.23
"""A lag can be measured when the largest lag makes pictures this many times less similar."""

SEARCH_S: Final = 0.12
AUDIBLE: Final = 0.05
"""Least peak of a sound that can be located in a mix."""

ABSENT: Final = -2
PLACEHOLDER: Final = -1


def check_left_out(room: Composed, expected: Sequence[Row]) -> Iterator[str]:
    """Each unusable file has one warning with its key and the reason."""
    for row in expected:
        warnings = [warning for warning in map(str, room.report["warnings"]) if row.name in warning]
        if len(warnings) != 1 or str(row.left_out) not in warnings[0]:
            yield f"{row.name}: the warnings are {warnings}"
    named = {entry["file"].rpartition("/")[2] for entry in room.report["files"]["left_out"]}
    if named != {row.name for row in expected}:
        yield f"left out are {named}"


def check_neighbour(room: Composed) -> Iterator[str]:
    """The neighbour has its colour and level throughout, independently of the other files."""
    left, top, right, bottom = rooms.tile(0)
    inner = left + 40, top + 40, right - 40, bottom - 40
    for number in range(len(room.pictures)):
        colour = room.cells(number, inner, (1, 1))[0, 0]
        if np.abs(colour - rooms.COLOUR).max() > COLOUR_TOLERANCE:
            yield f"the neighbour is {colour.round()} in picture {number}"
    times = np.arange(0.25, len(room.pictures) / rooms.FPS - 0.75, 0.5)
    levels = [level_db(room.wave, rooms.TONE_HZ, t, t + 0.5) for t in times]
    if np.abs(np.array(levels) - rooms.TONE_DB).max() > LEVEL_TOLERANCE_DB:
        yield f"the neighbour's tone is at {np.round(levels, 1)} dB"


@dataclass(frozen=True)
class Tile:
    """The tile of a guest and its expected content."""

    guest: Guest
    room: Composed
    box: Box

    @cached_property
    def film(self) -> Film:
        return reference.read_film(self.guest.row, self.guest.file_time(self.guest.end_s) + 1)

    def check(self) -> Iterator[str]:
        """Check every output picture whose content is certain."""
        for number in range(len(self.room.pictures)):
            due = self._due(number)
            wrong = None
            if due == {ABSENT}:
                wrong = self._differs(number, self.box, np.array(rooms.BACKGROUND, np.float32))
            elif due == {PLACEHOLDER}:
                wrong = self._is_not_placeholder(number)
            elif min(due) > PLACEHOLDER and self._is_intact(max(due)):
                wrong = min((self._is_not(number, candidate) for candidate in due), key=lambda w: w or "")
            if wrong:
                yield f"{self.guest.row.name} at {self._file_t(number):.2f} s of its own time: {wrong}"

    def lag_s(self) -> float | None:
        """Delay of the picture in seconds; None when it does not move enough to be measured."""
        shown = {n: max(due) for n in range(len(self.room.pictures)) if min(due := self._due(n)) > PLACEHOLDER}
        shown = {n: i for n, i in shown.items() if self._is_intact(i)}
        numbers = [number for number in shown if self._moves(number)]
        if not numbers:
            return None
        seen = [self.room.cells(n, placed(self.film.sizes[shown[n]], self.box, 2)[0]) for n in numbers]
        costs = [self._cost(numbers, seen, float(lag)) for lag in LAGS_S]
        if min(costs[0], costs[-1]) <= TELLING * min(costs):
            return None
        # Several lags are equally good when no picture changes between two output pictures.
        return min((float(lag) for lag in LAGS_S[np.array(costs) <= min(costs) * 1.001]), key=abs)

    def _moves(self, number: int) -> bool:
        """Whether the picture changes visibly within the largest lag."""
        before, now, after = (
            self.film.cells[self.film.newest(self._file_t(number) - lag) or 0] for lag in (LAGS_S[-1], 0, LAGS_S[0])
        )
        return bool(max(np.abs(now - before).mean(), np.abs(now - after).mean()) > NOTICEABLE)

    def _cost(self, numbers: Sequence[int], seen: Sequence[Cells], lag_s: float) -> float:
        shown = [self.film.newest(self._file_t(number) - lag_s) or 0 for number in numbers]
        return float(np.mean([np.abs(s - self.film.cells[i]).mean() for s, i in zip(seen, shown, strict=True)]))

    def _file_t(self, number: int) -> float:
        return self.guest.file_time((number + 0.5) / rooms.FPS)

    def _due(self, number: int) -> set[int]:
        """The looks that are right in an output picture: numbers of the film's pictures, or another look."""
        t = self._file_t(number)
        return {self._look(t + by) for by in (-UNSURE_S, -UNSURE_S / 2, 0, UNSURE_S / 2, UNSURE_S)}

    def _look(self, file_t: float) -> int:
        row, video = self.guest.row, self.guest.row.video
        assert video
        if not row.first_s <= file_t < self.guest.file_time(self.guest.end_s):
            return ABSENT
        newest = self.film.newest(file_t)
        if newest is None and video.first_s - row.first_s < ABSENCE_S:
            newest = 0
        if newest is None or (self._pauses(newest, file_t) and not row.screen):
            return PLACEHOLDER
        muted = ((start + MUTED_S if start > video.first_s else start, end) for start, end in video.black)
        return PLACEHOLDER if any(start <= file_t < end for start, end in muted) else newest

    def _pauses(self, newest: int, file_t: float) -> bool:
        """Whether a long gap of a camera follows."""
        row = self.guest.row
        assert row.video
        last_s = self.film.times_s[newest]
        if file_t < last_s + PLACEHOLDER_DELAY_S:
            return False
        if last_s < row.video.last_s - UNSURE_S:
            return self.film.times_s[newest + 1] - last_s > GAP_S
        goes_on = row.sound is not None and row.sound.end_s > last_s + PLACEHOLDER_DELAY_S
        return goes_on and self.guest.file_time(self.guest.end_s) - last_s >= ABSENCE_S

    def _is_not(self, number: int, picture: int) -> str | None:
        box = placed(self.film.sizes[picture], self.box, 2)[0]
        bars = (
            (self.box[0], self.box[1], self.box[2], box[1]),
            (self.box[0], box[3], self.box[2], self.box[3]),
            (self.box[0], box[1], box[0], box[3]),
            (box[2], box[1], self.box[2], box[3]),
        )
        for bar in bars:
            if bar[2] - bar[0] > 4 and bar[3] - bar[1] > 4:
                wrong = self._differs(number, bar, np.zeros(3, np.float32))
                if wrong:
                    return f"a bar {wrong}"
        return self._differs(number, box, self.film.cells[picture])

    def _is_intact(self, picture: int) -> bool:
        video = self.guest.row.video
        return video is not None and self.film.times_s[picture] < video.intact_s

    def _differs(self, number: int, box: Box, expected: Cells) -> str | None:
        by = float(np.abs(self.room.cells(number, box) - expected).mean())
        return f"is off by {by:.1f}" if by > COLOUR_TOLERANCE else None

    def _is_not_placeholder(self, number: int) -> str | None:
        seen = self.room.cells(number, self.box)
        tint = float(np.ptp(seen, axis=2).mean())
        grey = float(seen.mean())
        ok = tint < COLOUR_TOLERANCE and PLACEHOLDER_GREY[0] < grey < PLACEHOLDER_GREY[1]
        return None if ok else f"is no placeholder: brightness {grey:.0f}, tint {tint:.0f}"


def sound_lag_s(guest: Guest, room: Composed) -> float | None:
    """Delay of the guest's sound in seconds; None when it is too quiet to be measured."""
    sound = guest.row.sound
    assert sound
    wave, start_s = reference.read_wave(guest.row.path, sound.index)
    steady = round(max(0, sound.steady_s - start_s) * RATE_HZ)
    wave = wave[steady : round((guest.file_time(guest.end_s) - start_s) * RATE_HZ)]
    start_s += steady / RATE_HZ
    if np.abs(wave).max(initial=0) < AUDIBLE:
        return None
    place = round((guest.start_ms / 1000 + start_s - guest.row.first_s - SEARCH_S) * RATE_HZ)
    search = round(2 * SEARCH_S * RATE_HZ)
    mix = np.concatenate([np.zeros(RATE_HZ, np.float32), room.wave, np.zeros(RATE_HZ, np.float32)])
    mix = mix[place + RATE_HZ :][: len(wave) + search]
    size = 1 << (len(mix) + len(wave)).bit_length()
    product = np.fft.rfft(mix, size) * np.fft.rfft(wave, size).conj()
    product[size * 8000 // RATE_HZ :] = 0  # the neighbour's tone is above
    match = np.fft.irfft(product, size)[:search]
    return int(match.argmax()) / RATE_HZ - SEARCH_S
