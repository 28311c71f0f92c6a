"""Mixes a room while it is recorded: ``python -m owtmix.live.mix FOLDER``.

The folder of the room has all state, so this may be killed at any moment and run again: it goes on after the last
finished chunk. It ends when the file ``live/stop`` says that nothing more is recorded, and all that was is composed:
``live/result.json`` says what became of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import MixError, RenderError, ShortageError
from owtmix.base.own_files import make_own, remove
from owtmix.base.time import TimeRange
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.live.live_folder import Chunk, LiveFolder
from owtmix.live.live_job import LiveJob
from owtmix.live.live_plan import Fixed, Head, level_of, of_chunk, plan_room
from owtmix.live.live_source import LiveSource
from owtmix.live.room_log import LiveFile, RoomLog
from owtmix.live.tasks import IMPORTS, HeadTask, JoinTask, Mixed, MixTask
from owtmix.live.track_log import US
from owtmix.plan.model import RenderPlan
from owtmix.recorder.file_plan import FileFormats
from owtmix.recorder.room_folder import RoomFolder
from owtmix.storage import disk_error
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Executor, Outcome
from owtmix.workers.file_access import FileAccess
from owtmix.workers.limits import available_cores, worker_limits
from owtmix.workers.local import WorkerPool
from owtmix.workers.process_flags import protect_memory
from owtmix.workers.worker_process import ForkServer

_LOOK_S: Final = 0.1
_LATER_S: Final = 2.0
"""After who receives a session has given it up, so does who mixes it, whatever its journals say."""
_FOREVER_US: Final = 1 << 61
_BEHIND_S: Final = 10.0
"""A mix that is so far behind says so."""

_log = logging.getLogger(__name__)


class LiveMix:
    """The mix of a room.

    Args:
        room: its folder.
        live: the folder of the mix, which is locked.
        settings: of the service.
        executor: does the tasks, with one worker.
        now_us: the time, in microseconds since 1970.
    """

    def __init__(
        self, room: RoomFolder, live: LiveFolder, settings: Settings, executor: Executor, now_us: Callable[[], int]
    ) -> None:
        self._live = live
        self._settings = settings
        self._executor = executor
        self._now_us = now_us
        self._job = LiveJob(room.root)
        formats = FileFormats(self._job.options.mp4_sound, self._job.options.sound_alone)
        self._log = RoomLog(room, formats, round((settings.service.gone_s + _LATER_S) * US))
        self._chunk_s = settings.live.mix_chunk_s
        self._fixed = live.fixed()
        self._heads: dict[str, Head] = {}
        self._left_out: dict[str, str] = {}
        self._warnings: list[str] = []
        self._is_behind = False

    def run(self) -> dict[str, Any]:
        """Mix until the room has ended; returns what became of it.

        Raises:
            MixError: the mix cannot go on. What was made stays.
        """
        self._tell(0.0)
        while True:
            is_stopped = self._live.is_stopped
            self._log.read()
            now_us = self._now_us()
            if is_stopped and self._log.is_over(now_us):
                return self._finish()
            if not self._is_due(now_us):
                time.sleep(_LOOK_S)
                continue
            self._make_next()

    @property
    def _edge_us(self) -> int:
        """The server's clock where the next chunk begins."""
        assert self._fixed
        return self._fixed.begun_ms * 1000 + int(len(self._live.chunks) * self._chunk_s * US)

    def _is_due(self, now_us: int) -> bool:
        """Whether all is known that is needed for the next chunk."""
        if self._fixed is None:
            if self._log.is_empty or not self._log.fix(now_us, None) or (first_us := self._log.first_us()) is None:
                return False
            # Others may have begun before, whose first packets come later.
            self._fixed = Fixed(_ms(first_us))
        wait_us = round((self._chunk_s + self._settings.live.margin_s) * US)
        if now_us < self._edge_us + wait_us:
            return False
        return self._log.fix(now_us, self._edge_us)

    def _make_next(self) -> None:
        span = self._span(len(self._live.chunks))
        if (planned := self._plan(span.end)) is None:
            self._fixed = None if not self._live.chunks else self._fixed
            time.sleep(_LOOK_S)
            return
        self._make(*planned, span, is_last=False)
        behind_s = (self._now_us() - self._edge_us) / US
        self._tell(behind_s)

    def _span(self, number: int) -> TimeRange:
        return TimeRange(number * self._chunk_s, (number + 1) * self._chunk_s)

    def _plan(self, until_s: Fraction) -> tuple[RenderPlan, list[LiveFile]] | None:
        """The plan of the room until then at least, and the files of its sources; None where nobody is there."""
        assert self._fixed
        self._log.advance(self._fixed.begun_ms * 1000 + int(until_s * US))
        files = [file for file in self._log.files(self._now_us()) if file.plan.name not in self._left_out]
        self._look_at(files)
        spec = self._job.spec()
        if self._job.problem:
            self._warn(f"updates are not used: {self._job.problem}")
        return plan_room(spec, self._job.options, files, self._heads, self._settings.planning, until_s, self._fixed)

    def _look_at(self, files: list[LiveFile]) -> None:
        """Find out what pictures are, of which that is not known."""
        for file in files:
            if not file.plan.picture or file.plan.name in self._heads:
                continue
            outcome = do_alone(self._executor, HeadTask(file.plan.name, file.plan.picture))
            if isinstance(outcome.value, Head):
                self._heads[file.plan.name] = outcome.value
            elif outcome.death:
                self._leave_out(file.plan.name, f"its process {outcome.death}")

    def _make(self, plan: RenderPlan, files: list[LiveFile], span: TimeRange, *, is_last: bool) -> None:
        """Make the chunk ``span``, without those sources with which its worker dies."""
        assert self._fixed
        if self._fixed.matrix is None and plan.picture:
            self._fixed = replace(self._fixed, matrix=plan.picture.matrix, level=level_of(plan.picture.encoding))
            self._live.fix(self._fixed)
        elif not self._live.chunks:
            self._live.fix(self._fixed)
        task = self._task(of_chunk(plan, span, self._fixed), files, span, is_last=is_last)
        outcome = self._done(task)
        if not isinstance(outcome.value, Mixed):
            raise RenderError(f"{task.name} cannot be made: {outcome.error or f'its process {outcome.death}'}")
        self._take(task, outcome.value)

    def _task(self, plan: RenderPlan, files: list[LiveFile], span: TimeRange, *, is_last: bool) -> MixTask:
        live = self._live
        paths = {name: live.bench / name for name in ("track", "sound", "segment")}
        for path in paths.values():
            remove(path)
            make_own(path)
        return MixTask(
            plan,
            [LiveSource(file.plan, file.start_us) for file in files],
            {},
            (span.start, span.end),
            live.chunks[-1].next_packet if live.chunks else 0,
            paths["track"],
            paths["sound"],
            paths["segment"],
            available_cores(),
            is_last,
        )

    def _done(self, task: MixTask) -> Outcome[MixTask]:
        """What became of a chunk: the worker that made the one before has its sources open."""
        (outcome,) = self._executor.run([task], most=1)
        if outcome.death or isinstance(outcome.error, ShortageError):
            self._warn(f"{task.name} is made again: {outcome.error or f'its process {outcome.death}'}")
            return do_alone(self._executor, task)
        return outcome

    def _take(self, task: MixTask, mixed: Mixed) -> None:
        for name, problem in mixed.problems.items():
            self._warn(f"{name}: {problem}")
        made = {"sound": task.sound, "segment": task.segment}
        if task.plan.picture:
            made["track"] = task.track
        frames = task.frames
        chunk = Chunk(len(self._live.chunks), (frames.start, frames.stop), mixed.first_packet + mixed.packets, 0, 0)
        try:
            self._live.take(chunk, made, task.most_bytes)
        except ValueError as error:
            raise RenderError(f"{task.name}: its process {error}") from None

    def _finish(self) -> dict[str, Any]:
        """Make what is left of the room, and the file."""
        self._log.fix(_FOREVER_US, self._edge_us if self._fixed else None)
        if self._fixed is None and (first_us := self._log.first_us()) is not None:
            self._fixed = Fixed(_ms(first_us))
        planned = self._whole() if self._fixed else None
        if planned is None:
            self._live.end_segments()
            return {"file": None, "duration_s": 0.0, "frames": 0, "warnings": self._warnings}
        whole, files = planned
        count = ceil(whole.duration_s / self._chunk_s)
        if len(self._live.chunks) >= count:  # the last one ends where the room does
            self._live.drop_from(count - 1)
        while len(self._live.chunks) < count:
            span = self._span(len(self._live.chunks))
            span = TimeRange(span.start, min(span.end, whole.duration_s))
            self._make(whole, files, span, is_last=span.end == whole.duration_s)
            self._tell(0.0)
        self._live.end_segments()
        return self._joined(whole)

    def _whole(self) -> tuple[RenderPlan, list[LiveFile]] | None:
        """As ``_plan``, of the whole room, which has ended."""
        self._log.advance(_FOREVER_US)
        return self._plan(Fraction(0))

    def _joined(self, whole: RenderPlan) -> dict[str, Any]:
        live = self._live
        make_own(live.bench / "mix")
        plan = of_chunk(whole, TimeRange(Fraction(0), whole.duration_s), self._fixed or Fixed(0))
        chunks = [(live.track(chunk.n), range(*chunk.frames)) for chunk in live.chunks] if plan.picture else []
        most_bytes = 2 * sum(chunk.track + chunk.sound for chunk in live.chunks) + (1 << 22)
        task = JoinTask(
            plan, chunks, [live.sound(chunk.n) for chunk in live.chunks], live.bench, live.bench / "mix", most_bytes
        )
        self._executor.allow(read=[live.tracks])
        outcome = do_alone(self._executor, task)
        if outcome.error or outcome.death:
            raise RenderError(f"the mix cannot be joined: {outcome.error or f'its process {outcome.death}'}")
        live.take_mix(task.path, most_bytes)
        frames = plan.picture.frames if plan.picture else 0
        return {
            "file": f"live/{live.mix.name}",
            "duration_s": float(whole.duration_s),
            "frames": frames,
            "warnings": self._warnings,
        }

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out[name] = reason
        self._warn(f"{name} is left out: {reason}")

    def _warn(self, message: str) -> None:
        if message not in self._warnings:
            _log.warning("%s", message)
            self._warnings.append(message)

    def _tell(self, behind_s: float) -> None:
        chunks = len(self._live.chunks)
        if behind_s > _BEHIND_S and not self._is_behind:
            _log.warning("the mix is %.0f s behind live: this machine cannot keep up", behind_s)
        self._is_behind = behind_s > _BEHIND_S
        self._live.tell(
            {
                "chunks": chunks,
                "done_s": float(chunks * self._chunk_s),
                "behind_s": round(behind_s, 3),
                "begun_us": self._fixed.begun_ms * 1000 if self._fixed else None,
                "warnings": self._warnings,
            }
        )


