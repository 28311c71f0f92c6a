"""The job of a room as it is now: its options, and the updates that were accepted so far."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import MixError, Problem, SpecError
from owtmix.base.geometry import Size
from owtmix.base.own_files import read_own
from owtmix.base.shortage import machine_error
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.jobfile.reader import read_job, with_updates
from owtmix.jobfile.spec import JobSpec
from owtmix.recorder.finish import UPDATES_FILE
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.index_file import INDEX_FILE
from owtmix.recorder.job_file import job_text

_STORE: Final = {"Vendor": "local", "Bucket": "."}
_SHAPE: Final = ("Width", "Height", "Fps", "Profile")
"""Of the picture: a file has one of each, so that another begins a new file."""

Shape = tuple[tuple[str, str], ...]
"""Which of them updates have changed, and the values."""
Look = tuple[Size, int, str]
"""Size, rate and profile."""


class LiveJob:
    """The job of the room in the folder ``room``, read again when its updates have changed.

    Attributes:
        options: how the room becomes files.
        problem: why some updates are not used; empty where all are.

    Raises:
        SpecError: it is wrong.
    """

    def __init__(self, room: Path) -> None:
        self._options_file, self._updates_file = room / FINISH_FILE, room / UPDATES_FILE
        try:
            self.options = self._read_options()
        except OSError as error:
            reason = Problem(FINISH_FILE, f"cannot be read: {error.strerror}")
            raise machine_error(error) or SpecError(reason) from None
        self._text = job_text(self.options, _STORE, INDEX_FILE, self.options.job_id)
        self._updates = b""
        self._shapes: list[tuple[int, Shape]] = []
        self._looks: dict[Shape, Look | None] = {}
        self._specs: dict[Shape, JobSpec] = {}
        self.problem = ""
        self.spec(())

    def read(self) -> None:
        """Read the updates that were accepted since, and when the room is recorded.

        Raises:
            SpecError: that is none.
        """
        try:
            self.options = self._read_options()
            data = read_own(self._updates_file, MAX_INDEX_BYTES)
        except OSError as error:
            if found := machine_error(error):
                raise found from None
            return
        if data != self._updates:
            self._updates = data
            self._shapes = [*self._distinct(_shapes(data))]
            self._specs.clear()

    def shape_at(self, at_ms: int) -> Shape:
        """What updates have changed of the picture's shape by then, in milliseconds since 1970.

        The same for pictures of the same shape, also where an update says what they have already.
        """
        return next((shape for changed_ms, shape in reversed(self._shapes) if changed_ms <= at_ms), ())

    def file_at(self, at_ms: int) -> int | None:
        """The number of the file that is recorded then, from 1 on; None where none is."""
        known = [is_recorded for since_ms, is_recorded in self.options.recorded if since_ms <= at_ms] or [True]
        begun = sum(now and not before for before, now in pairwise([False, *known]))
        return begun if known[-1] else None

    def spec(self, shape: Shape) -> JobSpec:
        """The job with a shape of its picture, and with all updates by now, or without any where one is wrong.

        Raises:
            SpecError: there is no picture of that shape.
        """
        if shape not in self._specs:
            spec = self._started(shape)
            self.problem = ""
            try:
                spec = with_updates(spec, self._updates, UPDATES_FILE) if self._updates.strip() else spec
            except MixError as error:
                self.problem = str(error)
            self._specs[shape] = spec
        return self._specs[shape]

    def _read_options(self) -> FinishOptions:
        """When and how the room is recorded; raises ``OSError`` and ``SpecError``."""
        return FinishOptions.from_json(read_own(self._options_file, MAX_INDEX_BYTES))

    def _started(self, shape: Shape) -> JobSpec:
        """The job without its updates; raises ``SpecError``."""
        return read_job(self._text, {f"Data.TranscodingConfig.Video.{name}": value for name, value in shape})

    def _distinct(self, changes: Iterable[tuple[int, Shape]]) -> Iterator[tuple[int, Shape]]:
        """When the shape is another one, and which; of those that are the same the first. Wrong ones do not count."""
        found: dict[str, str] = {}
        first: dict[Look | None, Shape] = {self._look(()): ()}
        for at_ms, changed in changes:
            given = found | dict(changed)
            shape = tuple(sorted(given.items()))
            try:
                look = self._look(shape)
            except SpecError:  # that the update is wrong is told of elsewhere
                continue
            found = given
            yield at_ms, first.setdefault(look, shape)

    def _look(self, shape: Shape) -> Look | None:
        """What decides whether pictures are in one file; None without any. Raises ``SpecError``."""
        if shape not in self._looks:
            video = self._started(shape).video
            self._looks[shape] = (video.size, video.fps, video.profile) if video else None
        return self._looks[shape]


def _shapes(updates: bytes) -> Iterator[tuple[int, Shape]]:
    """When updates change the picture's shape, in their order; those that are wrong are told of elsewhere."""
    for line in updates.split(b"\n"):
        try:
            update = json.loads(line or b"{}")
        except (ValueError, RecursionError):
            continue
        data = _object(update, "Data")
        video = _object(_object(data, "TranscodingConfig"), "Video")
        shape = tuple((name, str(video[name])) for name in _SHAPE if isinstance(video.get(name), int | str))
        at_ms = update.get("At") if isinstance(update, dict) else None
        if shape and isinstance(at_ms, int):
            yield at_ms, shape


def _object(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
