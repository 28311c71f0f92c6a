"""Makes the chunks of a live mix, and the files that they become, in a confined worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import RenderError, ShortageError
from owtmix.base.own_files import make_own, remove
from owtmix.base.time import TimeRange
from owtmix.inputs.image_files import DecodedImage
from owtmix.live.live_plan import Part, of_chunk
from owtmix.live.live_source import LiveSource
from owtmix.live.mix_folder import Chunk, MixFolder
from owtmix.live.room_log import LiveFile
from owtmix.live.tasks import JoinedSound, JoinTask, Mixed, MixTask
from owtmix.plan.model import RenderPlan, sample_count
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Executor, Outcome
from owtmix.workers.limits import available_cores

_MORE_BYTES: Final = 1 << 22


class ChunkMaker:
    """Makes chunks, one after the other.

    Args:
        live: the folder of the mix.
        executor: has one worker.
        warn: told of what is wrong with sources, and of what had to be made again.
        watch: called several times a second while a worker works.
    """

    def __init__(
        self, live: MixFolder, executor: Executor, warn: Callable[[str], None], watch: Callable[[], None]
    ) -> None:
        self._live = live
        self._executor = executor
        self._warn = warn
        self._watch = watch
        self._blamed: set[tuple[str, int]] = set()

    def make(
        self,
        plan: RenderPlan,
        files: Sequence[LiveFile],
        images: Mapping[str, DecodedImage],
        span: TimeRange,
        part: Part,
        *,
        is_last: bool,
    ) -> None:
        """Make the chunk that follows, of ``span`` (output time).

        Raises:
            RenderError: it cannot be made.
            OSError: it cannot be kept.
        """
        live = self._live
        track, sound, segment = (self._own(name) for name in ("track", "sound", "segment"))
        task = MixTask(
            of_chunk(plan, span, part),
            [LiveSource(file.plan, file.start_us) for file in files],
            images,
            (span.start, span.end),
            live.chunks[-1].next_packet if live.chunks else 0,
            track,
            sound,
            segment,
            available_cores(),
            is_last,
        )
        outcome = self._done(self._without_blamed(task))
        if outcome.death:
            self._blame(task)
            outcome = do_alone(self._executor, self._without_blamed(task), self._watch)
        if not isinstance(outcome.value, Mixed):
            raise RenderError(f"{task.name} cannot be made: {outcome.error or f'its process {outcome.death}'}")
        self._take(task, outcome.value)

    def join(self, whole: RenderPlan, number: int, parts: Sequence[Part], chunk_s: Fraction, name: str) -> None:
        """Join the chunks of part ``number`` of a mix, which lasts as ``whole`` does, into the file ``name``.

        Raises:
            RenderError: it cannot be made.
            OSError: it cannot be kept.
        """
        live, part = self._live, parts[number]
        end = parts[number + 1].first if number + 1 < len(parts) else len(live.chunks)
        span = TimeRange(part.first * chunk_s, min(end * chunk_s, whole.duration_s))
        chunks = live.chunks[part.first : end]
        path = self._own("mix")
        plan = _of_file(of_chunk(whole, span, part), span)
        first_frame = chunks[0].frames[0]
        tracks = [
            (live.track(chunk.n), range(chunk.frames[0] - first_frame, chunk.frames[1] - first_frame))
            for chunk in (chunks if plan.picture else ())
        ]
        firsts = [0, *(chunk.next_packet for chunk in live.chunks)]
        heard = live.chunks[part.first : end + 1]  # the end of the last one is encoded with the next
        sound = JoinedSound([(live.sound(chunk.n), firsts[chunk.n]) for chunk in heard], sample_count(span.start))
        most_bytes = 2 * sum(chunk.track + chunk.sound for chunk in chunks) + _MORE_BYTES
        task = JoinTask(plan, tracks, sound, live.bench, path, most_bytes)
        self._executor.allow(read=[live.tracks])
        outcome = do_alone(self._executor, task, self._watch)
        if outcome.error or outcome.death:
            raise RenderError(f"the mix cannot be joined: {outcome.error or f'its process {outcome.death}'}")
        live.take_mix(name, path, most_bytes)

    def _own(self, name: str) -> Path:
        path = self._live.bench / name
        remove(path)
        make_own(path)
        return path

    def _done(self, task: MixTask) -> Outcome[MixTask]:
        """What became of a chunk: the worker that made the one before has its sources open."""
        (outcome,) = self._executor.run([task], most=1, watch=self._watch)
        if outcome.death or isinstance(outcome.error, ShortageError):
            self._warn(f"{task.name} is made again: {outcome.error or f'its process {outcome.death}'}")
            return do_alone(self._executor, task, self._watch)
        return outcome

    def _blame(self, task: MixTask) -> None:
        """Find out with which sources alone the worker dies, twice each."""
        for number, source in enumerate(task.sources):
            others = [other for other in range(len(task.sources)) if other != number]
            alone = replace(task, plan=_without(task.plan, others))
            if source.key not in self._blamed and (death := do_alone(self._executor, alone, self._watch).death):
                self._blamed.add(source.key)
                self._warn(f"{source.plan.name} is a placeholder, and silent: its process {death}")

    def _without_blamed(self, task: MixTask) -> MixTask:
        blamed = [number for number, source in enumerate(task.sources) if source.key in self._blamed]
        return replace(task, plan=_without(task.plan, blamed)) if blamed else task

    def _take(self, task: MixTask, mixed: Mixed) -> None:
        for name, problem in mixed.problems.items():
            self._warn(f"{name}: {problem}")
        made = {"sound": task.sound, "segment": task.segment}
        if task.plan.picture:
            made["track"] = task.track
        frames = task.frames
        chunk = Chunk(len(self._live.chunks), (frames.start, frames.stop), mixed.first_packet + mixed.packets)
        try:
            self._live.take(chunk, made, task.most_bytes)
        except ValueError as error:
            raise RenderError(f"{task.name}: its process {error}") from None


def _without(plan: RenderPlan, sources: Iterable[int]) -> RenderPlan:
    """The plan with placeholders and silence instead of ``sources``."""
    for number in sources:
        for sound in (False, True):
            plan = plan.without_source(number, Fraction(0), sound=sound)
    return plan


def _of_file(plan: RenderPlan, span: TimeRange) -> RenderPlan:
    """What a file holds of a plan, which begins with ``span`` and ends with it."""
    picture, sound = plan.picture, plan.sound
    if picture:
        frames = picture.chunks[0]
        picture = replace(picture, frames=len(frames), scenes=(), shots={})
    if sound:
        sound = replace(sound, samples=sample_count(span.duration), placements=())
    jumps = tuple(replace(jump, ahead_s=jump.ahead_s + span.start) for jump in plan.jumps[:1])
    return replace(plan, picture=picture, sound=sound, duration_s=span.duration, jumps=jumps, sources=())
