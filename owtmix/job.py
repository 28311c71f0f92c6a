"""One job from its file to its finished output: read, fetch, probe, plan, produce, publish."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.clip import Clip
from owtmix.decoration import Rgba, unwritable
from owtmix.errors import DestinationError, InputError, Problem, SpecError
from owtmix.images import decode_image, fetch_image
from owtmix.index import MAX_INDEX_BYTES, Index, Recording, read_index
from owtmix.media.probe import probe
from owtmix.plan import RenderPlan
from owtmix.planning import make_plan, subscribed
from owtmix.production import Production
from owtmix.progress import Progress
from owtmix.runlock import only_run
from owtmix.scratch import Scratch
from owtmix.settings import Settings, state_folder
from owtmix.spec.job import ImageWatermark, JobSpec
from owtmix.spec.reader import read_job
from owtmix.storage import LocalStore, Store, open_store
from owtmix.timing import timecode

_log = logging.getLogger(__name__)

PROBES: Final = 4
"""Recordings that are probed at once."""

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

    def plan(self, progress: Progress) -> RenderPlan:
        """What would be made."""
        return self._prepare(progress).plan

    def preview(self, t: Fraction, png: Path, progress: Progress) -> None:
        """Draw the frame on screen at output time ``t`` into a PNG file.

        Raises:
            SpecError: the output has no picture, or none at ``t``.
            DestinationError: the file cannot be written.
        """
        production = self._prepare(progress)
        picture = production.plan.picture
        if picture is None:
            raise SpecError(
                Problem("Data.RecordingConfig.MediaChannel", "there is no picture to preview: write 2 or 3")
            )
        number = picture.clock.index(t)
        if not 0 <= number < picture.frames:
            raise SpecError(
                Problem("", f"the output ends at {timecode(production.plan.duration_s)}: choose a time before")
            )
        progress.stage("drawing", None)
        image = production.still(number)
        try:
            image.save(png, "PNG")
        except OSError as error:
            raise DestinationError(f"{png} cannot be written: {error.strerror}") from None

    def run(self, progress: Progress, scratch: Scratch) -> dict[str, Any]:
        """Make the output and put it in its place; returns the report.

        Raises:
            MixError: of any kind.
        """
        with only_run(self.spec.job_id):
            with self._timed("planning"):
                production = self._prepare(progress)
            plan = production.plan
            staged = scratch.add(self._output.stage(self.spec.output_key, self.spec.job_id))
            work = scratch.add(state_folder() / "work" / self.spec.job_id)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            with self._timed("composing"):
                production.make(staged, work, progress)
            with self._timed("publishing"):
                address = self._output.commit(staged, self.spec.output_key)
            scratch.discard(staged)
        return self._report(plan, address)

    def _prepare(self, progress: Progress) -> Production:
        """Everything up to the first pixel."""
        progress.stage("reading", None)
        index, index_key = self._read_index()
        streams, warnings = subscribed(self.spec, index)
        files = [file for file in index.files if file.stream in streams]
        if not files:
            raise InputError("the index has no recording of a stream that is subscribed: see Data.SubscribeConfig")
        self._check_output_key(index_key, files)
        clips, paths, left_out = self._probe(files)
        images = self._images()
        plan = make_plan(self.spec, index, clips, self._settings, left_out)
        for warning in (*plan.warnings, *warnings, *unwritable(plan.picture)):
            self._warn(warning)
        return Production(replace(plan, warnings=tuple(self._warnings)), paths, images, self._warn)

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

    def _probe(self, files: Sequence[Recording]) -> tuple[list[Clip], list[Path], list[tuple[str, str]]]:
        """The readable files as clips, where they are, and why the others are not."""

        def look(file: Recording) -> tuple[Path, Clip] | InputError:
            try:
                path = self._input.fetch(file.key)
                found = probe(path)
            except InputError as error:
                return error
            return path, Clip(file, 0, found.video, found.audio)

        clips: list[Clip] = []
        paths: list[Path] = []
        left_out: list[tuple[str, str]] = []
        with ThreadPoolExecutor(PROBES) as pool:
            for file, result in zip(files, pool.map(look, files), strict=True):
                if isinstance(result, InputError):
                    left_out.append((file.key, str(result)))
                    continue
                paths.append(result[0])
                clips.append(replace(result[1], source=len(clips)))
        reasons = [f"{key} is left out: {reason}" for key, reason in left_out]
        if left_out and (self._options.strict or not clips):
            raise InputError("\n".join(reasons if clips else [*reasons, "no recording is left"]))
        for reason in reasons:
            self._warn(reason)
        return clips, paths, left_out

    def _images(self) -> dict[str, Rgba]:
        """The watermark images that can be had."""
        images = {}
        for mark in self.spec.mixer.watermarks:
            if isinstance(mark, ImageWatermark) and mark.source not in images:
                try:
                    images[mark.source] = decode_image(self._image_data(mark.source), self._settings.image_max_pixels)
                except InputError as error:
                    self._warn(f"the watermark image {_without_query(mark.source)} is left out: {error}")
        return images

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
