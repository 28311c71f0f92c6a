"""The mix of a room while it is recorded: what is known by now is composed, chunk after chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Any, Final

from owtmix.base.time import TimeRange, timecode
from owtmix.jobfile.settings import Settings
from owtmix.live.chunk_maker import ChunkMaker
from owtmix.live.live_images import LiveImages
from owtmix.live.live_job import LiveJob, Shape
from owtmix.live.live_plan import Fixed, Head, Part, level_of, plan_room
from owtmix.live.live_source import LiveSource
from owtmix.live.mix_folder import MixFolder
from owtmix.live.mix_status import MixStatus
from owtmix.live.room_log import LiveFile, RoomLog
from owtmix.live.tasks import HeadTask, ListenTask
from owtmix.live.track_log import US
from owtmix.plan.model import RenderPlan
from owtmix.plan.voice import Voice
from owtmix.recorder.file_plan import FileFormats
from owtmix.recorder.room_folder import RoomFolder
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Executor

Planned = tuple[RenderPlan, list[LiveFile]]
"""A plan, and the files of its sources."""

_LOOK_S: Final = 0.1
_NOBODY_S: Final = 1.0
"""As long as nobody can be seen or heard it is looked so seldom whether that has changed."""
_LATER_S: Final = 2.0
"""After who receives a session has given it up, so does who mixes it, whatever its journals say."""
_AHEAD_S: Final = 1
"""Sounds are listened to so much further than they are mixed: a turn begins before it counts as one."""
_FOREVER_US: Final = 1 << 61
_MOST_LOOKS: Final = 9
"""At a picture of which no key frame can be shown, with growing pauses: each look reads all of its journal."""


class LiveMix:
    """The mix of a room.

    Args:
        room: its folder.
        live: the folder of the mix, which is locked.
        settings: of the service.
        executor: does the tasks, with one worker.
        now_us: gives the time, in microseconds since 1970.
    """

    def __init__(
        self, room: RoomFolder, live: MixFolder, settings: Settings, executor: Executor, now_us: Callable[[], int]
    ) -> None:
        self._live = live
        self._settings = settings
        self._executor = executor
        self._now_us = now_us
        self._job = LiveJob(room.root)
        formats = FileFormats(self._job.options.mp4_sound, self._job.options.sound_alone)
        self._room = RoomLog(room, formats, round((settings.service.gone_s + _LATER_S) * US))
        self._status = MixStatus(live, settings.live.mix_chunk_s)
        self._maker = ChunkMaker(live, executor, self._status.warn, self._stay_heard)
        self._images = LiveImages(settings, executor, live.bench, live.images, self._status.warn)
        self._chunk_s = settings.live.mix_chunk_s
        self._fixed = live.fixed()
        self._heads: dict[str, Head] = {}
        self._left_out: set[str] = set()
        self._looks: dict[str, int] = {}
        self._look_again_us: dict[str, int] = {}
        self._joined = 0  # the parts that are in files, or in none
        self._is_over = False

    def run(self) -> dict[str, Any]:
        """Mix until the room has ended; returns what became of it.

        Raises:
            MixError: the mix cannot go on. What was made stays.
        """
        self._tell()
        self._images.of(self._job.spec(()).images)
        while True:
            is_stopped, now_us = self._live.is_stopped, self._now_us()
            self._room.read(self._edge_ms * 1000 if self._fixed else 0, self._stay_heard)
            self._stay_heard()
            if is_stopped and self._room.is_over(now_us):
                return self._finish()
            if self._is_full:
                time.sleep(_NOBODY_S)
            elif not (self._is_due(now_us) and self._make_next()):
                time.sleep(_LOOK_S)

    @property
    def _edge_ms(self) -> int:
        """When the next chunk begins, in milliseconds since 1970."""
        assert self._fixed
        return self._fixed.begun_ms + int(len(self._live.chunks) * self._chunk_s * 1000)

    @property
    def _is_full(self) -> bool:
        """Whether the mix is as long as one may be; the room goes on without it."""
        longest_s = self._settings.limits.max_duration_s
        is_full = self._span(len(self._live.chunks)).end > longest_s
        if is_full:
            self._status.warn(
                f"the mix ends after {timecode(longest_s)}, which is limits.max_duration_s in conf/owt.toml"
            )
        return is_full

    @property
    def _wait_us(self) -> int:
        """How long after it begins a chunk is made."""
        return round((self._chunk_s + self._settings.live.margin_s) * US)

    def _is_due(self, now_us: int) -> bool:
        """Whether all is known that is needed for the next chunk."""
        if self._fixed is None and not self._begin(now_us):
            return False
        edge_us = self._edge_ms * 1000
        return now_us >= edge_us + self._wait_us and self._room.fix(now_us, edge_us, self._wait_us)

    def _begin(self, now_us: int) -> bool:
        """Decide when the mix begins: with the first frame of anybody; False where none is known by now."""
        is_known = not self._room.is_empty and self._room.fix(now_us, None, self._wait_us)
        first_us = self._room.first_us() if is_known else None
        if first_us is None:
            return False
        self._fixed = Fixed((first_us + 500) // 1000)
        return True

    def _begin_later(self, plan: RenderPlan) -> bool:
        """Begin with the first who is seen or heard, as composing the recordings does; whether that is later."""
        assert self._fixed
        first_s = min((spans[0].start for spans in plan.presence.values()), default=Fraction(0))
        if first_s > 0:
            self._fixed = Fixed(self._fixed.begun_ms + int(first_s * 1000))
        return first_s > 0

    def _make_next(self) -> bool:
        """Make the next chunk; False where nobody is in the mix yet."""
        span, until_s = self._span(len(self._live.chunks)), Fraction(0)
        if not self._live.chunks:  # who is in the mix may come long after the first of anybody
            until_s = Fraction(self._now_us() - self._wait_us - self._edge_ms * 1000, US)
        planned = self._plan(max(span.end, until_s))
        if planned is None:
            if not self._live.chunks:
                self._fixed = None
                time.sleep(_NOBODY_S)
            return False
        if not self._live.chunks and self._begin_later(planned[0]):
            return False
        self._make(planned, span, is_last=False)
        self._join(until_s=span.end)
        self._tell()
        return True

    def _span(self, number: int) -> TimeRange:
        return TimeRange(number * self._chunk_s, (number + 1) * self._chunk_s)

    def _plan(self, until_s: Fraction, shape: Shape | None = None) -> Planned | None:
        """The plan of the room until then at least, with the next chunk's shape or another; None without anybody."""
        assert self._fixed
        begun_ms, begun_us = self._fixed.begun_ms, self._fixed.begun_ms * 1000
        self._room.advance(begun_us + int(until_s * US))
        now_us = _FOREVER_US if self._is_over else self._now_us()
        found = [file for file in self._room.files(now_us) if file.plan.name not in self._left_out]
        files = [file.from_us(begun_us) for file in found if file.end_us is None or file.end_us > begun_us]
        self._look_at(files)
        self._job.read()
        spec = self._job.spec(self._job.shape_at(self._edge_ms) if shape is None else shape)
        if self._job.problem:
            self._status.warn(f"updates are not used: {self._job.problem}")
        options, planning = self._job.options, self._settings.planning
        until_us = begun_us + int((until_s + _AHEAD_S) * US)
        listen = partial(self._listen, until_us=until_us if until_s else None)
        return plan_room(spec, options, files, self._heads, planning, until_s, begun_ms, listen)

    def _listen(self, files: Sequence[LiveFile], until_us: int | None) -> Mapping[str, Voice]:
        """The voices in ``files``: up to a time, or to their ends."""
        ends = [file.end_us for file in files if file.end_us]
        until_us = max(ends, default=0) if until_us is None else until_us
        task = ListenTask([LiveSource(file.plan, file.start_us) for file in files], until_us)
        (outcome,) = self._executor.run([task], most=1, watch=self._stay_heard)
        found: Mapping[str, Voice] = outcome.value or {}
        return found

    def _look_at(self, files: list[LiveFile]) -> None:
        """Find out what pictures are, of which that is not known."""
        for file in files:
            name, now_us = file.plan.name, self._now_us()
            if not file.plan.picture or name in self._heads or now_us < self._look_again_us.get(name, 0):
                continue
            self._looks[name] = looks = self._looks.get(name, 0) + 1
            self._look_again_us[name] = now_us + (US << looks) if looks < _MOST_LOOKS else _FOREVER_US
            outcome = do_alone(self._executor, HeadTask(name, file.plan.picture), self._stay_heard)
            if isinstance(outcome.value, Head):
                self._heads[file.plan.name] = outcome.value
            elif outcome.death:
                self._left_out.add(file.plan.name)
                self._status.warn(f"{file.plan.name} is left out: its process {outcome.death}")

    def _make(self, planned: Planned, span: TimeRange, *, is_last: bool) -> None:
        plan, files = planned
        images = self._images.of(self._job.spec(self._job.shape_at(self._edge_ms)).images)
        self._maker.make(plan, files, images, span, self._part(plan), is_last=is_last)

    def _part(self, plan: RenderPlan) -> Part:
        """The part that the next chunk belongs to: a new one where the shape of the picture is another one."""
        assert self._fixed
        number, shape = len(self._live.chunks), self._job.shape_at(self._edge_ms)
        recorded = self._job.file_at(self._edge_ms)
        parts = tuple(part for part in self._fixed.parts if part.first < number)
        if not parts or (parts[-1].shape, parts[-1].recorded) != (shape, recorded):
            picture = plan.picture
            matrix, level = (picture.matrix, level_of(picture.encoding)) if picture else (None, None)
            parts = (*parts, Part(number, shape, recorded, matrix, level))
        if parts != self._fixed.parts:
            self._fixed = replace(self._fixed, parts=parts)
            self._live.fix(self._fixed)
        return parts[-1]

    def _finish(self) -> dict[str, Any]:
        """Make what is left of the room, and its files."""
        self._look_again_us.clear()
        self._is_over = True
        self._room.fix(_FOREVER_US, self._edge_ms * 1000 if self._fixed else None)
        has_begun = self._fixed is not None or self._begin(_FOREVER_US)
        self._room.advance(_FOREVER_US)
        whole = self._plan(Fraction(0)) if has_begun else None
        if whole and not self._live.chunks and self._begin_later(whole[0]):
            whole = self._plan(Fraction(0))
        if whole:
            self._make_rest(whole[0].duration_s)
        self._live.end_segments()
        if whole:
            self._join(until_s=None)
        return {
            "files": self._status.files,
            "duration_s": float(whole[0].duration_s) if whole else 0.0,
            "frames": sum(frames[1] - frames[0] for frames in (chunk.frames for chunk in self._live.chunks)),
            "warnings": self._status.warnings,
        }

    def _make_rest(self, duration_s: Fraction) -> None:
        count = ceil(duration_s / self._chunk_s)
        if len(self._live.chunks) >= count:  # the last one ends where the room does
            self._live.drop_from(count - 1)
        while (made := len(self._live.chunks)) < count:
            span = TimeRange(self._span(made).start, min(self._span(made).end, duration_s))
            planned = self._plan(Fraction(0))
            assert planned
            self._make(planned, span, is_last=span.end == duration_s)
            self._tell()

    def _join(self, until_s: Fraction | None) -> None:
        """Join the chunks of each part that has ended into a file; all of them where ``until_s`` is None."""
        assert self._fixed
        parts = self._fixed.parts
        while self._joined < len(parts) - (until_s is not None):
            part = parts[self._joined]
            if part.recorded is not None:
                name = self._live.mix_name(len(self._status.files) + 1)
                if not self._live.has(name):
                    planned = self._plan(until_s or Fraction(0), part.shape)
                    assert planned
                    self._maker.join(planned[0], self._joined, parts, self._chunk_s, name)
                self._status.files.append(name)
            self._joined += 1

    def _stay_heard(self) -> None:
        """Tell how far the mix is, where something takes long."""
        if self._status.is_due:
            self._tell()

    def _tell(self) -> None:
        is_live = self._fixed and self._live.chunks and not (self._is_over or self._is_full)
        behind_s = (self._now_us() - self._edge_ms * 1000) / US if is_live else 0.0
        self._status.tell(self._fixed.begun_ms if self._fixed else None, behind_s)
