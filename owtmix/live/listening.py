"""Who speaks in a room that is still recorded, as far as that is heard by now; in a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from owtmix.base.errors import InputError
from owtmix.live.journal_sound import JournalSound
from owtmix.live.live_source import LiveSource
from owtmix.live.tasks import ListenTask
from owtmix.media.audio_resample import Samples
from owtmix.media.sound_excerpts import PERIOD, RATE_HZ, WINDOW, Floats
from owtmix.media.voice_meter import NO_SOUND, measure, nearest, voice_runs
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.plan.voice import HOP_S, Voice
from owtmix.workers.base import TaskReporter

REMEMBERED_S: Final = 300
"""Who spoke before that decides nothing any more."""
_BEGIN_S: Final = 60
"""Before now, where listening begins in the middle of a sound."""
_READ_S: Final = 1


@dataclass(slots=True)
class _Heard:
    """What was heard of a source: of excerpts their middles in hops of file time, their levels, and their voicing."""

    sound: JournalSound
    at: int
    """The next sample of file time that is listened to."""
    resampler: AudioResampler = field(default_factory=lambda: AudioResampler(format="flt", layout="mono", rate=RATE_HZ))
    waiting: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    first: float = 0.0
    """File time of the first sample that waits."""
    middles: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    voicing: list[float] = field(default_factory=list)


class Listener:
    """Listens to sources, each from where it ended before."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, int], _Heard] = {}

    def listen(self, task: ListenTask, reporter: TaskReporter) -> dict[str, Voice]:
        """The voices of ``task``'s sources by now, by the names of their files."""
        found: dict[str, Voice] = {}
        keys = {source.key for source in task.sources}
        for key in [key for key in self._heard if key not in keys]:
            self._heard.pop(key).sound.close()
        for source in task.sources:
            until = (task.until_us - source.start_us) * SAMPLE_RATE_HZ // 1_000_000
            try:
                heard = self._opened(source, until)
                while heard.at < until:
                    count = min(_READ_S * SAMPLE_RATE_HZ, until - heard.at)
                    self._take(heard, heard.sound.read(heard.at, count))
                    heard.at += count
                    reporter.heartbeat()
            except InputError:  # who mixes it tells why
                continue
            found[source.plan.name] = _voice(heard)
        return found

    def _opened(self, source: LiveSource, until: int) -> _Heard:
        if source.key not in self._heard:
            first = max(0, until - _BEGIN_S * SAMPLE_RATE_HZ)
            self._heard[source.key] = _Heard(
                JournalSound(source.plan, source.start_us), first, first=first / SAMPLE_RATE_HZ
            )
        heard = self._heard[source.key]
        heard.sound.learn(source.plan)
        return heard

    @staticmethod
    def _take(heard: _Heard, sound: Samples) -> None:
        """Measure the excerpts that are whole now."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", "stereo")
        frame.sample_rate = SAMPLE_RATE_HZ
        converted = [part.to_ndarray()[0] for part in heard.resampler.resample(frame)]
        heard.waiting = np.concatenate([heard.waiting, *converted])
        count = max(0, (len(heard.waiting) - WINDOW) // PERIOD + 1)
        if not count:
            return
        firsts = np.arange(count) * PERIOD
        levels, voicing = measure(heard.waiting[firsts[:, None] + np.arange(WINDOW)])
        heard.middles += ((heard.first + (firsts + WINDOW / 2) / RATE_HZ) / float(HOP_S)).tolist()
        heard.levels += levels.tolist()
        heard.voicing += voicing.tolist()
        most = REMEMBERED_S * RATE_HZ // PERIOD
        for values in (heard.middles, heard.levels, heard.voicing):
            del values[:-most]
        heard.waiting = heard.waiting[count * PERIOD :]
        heard.first += count * PERIOD / RATE_HZ


def _voice(heard: _Heard) -> Voice:
    if not heard.middles:
        return Voice()
    at: NDArray[np.float64] = np.asarray(heard.middles)
    first, end = int(at[0]), int(at[-1]) + 1
    near, is_near = nearest(at - first, np.arange(end - first, dtype=np.float64) + 0.5)
    levels = np.where(is_near, np.asarray(heard.levels, np.float32)[near], np.float32(NO_SOUND)).astype(np.float32)
    voicing = np.where(is_near, np.asarray(heard.voicing, np.float32)[near], np.float32(0)).astype(np.float32)
    return Voice(tuple(voice_runs(levels, voicing, first)))


LISTENER: Final = Listener()
"""That of this process."""
