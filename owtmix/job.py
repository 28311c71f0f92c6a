"""One job from its file to its finished output: read, fetch, probe, plan, produce, publish."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.clip import Clip, Probe
from owtmix.decoration import unwritable
from owtmix.errors import InputError, Problem, RenderError, SpecError
from owtmix.execute.local import Crew
from owtmix.execute.task import Limits
from owtmix.images import fetch_image
from owtmix.index import MAX_INDEX_BYTES, Index, Recording, read_index
from owtmix.plan import RenderPlan
from owtmix.planning import make_plan, subscribed
from owtmix.production import Production, succeed
from owtmix.progress import Progress
from owtmix.runlock import only_run
from owtmix.scratch import Scratch
from owtmix.settings import Settings, state_folder
from owtmix.spec.job import ImageWatermark, JobSpec
from owtmix.spec.reader import read_job
from owtmix.storage import LocalStore, Store, open_store
from owtmix.tasks import ImageTask, ProbeTask, StillTask, Studio
from owtmix.timing import timecode

_log = logging.getLogger(__name__)

_PREFIX: Final = "Data.RecordingConfig.StorageConfig.FileNamePrefix"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the job file.

    ``index`` and ``output`` are keys of the job's stores; beginning with ``/``, ``./`` or ``../`` they are local files.
    """

    index: str | None = None
    output: str | None = None
    strict: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)


