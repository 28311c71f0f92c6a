"""In which order the tracks of an output are made while their sources come, and when each source is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from owtmix.inputs.prefetch import Supply
from owtmix.plan.source_usage import source_usage
from owtmix.produce.tasks import AudioTask, ChunkTask
from owtmix.workers.queues import RunQueue

TrackTask = ChunkTask | AudioTask


class Schedule:
    """The agenda of a plan's tracks: chunks in runs, each when its sources are here, and the sound beside them.

    The sound is begun when all that it takes is here, or is under way without the picture's help: while it waits, it
    keeps a child from composing. Its child goes on with the first run of chunks, the only one that begins at the start
    of recordings: all others are the longer by what they decode to get to their beginning.

    Args:
        tasks: what is to be made.
        workers: how many compose at the same time.
        supply: brings the sources.
        current: gives a task as the plan is now; sources that do not come are left out of it.
    """

    def __init__(
        self,
        tasks: Sequence[TrackTask],
        workers: int,
        supply: Supply,
        current: Callable[[TrackTask], TrackTask],
    ) -> None:
        self._supply = supply
        self._current = current
        chunks = [task for task in tasks if isinstance(task, ChunkTask)]
        self._sound = [task for task in tasks if isinstance(task, AudioTask)]
        self._runs = RunQueue(chunks, workers, self._is_ready)
        self._workers = workers
        self._begun: dict[int, range] = {}
        self._chunks = {chunk.frames: chunk for chunk in chunks}
        self._sound_s = Fraction(0) if self._sound else None
        self._is_mixing = False

    def __len__(self) -> int:
        return len(self._sound) + len(self._runs)

    def take(self, worker: int) -> TrackTask | None:
        if self._sound and (not self._chunks or self._supply.waits or self._is_ready(self._sound[0])):
            self._is_mixing = True
            if self._workers > 1 and not self._supply.waits:
                self._runs.claim(worker)
            return self._current(self._sound.pop())
        others = (frames for other, frames in self._begun.items() if other != worker)
        if sum(frames in self._chunks for frames in others) >= self._workers:
            return None
        task = self._runs.take(worker)
        if task is None:
            return None
        self._begun[worker] = task.frames
        return self._current(task)

    def stop(self) -> None:
        """Nothing more is to be begun, but for what it takes to end what was; call it again after each end.

        Where the disk does not take all sources, the sound waits for those for which the picture makes room.
        """
        self._sound.clear()
        if not (self._is_mixing and self._supply.waits):
            self._runs.stop()

    def advance(self, task: TrackTask, done_s: float) -> None:
        """So much of ``task`` is done."""
        if isinstance(task, AudioTask):
            self._sound_s = Fraction(done_s)
            self._release()

    def finish(self, task: TrackTask) -> None:
        """``task`` has ended."""
        if isinstance(task, AudioTask):
            self._sound_s = None
            self._is_mixing = False
        else:
            self._chunks.pop(task.frames)
        self._release()

    def _release(self) -> None:
        starts = []
        if self._chunks:
            first = min(self._chunks.values(), key=lambda chunk: chunk.frames.start)
            picture = first.setup.plan.picture
            assert picture
            starts.append(picture.clock.time(first.frames.start))
        if self._sound_s is not None:
            starts.append(self._sound_s)
        if starts:
            self._supply.release(min(starts))

    def _is_ready(self, task: TrackTask) -> bool:
        if self._supply.has_all:
            return True
        now = self._current(task)
        chunks = [now.frames] if isinstance(now, ChunkTask) else []
        sources = source_usage(now.setup.plan, chunks, sound=not chunks).keys()
        return sources.isdisjoint(self._supply.failed()) and self._supply.ready(sources)
