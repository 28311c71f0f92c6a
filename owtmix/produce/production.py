"""From a plan to the finished file, in child processes: chunk by chunk, and nothing that is finished twice.

A source that kills a child is found by decoding the suspects alone, and left out from there on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

from pydantic import TypeAdapter

from owtmix.base.errors import EncoderLost, MixError, RenderError
from owtmix.base.progress import Progress
from owtmix.base.time import timecode
from owtmix.inputs.disk_budget import format_gib
from owtmix.inputs.prefetch import Stock, Supply
from owtmix.plan.device import RenderDevice
from owtmix.plan.media_info import Damage, DecodeStats
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import longest_piece_s, source_usage
from owtmix.produce.chunk_cache import CachedTrack, ChunkCache, SourceLoss
from owtmix.produce.chunk_key import Inputs, audio_key, chunk_key
from owtmix.produce.progress import CompositionProgress
from owtmix.produce.schedule import Schedule, TrackTask
from owtmix.produce.suspects import suspect_tasks
from owtmix.produce.tasks import AudioTask, ChunkTask, MuxTask, RenderSetup, SuspectTask
from owtmix.render.results import RenderResult
from owtmix.workers.base import KILLED, Outcome
from owtmix.workers.limits import require_value
from owtmix.workers.local import WorkerPool
from owtmix.workers.queues import TaskQueue

SLOWEST_DISK_BYTES_PER_S: Final = 2 << 20
"""What takes longer to move than this is no longer moved."""

_log = logging.getLogger(__name__)
_NOTES: Final = TypeAdapter(RenderResult)


@dataclass(frozen=True, slots=True)
class ProductionResult:
    """What was made: the plan as it was carried out in the end, and what its sources turned out to be.

    ``seen`` and ``heard`` tell it of their picture and their sound, ``lost`` why some could not be fetched any more. Of
    the picture's ``chunks``, ``reused`` were made by an earlier run. ``devices`` are those they were composed on.
    """

    plan: RenderPlan
    seen: Mapping[int, DecodeStats]
    heard: Mapping[int, Damage]
    lost: Mapping[int, str]
    chunks: int
    reused: int
    devices: Sequence[str]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a plan is carried out, from what, and by whom.

    ``stock`` are the plan's sources, which may have to be fetched. Of the ``executor``, ``workers`` compose at the same
    time, each decoding up to ``threads`` files at a time. What is finished goes to the ``shelf``; what is not lies in
    the folder ``bench``.
    """

    stock: Stock
    executor: WorkerPool
    workers: int
    threads: int
    shelf: ChunkCache
    bench: Path


class WarningSink(Protocol):
    """Tells the user, each kind of thing with its own number."""

    def warn_damaged(self, message: str) -> None:
        """A source is damaged, or cannot be decoded from somewhere on."""

    def warn_lost(self, message: str) -> None:
        """A source cannot be had any more."""

    def warn_restarted(self, message: str) -> None:
        """What a process has begun is made once more."""