class Job:
    """A job file that was read and found right.

    Raises:
        SpecError: the file is missing or wrong.
    """

    def __init__(self, cfg: Path, settings: Settings, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._warnings: list[str] = []
        self._seconds: dict[str, float] = {}
        overrides = dict(options.overrides)
        if options.output:
            overrides[_PREFIX] = Path(options.output).name if _is_local(options.output) else options.output
        try:
            text = cfg.read_bytes()
        except OSError as error:
            raise SpecError(Problem("", f"the job file cannot be read: {error.strerror}")) from None
        self.spec: JobSpec = read_job(text, overrides)
        self._input = open_store(self.spec.input, cfg.parent)
        if options.output and _is_local(options.output):
            self._output: Store = LocalStore(Path(options.output).parent)
        else:
            self._output = open_store(self.spec.output, cfg.parent)

    @property
    def secrets(self) -> Iterator[str | None]:
        """What must never be written anywhere."""
        for store in (self.spec.input, self.spec.output):
            yield store.secret_key
            yield store.public_key
        for receiver in self.spec.notify:
            yield receiver.token

    def plan(self, progress: Progress, scratch: Scratch) -> RenderPlan:
        """What would be made."""
        with self._crew() as crew:
            return self._prepare(crew, progress, scratch).plan

    def preview(self, t: Fraction, png: Path, progress: Progress, scratch: Scratch) -> None:
        """Draw the frame on screen at output time ``t`` into a PNG file.

        Raises:
            SpecError: the output has no picture, or none at ``t``.
            DestinationError: the file cannot be written.
        """
        with self._crew() as crew:
            studio = self._prepare(crew, progress, scratch)
            picture = studio.plan.picture
            if picture is None:
                raise SpecError(
                    Problem("Data.RecordingConfig.MediaChannel", "there is no picture to preview: write 2 or 3")
                )
            number = picture.clock.index(t)
            if not 0 <= number < picture.frames:
                end = timecode(studio.plan.duration_s)
                raise SpecError(Problem("", f"the output ends at {end}: choose a time before"))
            progress.stage("drawing", None)
            for outcome in crew.run([StillTask(studio, number, png.absolute())]):
                succeed(outcome)

    def run(self, progress: Progress, scratch: Scratch) -> dict[str, Any]:
        """Make the output and put it in its place; returns the report.

        Raises:
            MixError: of any kind.
        """
        with only_run(self.spec.job_id), self._crew() as crew:
            with self._timed("planning"):
                studio = self._prepare(crew, progress, scratch)
            staged = scratch.add(self._output.stage(self.spec.output_key, self.spec.job_id))
            work = scratch.add(state_folder() / "work" / self.spec.job_id)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            with self._timed("composing"):
                Production(studio, crew, self._warn).make(staged, work, progress)
            with self._timed("publishing"):
                address = self._output.commit(staged, self.spec.output_key)
            scratch.discard(staged)
        return self._report(studio.plan, address)

    def _crew(self) -> Crew:
        settings = self._settings
        limits = Limits(settings.worker_memory_mib << 20, settings.worker_silence_s)
        return Crew(max(2, os.cpu_count() or 1), limits, self._warn)

    def _prepare(self, crew: Crew, progress: Progress, scratch: Scratch) -> Studio:
        """Everything up to the first pixel."""
        progress.stage("reading", None)
        index, index_key = self._read_index()
        streams, warnings = subscribed(self.spec, index)
        files = [file for file in index.files if file.stream in streams]
        if not files:
            raise InputError("the index has no recording of a stream that is subscribed: see Data.SubscribeConfig")
        self._check_output_key(index_key, files)
        clips, paths, left_out = self._probe(files, crew)
        images = self._images(crew, scratch)
        plan = make_plan(self.spec, index, clips, self._settings, left_out)
        for warning in (*plan.warnings, *warnings, *unwritable(plan.picture)):
            self._warn(warning)
        return Studio(replace(plan, warnings=tuple(self._warnings)), paths, images)

    def _read_index(self) -> tuple[Index, str | None]:
        """The index, and its key where it lies in the input store."""
        named = self._options.index or self.spec.index_key
        if named and _is_local(named):
            data = LocalStore(Path(named).parent).read(Path(named).name, MAX_INDEX_BYTES)
            keys, key = [named], None
        else:
            keys = [named] if named else [self._substituted(key) for key in self._settings.index_keys]
            data, key = None, None
            for key in keys:
                data = self._input.read(key, MAX_INDEX_BYTES)
                if data is not None:
                    break
        if data is None:
            tried = ", ".join(map(self._input.address, keys))
            raise InputError(f"there is no index of the recordings; tried {tried}: write its key with --index")
        index = read_index(data, time_unit=self._settings.index_time_unit)
        if index.job_id and index.job_id != self.spec.job_id:
            self._warn(f"the index is of the job {index.job_id}, not of {self.spec.job_id}")
        return index, key

    def _substituted(self, key: str) -> str:
        names = {"$JobId": self.spec.job_id, "$RoomId": self.spec.room_id, "$AppId": self.spec.app_id}
        for name, value in names.items():
            key = key.replace(name, value)
        return key

    def _check_output_key(self, index_key: str | None, files: Sequence[Recording]) -> None:
        """The output must not overwrite what it is made from."""
        address = self._output.address(self.spec.output_key)
        inputs = [file.key for file in files] + ([index_key] if index_key else [])
        if any(self._input.address(key) == address for key in inputs):
            raise SpecError(Problem(_PREFIX, f"{self.spec.output_key} is an input of this job: choose another name"))

    def _probe(self, files: Sequence[Recording], crew: Crew) -> tuple[list[Clip], list[Path], list[tuple[str, str]]]:
        """The readable files as clips, where they are, and why the others are not."""
        tasks: dict[int, ProbeTask] = {}
        problems: dict[int, str] = {}
        for number, file in enumerate(files):
            try:
                tasks[number] = ProbeTask(number, file.key, self._input.fetch(file.key))
            except InputError as error:
                problems[number] = str(error)
        found: dict[int, Probe] = {}
        for outcome in crew.run(tasks.values()):
            if outcome.value is not None:
                found[outcome.task.number] = outcome.value
            else:
                problems[outcome.task.number] = str(outcome.error or f"reading it {outcome.death}")
        left_out = [(files[number].key, problems[number]) for number in sorted(problems)]
        reasons = [f"{key} is left out: {reason}" for key, reason in left_out]
        if left_out and (self._options.strict or not found):
            raise InputError("\n".join(reasons if found else [*reasons, "no recording is left"]))
        for reason in reasons:
            self._warn(reason)
        used = sorted(found)
        clips = [Clip(files[n], source, found[n].video, found[n].audio) for source, n in enumerate(used)]
        return clips, [tasks[number].path for number in used], left_out

    def _images(self, crew: Crew, scratch: Scratch) -> dict[str, Path]:
        """Array files of the watermark images that can be had."""
        arrays: dict[str, Path] = {}
        for mark in self.spec.mixer.watermarks:
            if not isinstance(mark, ImageWatermark) or mark.source in arrays:
                continue
            if not arrays:
                folder = scratch.add(Path(tempfile.mkdtemp(prefix="owtmix-")))
            array = folder / f"{len(arrays)}.npy"
            try:
                data = self._image_data(mark.source)
                for outcome in crew.run([ImageTask("the image", data, self._settings.image_max_pixels, array)]):
                    succeed(outcome)
            except (InputError, RenderError) as error:
                self._warn(f"the watermark image {_without_query(mark.source)} is left out: {error}")
            else:
                arrays[mark.source] = array
        return arrays

    def _image_data(self, source: str) -> bytes:
        settings = self._settings
        if source.startswith(("http://", "https://")):
            return fetch_image(source, settings.image_timeout_s, settings.image_max_bytes)
        data = self._input.read(source, settings.image_max_bytes)
        if data is None:
            raise InputError("it does not exist in the input store")
        return data

    def _warn(self, message: str) -> None:
        _log.warning("%s", message)
        self._warnings.append(message)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._seconds[stage] = round(time.monotonic() - start, 3)

    def _report(self, plan: RenderPlan, address: str) -> dict[str, Any]:
        return {
            "job_id": plan.job_id,
            "output": address,
            "duration_s": float(plan.duration_s),
            "frames": plan.picture.frames if plan.picture else 0,
            "streams": {
                "used": list(map(str, plan.presence)),
                "left_out": list(map(str, plan.absent)),
            },
            "files": {
                "used": [source.key for source in plan.sources],
                "left_out": [{"file": key, "reason": reason} for key, reason in plan.left_out],
            },
            "warnings": self._warnings,
            "seconds": self._seconds,
        }


def _is_local(name: str) -> bool:
    return name.startswith(("/", "./", "../"))


def _without_query(source: str) -> str:
    """A URL may carry a signature."""
    return source.partition("?")[0]
