"""The sound of a room: placed sources, summed at full level and limited (docs/semantics.md, "Sound")."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final

import numpy as np

from owtmix.base.errors import ChangedError, InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.audio_reader import CHANNELS, FADE_SAMPLES, ramp
from owtmix.plan.media_info import Damage
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioPlacement
from owtmix.render.audio_source import AudioSource, AudioSources
from owtmix.render.callbacks import Advance, ignore_advance
from owtmix.render.limiter import Samples, limit

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Sources are read and summed this much at a time."""


def _ignore(_source: int, _what: object) -> None:
    """Ignores what is reported about a source."""


@dataclass(frozen=True, slots=True)
class MixObserver:
    """Receives reports of the mix about sources, by source number.

    ``on_warning`` gets the problem of a source, ``on_damage`` the damage in its sound, ``on_change`` the output time
    from which it is silent because its file has changed. ``on_wait`` is called while the mix waits for a source, with
    the output time from which on sources are still needed.
    """

    on_warning: Callable[[int, str], None] = _ignore
    on_damage: Callable[[int, Damage], None] = _ignore
    on_wait: Advance = ignore_advance
    on_change: Callable[[int, Fraction], None] = _ignore


NO_OBSERVER: Final = MixObserver()


def mix(
    placements: Sequence[AudioPlacement],
    sources: AudioSources,
    duration_samples: int,
    observer: MixObserver = NO_OBSERVER,
) -> Iterator[Samples]:
    """Mix a whole output. The level of a source does not depend on the others.

    A source is silent after an error. The mix waits for a source that is being fetched.

    Args:
        placements: where each source sounds.
        sources: opens the sources that ``AudioPlacement.source`` numbers.
        duration_samples: the length of the output, at 48 kHz.
        observer: receives reports about sources.

    Yields:
        Consecutive blocks of shape (2, any number), float32, true peak below -1 dBTP; ``duration_samples`` in all.
    """
    return limit(summed(placements, sources, range(duration_samples), observer))


def summed(
    placements: Sequence[AudioPlacement], sources: AudioSources, samples: range, observer: MixObserver = NO_OBSERVER
) -> Iterator[Samples]:
    """The sum of all placed sources in a range of output samples, not limited; see ``mix``."""
    with ExitStack() as open_sources:
        placed = [_PlacedSource(placement, sources, observer) for placement in placements]
        for source in placed:
            open_sources.callback(source.close)
        coming = deque(sorted(range(len(placed)), key=lambda number: placed[number].start))
        sounding: list[int] = []
        for first in range(samples.start, samples.stop, BLOCK_SAMPLES):
            block = np.zeros((CHANNELS, min(BLOCK_SAMPLES, samples.stop - first)), np.float32)
            while coming and placed[coming[0]].start < first + BLOCK_SAMPLES:
                insort(sounding, coming.popleft())  # always in the same order: sums of floats depend on it
            for number in sounding:
                placed[number].add_to(block, first)
            sounding = [number for number in sounding if placed[number].end > first + BLOCK_SAMPLES]
            yield block


class _PlacedSource:
    """One placed source, from output sample ``start`` to ``end``. It is open only while it sounds."""

    def __init__(self, placement: AudioPlacement, sources: AudioSources, observer: MixObserver) -> None:
        self._placement = placement
        self._sources = sources
        self._observer = observer
        self._source: AudioSource | None = None
        # Rounded outwards, so that a source keeps its first and last sample.
        self.start = floor(placement.span.start * SAMPLE_RATE_HZ)
        self.end = ceil(placement.span.end * SAMPLE_RATE_HZ)
        sounds = placement.track.span.shifted(placement.offset_s)
        self._cut_in = sounds.start < placement.span.start
        self._cut_out = sounds.end > placement.span.end
        self._silent = [(floor(at.start * SAMPLE_RATE_HZ), ceil(at.end * SAMPLE_RATE_HZ)) for at in placement.silent]

    def add_to(self, block: Samples, first: int) -> None:
        """Add this source's sound to ``block``, shape (2, n), which starts at output sample ``first``."""
        start, end = max(first, self.start), min(first + block.shape[1], self.end)
        if start >= end:
            return
        try:
            if self._source is None:
                number = self._placement.source
                if not self._sources.wait_for(number, lambda: self._observer.on_wait(Fraction(first, SAMPLE_RATE_HZ))):
                    self.end = start  # the fetcher has warned
                    return
                self._source = self._sources.open_audio(number, self._placement.track, self._placement.offset_s)
            sound = self._source.read(start, end - start)
        except ChangedError:
            self._observer.on_change(self._placement.source, Fraction(start, SAMPLE_RATE_HZ))
            self.end = start
            self.close()
            return
        except Exception as error:  # noqa: BLE001 - any error of a recording affects only that recording
            raise_if_short(error)
            what = error if isinstance(error, InputError) else f"raises {type(error).__name__}: {error}"
            self._observer.on_warning(self._placement.source, f"its sound is silent from here on: it {what}")
            self.end = start
            self.close()
            return
        self._fade(sound, start)
        block[:, start - first : end - first] += sound
        if end == self.end:
            self.close()

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._observer.on_damage(self._placement.source, self._source.damage)
            self._source = None

    def _fade(self, sound: Samples, start: int) -> None:
        """Apply cut ends and silence as far as they lie in ``sound``, which starts at output sample ``start``."""
        end = start + sound.shape[1]
        if self._cut_in and start < self.start + FADE_SAMPLES:
            sound *= ramp(np.arange(start, end) - self.start)
        if self._cut_out and end > self.end - FADE_SAMPLES:
            sound *= ramp(self.end - 1 - np.arange(start, end))
        for number in range(bisect_left(self._silent, start - FADE_SAMPLES, key=lambda at: at[1]), len(self._silent)):
            silent_from, silent_to = self._silent[number]
            if silent_from - FADE_SAMPLES >= end:
                break
            places = np.arange(start, end)
            sound *= np.maximum(ramp(silent_from - 1 - places), ramp(places - silent_to))