class Production:
    """The making of a plan's output.

    ``herald`` is told what a user should know.
    """

    def __init__(
        self,
        setup: RenderSetup,
        inputs: Inputs,
        workshop: Workshop,
        herald: WarningSink,
    ) -> None:
        self._setup = setup
        self._inputs = inputs
        self._workshop = workshop
        self._herald = herald
        self._lost: dict[int, str] = {}
        self._tracks: dict[str, TrackTask] = {}
        self._pieces: dict[str, CachedTrack] = {}
        self._made: set[str] = set()
        self._restarted: set[str] = set()

    def make(self, output: Path, progress: Progress) -> ProductionResult:
        """Write the finished file to ``output``.

        Raises:
            InputError: a source fails, and the studio is strict.
            StoreError: the store cannot be used any more.
            RenderError: composing, mixing or encoding failed, or the file is not as planned.
            DestinationError: the disk takes no more.
        """
        self._resume()
        meter = CompositionProgress(self._setup.plan, progress, [self._tracks[key] for key in self._pieces])
        while missing := [task for key, task in self._tracks.items() if key not in self._pieces]:
            self._work(missing, meter)
        progress.stage("finishing", None)
        plan = self._setup.plan
        chunks = [self._pieces[key] for key, task in self._tracks.items() if isinstance(task, ChunkTask)]
        sounds = [self._pieces[key].path for key, task in self._tracks.items() if isinstance(task, AudioTask)]
        self._finish(MuxTask(plan, [chunk.path for chunk in chunks], next(iter(sounds), None), output))
        notes = [_NOTES.validate_python(self._pieces[key].told) for key in self._tracks]
        devices = sorted(
            {
                told.device
                for told, task in zip(notes, self._tracks.values(), strict=True)
                if isinstance(task, ChunkTask)
            }
        )
        reused = sum(chunk.path.name not in self._made for chunk in chunks)
        seen, heard = _noted(notes)
        return ProductionResult(plan, seen, heard, self._lost, len(chunks), reused, devices)

    def _resume(self) -> None:
        """Take over what earlier runs finished, and what they found out."""
        for loss in self._workshop.shelf.losses:
            if self._leave_out(loss):
                self._setup.complain(loss.message, self._herald.warn_damaged)
        self._tracks = self._planned()
        for key in self._tracks:
            if piece := self._workshop.shelf.find(key):
                self._pieces[key] = piece
                for warning in piece.warnings:
                    self._herald.warn_damaged(warning)
                self._tell_setback(_NOTES.validate_python(piece.told))
        chunks = [key for key, task in self._tracks.items() if isinstance(task, ChunkTask)]
        if reused := sum(key in self._pieces for key in chunks):
            _log.info("%d of %d chunks were composed by an earlier run", reused, len(chunks))

    def _planned(self) -> dict[str, TrackTask]:
        """All tracks by what they are kept under: the sound, which takes one child the longest, and every chunk."""
        plan, bench = self._setup.plan, self._workshop.bench
        tracks: dict[str, TrackTask] = {}
        if plan.sound:
            key = audio_key(plan, self._inputs)
            tracks[key] = AudioTask(self._setup, bench / key)
        for frames in plan.picture.chunks if plan.picture else ():
            key = chunk_key(plan, frames, self._inputs)
            tracks[key] = ChunkTask(self._setup, frames, bench / key, self._workshop.threads)
        return tracks

    def _work(self, tasks: Sequence[TrackTask], meter: CompositionProgress) -> None:
        """Carry out ``tasks``. When a source fails nothing more is begun, and the plan is changed at the end."""
        dead: list[Outcome[TrackTask]] = []
        losses: list[SourceLoss] = []
        lost: list[EncoderLost] = []
        with self._supply(tasks) as supply:
            schedule = Schedule(tasks, self._workshop.workers, supply, self._current)
            queue: TaskQueue[TrackTask] = schedule

            def advance(task: TrackTask, done_s: float) -> None:
                meter.advance(task, done_s)
                schedule.advance(task, done_s)

            for outcome in self._workshop.executor.run(queue, advance, watch=lambda: self._look_after(supply)):
                self._look_after(supply)
                schedule.finish(outcome.task)
                if outcome.error:
                    lost.append(self._forgiven(outcome.error))
                elif outcome.death:
                    dead.append(outcome)
                elif failed := list(self._failures(outcome)):
                    losses += failed
                else:
                    self._keep(outcome)
                    meter.finish(outcome.task)
                if dead or losses or lost:
                    schedule.stop()
        if lost:
            self._reencode(str(lost[0]), meter)
        losses += [loss for outcome in dead for loss in self._culprits(outcome, meter)]
        for loss in sorted(losses, key=lambda loss: loss.file_s):
            if self._leave_out(loss):
                self._setup.complain(loss.message, self._herald.warn_damaged)
                self._workshop.shelf.lose(loss)
        self._tracks = self._planned()

    def _forgiven(self, error: MixError) -> EncoderLost:
        """An error after which the picture can still be encoded in another way; any other is raised."""
        if isinstance(error, EncoderLost) and self._setup.can_reencode:
            return error
        raise error

    def _reencode(self, why: str, meter: CompositionProgress) -> None:
        """Give up the card's encoder, and what it has encoded."""
        self._herald.warn_restarted(f"{why}: the whole picture is encoded again, with x264")
        self._setup = replace(self._setup, plan=self._setup.plan.without_gpu_encoder())
        meter.restart()

    def _supply(self, tasks: Sequence[TrackTask]) -> Supply:
        """Begin to fetch what ``tasks`` lack."""
        plan, stock = self._setup.plan, self._workshop.stock
        chunks = [task.frames for task in tasks if isinstance(task, ChunkTask)]
        supply = stock.supply(source_usage(plan, chunks, sound=len(chunks) < len(tasks)), longest_piece_s(plan))
        if missing := supply.missing_bytes:
            _log.info("%s have yet to be fetched; they come while the output is composed", format_gib(missing))
        return supply

    def _look_after(self, supply: Supply) -> None:
        """Leave out, from the beginning, the sources that turn out not to come; nobody has begun with them."""
        supply.check()
        failed = {source: str(error) for source, error in supply.failed().items() if source not in self._lost}
        for source, reason in failed.items():
            self._lost[source] = reason
            self._setup.complain(
                f"{self._setup.plan.sources[source].key} is left out: {reason}", self._herald.warn_lost
            )
            for is_sound in (True, False):
                plan = self._setup.plan.without(source, Fraction(0), sound=is_sound)
                self._setup = replace(self._setup, plan=plan)
        if failed:
            self._tracks = self._planned()

    def _current(self, task: TrackTask) -> TrackTask:
        """The same task of the plan as it is now."""
        if task.setup is self._setup:
            return task
        same = (t for t in self._tracks.values() if type(t) is type(task) and _frames(t) == _frames(task))
        return next(same)

    def _keep(self, outcome: Outcome[TrackTask]) -> None:
        task = outcome.task
        told = _NOTES.dump_python(outcome.value, mode="json")
        # Sources that did not come while it was mixed are silent in it.
        is_sound = isinstance(task, AudioTask)
        key = audio_key(self._setup.plan, self._inputs) if is_sound else task.track.name
        self._pieces[key] = self._workshop.shelf.keep(key, task.track, told, outcome.warnings)
        self._made.add(key)
        self._tell_setback(outcome.value)
        _log.debug("made %s in %.2f s", task.name, outcome.took_s, extra={"piece": key, "took_s": outcome.took_s})

    def _tell_setback(self, notes: RenderResult) -> None:
        if notes.gpu_failure:
            self._herald.warn_restarted(notes.gpu_failure)

    def _failures(self, outcome: Outcome[TrackTask]) -> Iterator[SourceLoss]:
        """The sources that could not be decoded, as a chunk's task tells."""
        if isinstance(outcome.task, ChunkTask):
            for source, failure in outcome.value.failures.items():
                name = outcome.task.setup.plan.sources[source].key
                why = f"{name} fails at {timecode(failure.at_s)} and is a placeholder from there on: {failure.reason}"
                yield self._loss(source, failure.at_s, why, is_sound=False)

    def _culprits(self, outcome: Outcome[TrackTask], meter: CompositionProgress) -> Iterator[SourceLoss]:
        """The sources that killed a task's child, or else the child is forgiven, once for each task.

        A graphics card is the first to be suspected: the rest of the picture is composed without it. After the sources
        comes its encoder, which may hang as the card did: the picture is encoded without it.
        """
        render_device = outcome.task.setup.render_device
        if isinstance(outcome.task, ChunkTask) and render_device.gpu is not None:
            why = f"the process that composed on {render_device.name} {outcome.death}"
            if self._setup.render_device == render_device:
                self._herald.warn_restarted(f"{why}: what is missing of the picture is composed on the CPU")
            self._setup = replace(self._setup, render_device=RenderDevice(why))
            return
        culprits = self._killers(list(suspect_tasks(outcome)))
        is_sound = isinstance(outcome.task, AudioTask)
        if not (culprits or is_sound) and outcome.task.setup.can_reencode:
            if self._setup.can_reencode:
                self._reencode(f"the process that encoded on the graphics card {outcome.death}", meter)
        elif not culprits:
            self._restart(outcome)
        for culprit in culprits:
            at_s = Fraction(culprit.done_s).limit_denominator(1_000_000)
            instead = "silence" if is_sound else "a placeholder"
            why = f"decoding {culprit.task.name} {culprit.death} at {timecode(at_s)}: {instead} from there on"
            yield self._loss(culprit.task.source, at_s, why, is_sound=is_sound)

    def _killers(self, tasks: Sequence[SuspectTask]) -> list[Outcome[SuspectTask]]:
        """Those of ``tasks`` whose children die; who was killed from outside must be so twice to be to blame."""
        dead = [found for found in self._workshop.executor.run(tasks, alone=True) if found.death]
        again = [found.task for found in dead if found.death == KILLED]
        certain = [found for found in dead if found.death != KILLED]
        return certain + [found for found in self._workshop.executor.run(again, alone=True) if found.death]

    def _loss(self, source: int, at_s: Fraction, why: str, *, is_sound: bool) -> SourceLoss:
        offset_s = self._setup.plan.offset_s(source, sound=is_sound)
        return SourceLoss(self._inputs.versions[source], at_s - offset_s, is_sound, why)

    def _leave_out(self, loss: SourceLoss) -> bool:
        """Change the plan; False where the recording is not used any more, not for so long, or another."""
        before = self._setup.plan
        for source, version in enumerate(self._inputs.versions):
            if version == loss.version:
                plan = self._setup.plan
                at_s = loss.file_s + plan.offset_s(source, sound=loss.is_sound)
                self._setup = replace(self._setup, plan=plan.without(source, at_s, sound=loss.is_sound))
        return self._setup.plan != before

    def _finish(self, task: MuxTask) -> None:
        # Moving a large file takes long, without news; the tracks are our own, and nothing in them can hang.
        tracks = [*task.chunks, *([task.sound] if task.sound else [])]
        grace_s = sum(track.stat().st_size for track in tracks) / SLOWEST_DISK_BYTES_PER_S
        (outcome,) = self._workshop.executor.run([task], grace_s=grace_s)
        if outcome.death:
            self._restart(outcome)
            (outcome,) = self._workshop.executor.run([task], grace_s=grace_s)
        require_value(outcome)

    def _restart(self, outcome: Outcome[TrackTask] | Outcome[MuxTask]) -> None:
        """Note that a child died for no reason to be found, which is forgiven once."""
        name = outcome.task.name
        if name in self._restarted:
            raise RenderError(f"{name} cannot be made: its process {outcome.death}, and no recording is to blame")
        self._restarted.add(name)
        self._herald.warn_restarted(
            f"the process that makes {name} {outcome.death}; no recording is to blame, and it is made once more"
        )


def _frames(task: TrackTask) -> range | None:
    return task.frames if isinstance(task, ChunkTask) else None


def _noted(notes: Iterable[RenderResult]) -> tuple[dict[int, DecodeStats], dict[int, Damage]]:
    """What the sources of all pieces turned out to be: their pictures, and what of their sound."""
    seen: dict[int, DecodeStats] = {}
    heard: dict[int, Damage] = {}
    for told in notes:
        heard |= told.heard
        for source, more in told.seen.items():
            seen[source] = seen.get(source, DecodeStats()).joined(more)
    return seen, heard
