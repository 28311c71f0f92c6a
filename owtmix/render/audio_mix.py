"""The sound of a room: placed sources, summed at full level and limited (semantics.md, "Sound")."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.media.audio_reader import CHANNELS, AudioReader
from owtmix.plan.media_info import Damage
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioPlacement
from owtmix.render.limiter import Samples, limit
from owtmix.workers.pending_files import wait_for_file

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Sources are read and summed this much at a time."""

FADE_SAMPLES: Final = SAMPLE_RATE_HZ * 5 // 1000
"""Where a source is cut off in the middle it fades over this long, 5 ms, so as not to click."""


@dataclass(frozen=True, slots=True)
class MixObserver:
    """Whom mixing tells.

    ``wait`` again and again, while a source does not come, from which output time on sources are still needed;
    ``on_damage`` what each source lacked.
    """

    wait: Callable[[Fraction], None] = lambda _: None
    on_damage: Callable[[int, Damage], None] = lambda _source, _damage: None


NO_OBSERVER: Final = MixObserver()
"""Nobody cares."""


def mix(
    placements: Sequence[AudioPlacement],
    sources: Sequence[Path],
    duration_samples: int,
    on_warning: Callable[[int, str], None],
    watch: MixObserver = NO_OBSERVER,
) -> Iterator[Samples]:
    """Mix a whole output. Nobody's level depends on who else is there.

    A source that cannot be read, or not to its end, is silent from there on; one that is on its way is waited for.

    Args:
        placements: who sounds when.
        sources: the files that ``AudioPlacement.source`` counts.
        duration_samples: how long the output is, at 48 kHz.
        on_warning: called with the number of a source and what is wrong with it.
        watch: what else is told.

    Yields:
        Consecutive blocks of shape (2, any number), float32, true peak below -1 dBTP; ``duration_samples`` in all.
    """
    return limit(_sum(placements, sources, duration_samples, on_warning, watch))


def _sum(
    placements: Sequence[AudioPlacement],
    sources: Sequence[Path],
    duration_samples: int,
    on_warning: Callable[[int, str], None],
    watch: MixObserver,
) -> Iterator[Samples]:
    with ExitStack() as open_files:
        voices = [_Voice(placement, sources[placement.source], on_warning, watch) for placement in placements]
        for voice in voices:
            open_files.callback(voice.close)
        coming = deque(sorted(range(len(voices)), key=lambda number: voices[number].start))
        sounding: list[int] = []
        for first in range(0, duration_samples, BLOCK_SAMPLES):
            block = np.zeros((CHANNELS, min(BLOCK_SAMPLES, duration_samples - first)), np.float32)
            while coming and voices[coming[0]].start < first + BLOCK_SAMPLES:
                insort(sounding, coming.popleft())  # in one order for all blocks: sums of floats depend on it
            for number in sounding:
                voices[number].add_to(block, first)
            sounding = [number for number in sounding if voices[number].end > first + BLOCK_SAMPLES]
            yield block


class _Voice:
    """One placed source, from output sample ``start`` to ``end``. Its file is open only while it sounds."""

    def __init__(
        self, placement: AudioPlacement, path: Path, on_warning: Callable[[int, str], None], watch: MixObserver
    ) -> None:
        self._placement = placement
        self._path = path
        self._on_warning = on_warning
        self._watch = watch
        self._reader: AudioReader | None = None
        # Outwards, so that a whole source keeps its first and last sample wherever they round to.
        self.start = floor(placement.span.start * SAMPLE_RATE_HZ)
        self.end = ceil(placement.span.end * SAMPLE_RATE_HZ)
        sounds = placement.track.span.shifted(placement.offset_s)
        self._cut_in = sounds.start < placement.span.start
        self._cut_out = sounds.end > placement.span.end

    def add_to(self, block: Samples, first: int) -> None:
        """Add what sounds in ``block``, shape (2, n), which starts at output sample ``first``."""
        start, end = max(first, self.start), min(first + block.shape[1], self.end)
        if start >= end:
            return
        try:
            if self._reader is None:
                if not wait_for_file(self._path, lambda: self._watch.wait(Fraction(first, SAMPLE_RATE_HZ))):
                    self.end = start  # who fetches it has told
                    return
                self._reader = AudioReader(self._path, self._placement.track, self._placement.offset_s)
            sound = self._reader.read(start, end - start)
        except Exception as error:  # noqa: BLE001 - whatever a file makes a library raise costs this file alone
            what = error if isinstance(error, InputError) else f"raises {type(error).__name__}: {error}"
            self._on_warning(self._placement.source, f"its sound is silent from here on: it {what}")
            self.end = start
            self.close()
            return
        self._fade(sound, start)
        block[:, start - first : end - first] += sound
        if end == self.end:
            self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._watch.on_damage(self._placement.source, self._reader.damage)
            self._reader = None

    def _fade(self, sound: Samples, start: int) -> None:
        """Soften the source's cut ends as far as they lie in ``sound``, which starts at output sample ``start``."""
        end = start + sound.shape[1]
        if self._cut_in and start < self.start + FADE_SAMPLES:
            sound *= _ramp(np.arange(start, end) - self.start)
        if self._cut_out and end > self.end - FADE_SAMPLES:
            sound *= _ramp(self.end - 1 - np.arange(start, end))


def _ramp(distance: NDArray[np.int64]) -> NDArray[np.float32]:
    """The gain at a ``distance`` in samples from a cut."""
    return np.clip((distance + 0.5) / FADE_SAMPLES, 0, 1).astype(np.float32)
