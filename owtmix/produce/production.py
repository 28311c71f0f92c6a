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
from owtmix.inputs.disk_budget import gib
from owtmix.inputs.prefetch import Stock, Supply
from owtmix.plan.device import Equipment
from owtmix.plan.media_info import Damage, Seen
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import together_s, uses_of
from owtmix.produce.chunk_cache import Loss, Piece, Shelf
from owtmix.produce.chunk_key import Inputs, of_chunk, of_sound
from owtmix.produce.progress import Meter
from owtmix.produce.schedule import Schedule, TrackTask
from owtmix.produce.suspects import suspects
from owtmix.produce.tasks import FinishTask, PictureTask, SoundTask, Studio, SuspectTask
from owtmix.render.results import Notes
from owtmix.workers.base import KILLED, Outcome
from owtmix.workers.limits import succeed
from owtmix.workers.local import Crew
from owtmix.workers.queues import Agenda

SLOWEST_DISK_BYTES_PER_S: Final = 2 << 20
"""What takes longer to move than this is no longer moved."""

_log = logging.getLogger(__name__)
_NOTES: Final = TypeAdapter(Notes)


@dataclass(frozen=True, slots=True)
class Product:
    """What was made: the plan as it was carried out in the end, and what its sources turned out to be.

    ``seen`` and ``heard`` tell it of their picture and their sound, ``lost`` why some could not be fetched any more. Of
    the picture's ``chunks``, ``reused`` were made by an earlier run. ``devices`` are those they were composed on.
    """

    plan: RenderPlan
    seen: Mapping[int, Seen]
    heard: Mapping[int, Damage]
    lost: Mapping[int, str]
    chunks: int
    reused: int
    devices: Sequence[str]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a plan is carried out, from what, and by whom.

    ``stock`` are the plan's sources, which may have to be fetched. Of the ``crew``, ``workers`` compose at the same
    time, each decoding up to ``threads`` files at a time. What is finished goes to the ``shelf``; what is not lies in
    the folder ``bench``.
    """

    stock: Stock
    crew: Crew
    workers: int
    threads: int
    shelf: Shelf
    bench: Path


class Herald(Protocol):
    """Tells the user, each kind of thing with its own number."""

    def warn_of_damage(self, message: str) -> None:
        """A source is damaged, or cannot be decoded from somewhere on."""

    def warn_of_loss(self, message: str) -> None:
        """A source cannot be had any more."""

    def warn_of_restart(self, message: str) -> None:
        """What a process has begun is made once more."""


class Production:
    """The making of a plan's output.

    ``herald`` is told what a user should know.
    """

    def __init__(
        self,
        studio: Studio,
        inputs: Inputs,
        workshop: Workshop,
        herald: Herald,
    ) -> None:
        self._studio = studio
        self._inputs = inputs
        self._workshop = workshop
        self._herald = herald
        self._lost: dict[int, str] = {}
        self._tracks: dict[str, TrackTask] = {}
        self._pieces: dict[str, Piece] = {}
        self._made: set[str] = set()
        self._restarted: set[str] = set()

    def make(self, output: Path, progress: Progress) -> Product:
        """Write the finished file to ``output``.

        Raises:
            InputError: a source fails, and the studio is strict.
            StoreError: the store cannot be used any more.
            RenderError: composing, mixing or encoding failed, or the file is not as planned.
            DestinationError: the disk takes no more.
        """
        self._resume()
        meter = Meter(self._studio.plan, progress, [self._tracks[key] for key in self._pieces])
        while missing := [task for key, task in self._tracks.items() if key not in self._pieces]:
            self._work(missing, meter)
        progress.stage("finishing", None)
        plan = self._studio.plan
        chunks = [self._pieces[key] for key, task in self._tracks.items() if isinstance(task, PictureTask)]
        sounds = [self._pieces[key].path for key, task in self._tracks.items() if isinstance(task, SoundTask)]
        self._finish(FinishTask(plan, [chunk.path for chunk in chunks], next(iter(sounds), None), output))
        notes = [_NOTES.validate_python(self._pieces[key].told) for key in self._tracks]
        devices = sorted(
            {
                told.device
                for told, task in zip(notes, self._tracks.values(), strict=True)
                if isinstance(task, PictureTask)
            }
        )
        reused = sum(chunk.path.name not in self._made for chunk in chunks)
        seen, heard = _noted(notes)
        return Product(plan, seen, heard, self._lost, len(chunks), reused, devices)

    def _resume(self) -> None:
        """Take over what earlier runs finished, and what they found out."""
        for loss in self._workshop.shelf.losses:
            if self._leave_out(loss):
                self._studio.complain(loss.message, self._herald.warn_of_damage)
        self._tracks = self._planned()
        for key in self._tracks:
            if piece := self._workshop.shelf.find(key):
                self._pieces[key] = piece
                for warning in piece.warnings:
                    self._herald.warn_of_damage(warning)
                self._tell_setback(_NOTES.validate_python(piece.told))
        chunks = [key for key, task in self._tracks.items() if isinstance(task, PictureTask)]
        if reused := sum(key in self._pieces for key in chunks):
            _log.info("%d of %d chunks were composed by an earlier run", reused, len(chunks))

    def _planned(self) -> dict[str, TrackTask]:
        """All tracks by what they are kept under: the sound, which takes one child the longest, and every chunk."""
        plan, bench = self._studio.plan, self._workshop.bench
        tracks: dict[str, TrackTask] = {}
        if plan.sound:
            key = of_sound(plan, self._inputs)
            tracks[key] = SoundTask(self._studio, bench / key)
        for frames in plan.picture.chunks if plan.picture else ():
            key = of_chunk(plan, frames, self._inputs)
            tracks[key] = PictureTask(self._studio, frames, bench / key, self._workshop.threads)
        return tracks

    def _work(self, tasks: Sequence[TrackTask], meter: Meter) -> None:
        """Carry out ``tasks``. When a source fails nothing more is begun, and the plan is changed at the end."""
        dead: list[Outcome[TrackTask]] = []
        losses: list[Loss] = []
        lost: list[EncoderLost] = []
        with self._supply(tasks) as supply:
            schedule = Schedule(tasks, self._workshop.workers, supply, self._current)
            agenda: Agenda[TrackTask] = schedule

            def advance(task: TrackTask, done_s: float) -> None:
                meter.advance(task, done_s)
                schedule.advance(task, done_s)

            for outcome in self._workshop.crew.run(agenda, advance, watch=lambda: self._look_after(supply)):
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
            self._encode_otherwise(str(lost[0]), meter)
        losses += [loss for outcome in dead for loss in self._culprits(outcome, meter)]
        for loss in sorted(losses, key=lambda loss: loss.file_s):
            if self._leave_out(loss):
                self._studio.complain(loss.message, self._herald.warn_of_damage)
                self._workshop.shelf.lose(loss)
        self._tracks = self._planned()

    def _forgiven(self, error: MixError) -> EncoderLost:
        """An error after which the picture can still be encoded in another way; any other is raised."""
        if isinstance(error, EncoderLost) and self._studio.can_encode_otherwise:
            return error
        raise error

    def _encode_otherwise(self, why: str, meter: Meter) -> None:
        """Give up the card's encoder, and what it has encoded."""
        self._herald.warn_of_restart(f"{why}: the whole picture is encoded again, with x264")
        self._studio = replace(self._studio, plan=self._studio.plan.without_card_s_encoder())
        meter.begin_again()

    def _supply(self, tasks: Sequence[TrackTask]) -> Supply:
        """Begin to fetch what ``tasks`` lack."""
        plan, stock = self._studio.plan, self._workshop.stock
        chunks = [task.frames for task in tasks if isinstance(task, PictureTask)]
        supply = stock.supply(uses_of(plan, chunks, sound=len(chunks) < len(tasks)), together_s(plan))
        if missing := supply.missing_bytes:
            _log.info("%s have yet to be fetched; they come while the output is composed", gib(missing))
        return supply

    def _look_after(self, supply: Supply) -> None:
        """Leave out, from the beginning, the sources that turn out not to come; nobody has begun with them."""
        supply.check()
        failed = {source: str(error) for source, error in supply.failed().items() if source not in self._lost}
        for source, reason in failed.items():
            self._lost[source] = reason
            self._studio.complain(
                f"{self._studio.plan.sources[source].key} is left out: {reason}", self._herald.warn_of_loss
            )
            for is_sound in (True, False):
                plan = self._studio.plan.without(source, Fraction(0), sound=is_sound)
                self._studio = replace(self._studio, plan=plan)
        if failed:
            self._tracks = self._planned()

    def _current(self, task: TrackTask) -> TrackTask:
        """The same task of the plan as it is now."""
        if task.studio is self._studio:
            return task
        same = (t for t in self._tracks.values() if type(t) is type(task) and _frames(t) == _frames(task))
        return next(same)

    def _keep(self, outcome: Outcome[TrackTask]) -> None:
        task = outcome.task
        told = _NOTES.dump_python(outcome.value, mode="json")
        # Sources that did not come while it was mixed are silent in it.
        is_sound = isinstance(task, SoundTask)
        key = of_sound(self._studio.plan, self._inputs) if is_sound else task.track.name
        self._pieces[key] = self._workshop.shelf.keep(key, task.track, told, outcome.warnings)
        self._made.add(key)
        self._tell_setback(outcome.value)
        _log.debug("made %s in %.2f s", task.name, outcome.took_s, extra={"piece": key, "took_s": outcome.took_s})

    def _tell_setback(self, notes: Notes) -> None:
        if notes.setback:
            self._herald.warn_of_restart(notes.setback)

    def _failures(self, outcome: Outcome[TrackTask]) -> Iterator[Loss]:
        """The sources that could not be decoded, as a chunk's task tells."""
        if isinstance(outcome.task, PictureTask):
            for source, failure in outcome.value.failures.items():
                name = outcome.task.studio.plan.sources[source].key
                why = f"{name} fails at {timecode(failure.at_s)} and is a placeholder from there on: {failure.reason}"
                yield self._loss(source, failure.at_s, why, is_sound=False)

    def _culprits(self, outcome: Outcome[TrackTask], meter: Meter) -> Iterator[Loss]:
        """The sources that killed a task's child, or else the child is forgiven, once for each task.

        A graphics card is the first to be suspected: the rest of the picture is composed without it. After the sources
        comes its encoder, which may hang as the card did: the picture is encoded without it.
        """
        equipment = outcome.task.studio.equipment
        if isinstance(outcome.task, PictureTask) and equipment.card is not None:
            why = f"the process that composed on {equipment.device} {outcome.death}"
            if self._studio.equipment == equipment:
                self._herald.warn_of_restart(f"{why}: what is missing of the picture is composed on the CPU")
            self._studio = replace(self._studio, equipment=Equipment(why))
            return
        culprits = self._killers(list(suspects(outcome)))
        is_sound = isinstance(outcome.task, SoundTask)
        if not (culprits or is_sound) and outcome.task.studio.can_encode_otherwise:
            if self._studio.can_encode_otherwise:
                self._encode_otherwise(f"the process that encoded on the graphics card {outcome.death}", meter)
        elif not culprits:
            self._restart(outcome)
        for culprit in culprits:
            at_s = Fraction(culprit.done_s).limit_denominator(1_000_000)
            instead = "silence" if is_sound else "a placeholder"
            why = f"decoding {culprit.task.name} {culprit.death} at {timecode(at_s)}: {instead} from there on"
            yield self._loss(culprit.task.source, at_s, why, is_sound=is_sound)

    def _killers(self, tasks: Sequence[SuspectTask]) -> list[Outcome[SuspectTask]]:
        """Those of ``tasks`` whose children die; who was killed from outside must be so twice to be to blame."""
        dead = [found for found in self._workshop.crew.run(tasks, alone=True) if found.death]
        again = [found.task for found in dead if found.death == KILLED]
        certain = [found for found in dead if found.death != KILLED]
        return certain + [found for found in self._workshop.crew.run(again, alone=True) if found.death]

    def _loss(self, source: int, at_s: Fraction, why: str, *, is_sound: bool) -> Loss:
        offset_s = self._studio.plan.offset_s(source, sound=is_sound)
        return Loss(self._inputs.versions[source], at_s - offset_s, is_sound, why)

    def _leave_out(self, loss: Loss) -> bool:
        """Change the plan; False where the recording is not used any more, not for so long, or another."""
        before = self._studio.plan
        for source, version in enumerate(self._inputs.versions):
            if version == loss.version:
                plan = self._studio.plan
                at_s = loss.file_s + plan.offset_s(source, sound=loss.is_sound)
                self._studio = replace(self._studio, plan=plan.without(source, at_s, sound=loss.is_sound))
        return self._studio.plan != before

    def _finish(self, task: FinishTask) -> None:
        # Moving a large file takes long, without news; the tracks are our own, and nothing in them can hang.
        tracks = [*task.chunks, *([task.sound] if task.sound else [])]
        grace_s = sum(track.stat().st_size for track in tracks) / SLOWEST_DISK_BYTES_PER_S
        (outcome,) = self._workshop.crew.run([task], grace_s=grace_s)
        if outcome.death:
            self._restart(outcome)
            (outcome,) = self._workshop.crew.run([task], grace_s=grace_s)
        succeed(outcome)

    def _restart(self, outcome: Outcome[TrackTask] | Outcome[FinishTask]) -> None:
        """Note that a child died for no reason to be found, which is forgiven once."""
        name = outcome.task.name
        if name in self._restarted:
            raise RenderError(f"{name} cannot be made: its process {outcome.death}, and no recording is to blame")
        self._restarted.add(name)
        self._herald.warn_of_restart(
            f"the process that makes {name} {outcome.death}; no recording is to blame, and it is made once more"
        )


def _frames(task: TrackTask) -> range | None:
    return task.frames if isinstance(task, PictureTask) else None


def _noted(notes: Iterable[Notes]) -> tuple[dict[int, Seen], dict[int, Damage]]:
    """What the sources of all pieces turned out to be: their pictures, and what of their sound."""
    seen: dict[int, Seen] = {}
    heard: dict[int, Damage] = {}
    for told in notes:
        heard |= told.heard
        for source, more in told.seen.items():
            seen[source] = seen.get(source, Seen()).joined(more)
    return seen, heard
