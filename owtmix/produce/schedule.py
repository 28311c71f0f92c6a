"""The order in which tracks are made while their sources are fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from owtmix.inputs.prefetch import Prefetcher
from owtmix.plan.costs import chunk_costs, mixing_cost
from owtmix.plan.source_usage import source_usage
from owtmix.produce.spare_places import SparePlaces
from owtmix.produce.tasks import AudioTask, ChunkTask, TrackTask
from owtmix.workers.queues import RunQueue


class Schedule:
    """The queue of a plan's tracks: chunks in runs, each started when its sources exist, and the sound in parallel.

    The sound occupies a worker while it waits for sources. It starts when all its sources exist, or when downloads do
    not depend on the picture's progress. Its worker continues with the first run of chunks. That run starts at the
    beginning of recordings, so it is the shortest: the others first decode up to their first frame.

    Args:
        tasks: the tracks to be made.
        workers: the number of workers that compose.
        prefetcher: fetches the sources.
        current: returns a task under the current plan, without sources that could not be fetched.
        spare: places for further workers, each of which makes one chunk with it.
        away: the number of workers elsewhere, which take chunks, and find their sources themselves.
    """

    def __init__(
        self,
        tasks: Sequence[TrackTask],
        workers: int,
        prefetcher: Prefetcher,
        current: Callable[[TrackTask], TrackTask],
        spare: SparePlaces | None = None,
        away: int = 0,
    ) -> None:
        self._prefetcher = prefetcher
        self._current = current
        chunks = [task for task in tasks if isinstance(task, ChunkTask)]
        self._sound = [task for task in tasks if isinstance(task, AudioTask)]
        plan = tasks[0].setup.plan if tasks else None
        costs = chunk_costs(plan) if plan else {}
        mixing = mixing_cost(plan) if plan and self._sound else 0.0
        self._runs = RunQueue(chunks, workers + away, self._is_ready, lambda task: costs[task.frames], mixing)
        self._workers = workers
        self._spare = spare or SparePlaces()
        self._started: dict[int, range] = {}
        self._chunks = {chunk.frames: chunk for chunk in chunks}
        self._sound_s = Fraction(0) if self._sound else None
        self._is_mixing = False
        self._is_stopped = False
        self._at_home: set[range] = set()

    def __len__(self) -> int:
        return len(self._sound) + len(self._runs)

    @property
    def useful(self) -> int:
        """How many workers have something to do now."""
        return self._workers + self._spare.useful + bool(self._sound or self._is_mixing)

    def take(self, worker: int) -> TrackTask | None:
        if self._sound and (not self._chunks or self._prefetcher.needs_release or self._is_ready(self._sound[0])):
            self._is_mixing = True
            if self._workers > 1 and not self._prefetcher.needs_release:
                self._runs.claim(worker)
            return self._current(self._sound.pop())
        others = (frames for other, frames in self._started.items() if other != worker and other not in self._spare)
        is_further = sum(frames in self._chunks for frames in others) >= self._workers
        if is_further and not self._spare.take(worker):
            return None
        task = self._runs.take(worker)
        if task is None:
            self._spare.give_back(worker)
            return None
        self._started[worker] = task.frames
        return self._current(task)

    def is_spent(self, worker: int) -> bool:
        return self._runs.is_spent(worker)

    def take_away(self, worker: int) -> TrackTask | None:
        """The next chunk for a worker elsewhere; None when it has to wait."""
        task = self._runs.take(worker, self._is_ready_away)
        return self._current(task) if task else None

    def put_back(self, task: ChunkTask, *, at_home: bool) -> None:
        """A chunk that was taken away was not made; ``at_home`` keeps it from workers elsewhere."""
        if at_home:
            self._at_home.add(task.frames)
        self._runs.put_back(self._chunks[task.frames])
        if self._is_stopped:
            self.stop()

    def stop(self) -> None:
        """Start no more tasks, except those that running tasks wait for. Call it again after the end of each task.

        When the disk does not take all sources, the sound waits for sources that are fetched only
        after the picture has released others.
        """
        self._is_stopped = True
        self._sound.clear()
        if not (self._is_mixing and self._prefetcher.needs_release):
            self._runs.stop()

    def advance(self, task: TrackTask, done_s: float) -> None:
        """Report the progress of ``task``."""
        if isinstance(task, AudioTask):
            self._sound_s = Fraction(done_s)
            self._release()

    def finish(self, task: TrackTask) -> None:
        """Report the end of ``task``."""
        if isinstance(task, AudioTask):
            self._sound_s = None
            self._is_mixing = False
        else:
            self._chunks.pop(task.frames)
            for worker, frames in self._started.items():
                if frames == task.frames:
                    self._spare.give_back(worker)
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
            self._prefetcher.release(min(starts))

    def _is_ready(self, task: TrackTask) -> bool:
        if self._prefetcher.has_all:
            return True
        now = self._current(task)
        chunks = [now.frames] if isinstance(now, ChunkTask) else []
        sources = source_usage(now.setup.plan, chunks, sound=not chunks).keys()
        return sources.isdisjoint(self._prefetcher.failed()) and self._prefetcher.ready(sources)

    def _is_ready_away(self, task: ChunkTask) -> bool:
        """Whether a worker elsewhere, which fetches what it needs, can make a chunk."""
        if task.frames in self._at_home or task.setup.device.gpu is not None:
            return False
        if self._prefetcher.has_all:
            return True
        now = self._current(task)
        return source_usage(now.setup.plan, [task.frames], sound=False).keys().isdisjoint(self._prefetcher.failed())