def _ms(time_us: int) -> int:
    return (time_us + 500) // 1000


def mix(root: Path, settings: Settings) -> None:
    """Mix the room in the folder ``root``, unless that is done.

    Raises:
        MixError: the mix cannot go on.
    """
    room = RoomFolder(root)
    try:
        live = LiveFolder(room.root)
        with live.locked():
            if live.is_finished:
                return
            access = FileAccess().adding(read=[room.journals], write=[live.bench])
            limits = worker_limits(settings)
            with WorkerPool(1, limits, _log.warning, access, ForkServer(IMPORTS)) as pool:
                result = LiveMix(room, live, settings, pool, lambda: time.time_ns() // 1000).run()
            live.finish(result)
    except OSError as error:
        raise disk_error(room.root, error) from error


def main() -> None:
    """Run the command line and exit with its status."""
    protect_memory()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser("python -m owtmix.live.mix", description="Mix a room while it is recorded.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the room")
    arguments = parser.parse_args()
    try:
        mix(arguments.folder, read_settings(settings_file()))
    except MixError as error:
        _log.error("%s", error)
        sys.exit(error.exit_status)
    except Exception:  # noqa: BLE001 - whoever started it reads the log
        _log.exception("mixing failed")
        sys.exit(RenderError.exit_status)


if __name__ == "__main__":
    main()
