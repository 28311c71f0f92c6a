"""One job from its file to its finished output: read, fetch, probe, plan, produce, publish, and tell."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import InputError, Problem, SpecError
from owtmix.base.progress import Progress
from owtmix.base.time import timecode
from owtmix.compositor.text.coverage import missing_glyph_warnings, with_fonts
from owtmix.inputs.gather import Intake, is_local
from owtmix.inputs.prefetch import Stock
from owtmix.jobfile.reader import MAX_JOB_BYTES, read_job
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import ImageWatermark, JobSpec, url_secrets
from owtmix.jobs.announcer import Announcer
from owtmix.jobs.lock import lock_job
from owtmix.jobs.result import job_result
from owtmix.jobs.state import state_folder
from owtmix.jobs.work_folder import open_work_folder
from owtmix.notify.events import WarnCode
from owtmix.plan.build import make_plan, with_device, within_gpu_limits
from owtmix.plan.device import CPU
from owtmix.plan.input_report import InputReport, report_input, use_of
from owtmix.plan.media_info import Damage, DecodeStats, Probe
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import source_usage
from owtmix.plan.subscription import check_streams, subscribed
from owtmix.produce.chunk_cache import ChunkCache
from owtmix.produce.chunk_key import Inputs, digest, track_keys
from owtmix.produce.disk_space import check_room, expected_bytes
from owtmix.produce.gpu_check import choose_device
from owtmix.produce.production import Production, ProductionResult, Workshop
from owtmix.produce.tasks import RenderSetup, StillTask
from owtmix.storage import LocalStore, S3Options, Store, open_store
from owtmix.workers.limits import available_cores, require_value, start_workers
from owtmix.workers.local import WorkerPool

_STORAGE: Final = "Data.RecordingConfig.StorageConfig"
_PREFIX: Final = f"{_STORAGE}.FileNamePrefix"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the job file.

    ``workers`` is how many processes compose, None for as many as there are processors; ``chunk_s`` comes before the
    setting. With ``fresh`` nothing that an earlier run has finished is used. ``device`` is what composes.
    ``index`` and ``output`` are keys of the job's stores; beginning with ``/``, ``./`` or ``../`` they are local files.
    """

    index: str | None = None
    output: str | None = None
    strict: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    chunk_s: Fraction | None = None
    fresh: bool = False
    device: str = "auto"


class Job:
    """A job file that was read and found right.

    Raises:
        SpecError: the file is missing or wrong.
    """

    def __init__(self, cfg: Path, settings: Settings, options: Options) -> None:
        self._settings = settings.with_chunk_s(options.chunk_s) if options.chunk_s else settings
        self._options = options
        self._seconds: dict[str, float] = {}
        self._probes: list[Probe] = []
        self._render_device = CPU
        overrides = dict(options.overrides)
        if options.output:
            folder, slash, name = options.output.rpartition("/")
            overrides[_PREFIX] = name if is_local(options.output) else options.output
        text = _read(cfg)
        self.spec: JobSpec = read_job(text, overrides)
        self._announcer = Announcer(self.spec, settings)
        speaking = S3Options(
            internal=settings.storage.ucloud_internal,
            attempts=settings.storage.attempts,
            read_timeout_s=settings.storage.silence_s,
        )
        input_at = _STORAGE if self.spec.input == self.spec.output else "Data.InputConfig.StorageConfig"
        self._input = open_store(self.spec.input, cfg.parent, input_at, speaking)
        if options.output and is_local(options.output):
            self._output: Store = LocalStore(Path(folder + slash))
        else:
            self._output = open_store(self.spec.output, cfg.parent, _STORAGE, speaking)

    @property
    def secrets(self) -> Iterator[str | None]:
        """What must never be written anywhere."""
        yield from self._input.secrets
        yield from self._output.secrets
        for receiver in self.spec.notify:
            yield receiver.token
            yield from url_secrets(receiver.url)
        for mark in self.spec.mixer.watermarks:
            if isinstance(mark, ImageWatermark):
                yield from url_secrets(mark.source)

    def plan(self, progress: Progress, scratch: TemporaryPaths) -> RenderPlan:
        """What would be made."""
        with self._executor() as executor:
            self._equip(executor)
            return self._prepare(self._intake(executor, progress, _temporary(scratch)), progress)[0].plan

    def preview(self, t: Fraction, png: Path, progress: Progress, scratch: TemporaryPaths) -> None:
        """Draw the frame on screen at output time ``t`` into a PNG file.

        Raises:
            SpecError: the output has no picture, or none at ``t``.
            DestinationError: the file cannot be written.
        """
        with self._executor() as executor:
            if self._options.device.startswith("cuda"):
                self._announcer.warn(f"--device {self._options.device} is for jobs: a preview is drawn on the CPU")
            setup, stock = self._prepare(self._intake(executor, progress, _temporary(scratch)), progress)
            picture = setup.plan.picture
            if picture is None:
                raise SpecError(
                    Problem("Data.RecordingConfig.MediaChannel", "there is no picture to preview: write 2 or 3")
                )
            number = picture.clock.index(t)
            if not 0 <= number < picture.frames:
                end = timecode(setup.plan.duration_s)
                raise SpecError(Problem("", f"the output ends at {end}: choose a time before"))
            uses = source_usage(setup.plan, [range(number, number + 1)], sound=False)
            with stock.supply(uses) as supply:
                if size_bytes := supply.missing_bytes:
                    progress.stage("fetching", Fraction(size_bytes), "bytes")
                supply.wait(uses, lambda missing: progress.advance(Fraction(size_bytes - missing)))
                for source, error in supply.failed().items():
                    setup.complain(f"{setup.plan.sources[source].key} is left out: {error}", self._announcer.warn)
            progress.stage("drawing", None)
            for outcome in executor.run([StillTask(setup, number, png.absolute())]):
                require_value(outcome)

    def run(self, progress: Progress, scratch: TemporaryPaths) -> dict[str, Any]:
        """Make the output, put it in its place, and tell the receivers of callbacks; returns the report.

        Raises:
            MixError: of any kind.
        """
        final = self._output.address(self.spec.output_key)
        with (
            lock_job(self.spec.job_id),
            self._announcer.run(state_folder() / "outbox", final),
            open_work_folder(state_folder() / "work", self.spec.job_id, self._settings.work.days) as work,
            self._executor() as executor,
        ):
            scratch.add(work / "tracks")
            if self._options.fresh:
                shutil.rmtree(work / "chunks", ignore_errors=True)
            with self._timed("planning"):
                self._equip(executor)
                intake = self._intake(executor, progress, work / "inputs")
                staged = scratch.add(self._output.stage(self.spec.output_key, self.spec.job_id, work / "tracks"))
                setup, stock = self._prepare(intake, progress)
            self._announcer.plan(setup.plan)
            images = {name: digest(array.read_bytes()) for name, array in setup.images.items()}
            inputs = Inputs([_version(path, work / "inputs") for path in setup.paths], images)
            shelf = ChunkCache(work / "chunks")
            kept_bytes = shelf.size_bytes(track_keys(setup.plan, inputs))
            check_room(setup.plan, work, staged.parent, kept_bytes)
            workers = self._options.workers or available_cores()
            output_bytes = expected_bytes(setup.plan)
            stock = stock.leaving(max(output_bytes, 2 * output_bytes - kept_bytes))
            workshop = Workshop(
                stock, executor, workers, max(1, available_cores() // workers), shelf, bench=work / "tracks"
            )
            with self._timed("composing"):
                product = Production(setup, inputs, workshop, self._announcer).make(staged, progress)
            reports = list(self._inputs(product))
            for message in (message for job_result in reports for message in job_result.damages()):
                self._announcer.warn_damaged(message)
            with self._timed("publishing"):
                progress.stage("publishing", Fraction(staged.stat().st_size), "bytes")
                address = self._output.commit(
                    staged, self.spec.output_key, lambda sent: progress.advance(Fraction(sent))
                )
            scratch.discard(staged)
            shutil.rmtree(work, ignore_errors=True)
            self._announcer.finish(address)
        return self._report(product, reports, address)

    def _equip(self, executor: WorkerPool) -> None:
        """Find out what composes; with sound alone nothing does."""
        if self.spec.video:
            self._render_device = choose_device(executor, self._options.device, self._settings.gpu.memory_mib << 20)

    def _intake(self, executor: WorkerPool, progress: Progress, folder: Path) -> Intake:
        """The index, read; what is fetched will go into ``folder``."""
        progress.stage("reading", None)
        return Intake(
            self.spec, self._settings, self._input, executor, folder, self._options.index or self.spec.index_key
        )

    def _prepare(self, intake: Intake, progress: Progress) -> tuple[RenderSetup, Stock]:
        """Everything up to the first pixel; not all that is in stock has to be here."""
        index, warn = intake.index, self._announcer.warn
        if index.job_id and index.job_id != self.spec.job_id:
            warn(f"the index is of the job {index.job_id}, not of {self.spec.job_id}")
        for warning in check_streams(self.spec, index):
            warn(warning)
        streams, beyond = subscribed(self.spec, index)
        if beyond:
            names = ", ".join(map(str, beyond))
            limit = self.spec.subscription.max_streams
            warn(f"streams beyond MaxSubscriptions ({limit}) are left out: {names}", WarnCode.STREAMS_BEYOND_LIMIT)
        files = [file for file in index.files if file.stream in streams]
        if not files:
            raise InputError("the index has no recording of a stream that is subscribed: see Data.SubscribeConfig")
        self._check_output_key(intake)
        footage = intake.footage(files, progress)
        reasons = [f"{key} is left out: {reason}" for key, reason in footage.left_out]
        if reasons and (self._options.strict or not footage.clips):
            raise InputError("\n".join(reasons if footage.clips else [*reasons, "no recording is left"]))
        for reason in reasons:
            warn(reason)
        self._probes = footage.probes
        images = intake.images(lambda message: warn(message, WarnCode.WATERMARK_LEFT_OUT))
        plan = make_plan(self.spec, index, footage.clips, self._settings.planning, footage.left_out)
        plan = with_fonts(plan, self._settings.text.fonts, warn)
        for warning in (*plan.warnings, *missing_glyph_warnings(plan.picture)):
            warn(warning)
        render_device = within_gpu_limits(plan, self._render_device)
        if render_device != self._render_device:
            self._render_device = render_device
            warn(f"the picture is composed on the CPU: {render_device.why}")
        plan = with_device(replace(plan, warnings=tuple(self._announcer.warnings)), self.spec, render_device)
        stock = footage.stock
        paths = [ware.copy.path for ware in stock.wares]
        return RenderSetup(plan, paths, images, self._options.strict, self._render_device), stock

    def _check_output_key(self, intake: Intake) -> None:
        """The output must not overwrite the index or any recording, used or not."""
        output = self._output.identity(self.spec.output_key)
        inputs = [file.key for file in intake.index.files] + ([intake.index_key] if intake.index_key else [])
        if any(self._input.identity(key) == output for key in inputs):
            where = "" if self._options.output else _PREFIX
            name = "--output" if self._options.output else "it"
            raise SpecError(
                Problem(where, f"{name} names {self.spec.output_key}, an input of this job: choose another")
            )

    def _executor(self) -> WorkerPool:
        return start_workers(self._settings, self._announcer.warn_damaged, self._options.workers)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._seconds[stage] = round(time.monotonic() - start, 3)

    def _inputs(self, product: ProductionResult) -> Iterator[InputReport]:
        """What became of each input."""
        for number, source in enumerate(product.plan.sources):
            if number in product.lost:
                yield InputReport(source.key, left_out=product.lost[number])
                continue
            probe = replace(self._probes[number], seen=product.seen.get(number, DecodeStats()))
            if source.audio and source.audio.packet_samples:  # nobody has decoded it to its end before
                heard = probe.sound_damage.joined(product.heard.get(number, Damage()))
                probe = replace(probe, sound_damage=heard)
            yield report_input(source.key, probe, use_of(product.plan, number))
        for key, reason in product.plan.left_out:
            yield InputReport(key, left_out=reason)

    def _report(self, product: ProductionResult, inputs: Sequence[InputReport], address: str) -> dict[str, Any]:
        return job_result(product, inputs, address, self._render_device) | {
            "warnings": self._announcer.warnings,
            "seconds": self._seconds,
        }


def resend(job_id: str, settings: Settings) -> dict[str, Any]:
    """Deliver the callbacks that earlier runs of a job left; returns how many were sent, and how many are left.

    Raises:
        SpecError: the job is running.
    """
    # Imported here, since other runs need not wait for the HTTP library to load.
    from owtmix.notify.notifier import SenderOptions  # noqa: PLC0415
    from owtmix.notify.notifier import resend as send_again  # noqa: PLC0415

    with lock_job(job_id):
        sending = SenderOptions(settings.network.allow, settings.callbacks.signing_key)
        sent, left = send_again(job_id, state_folder() / "outbox", sending, settings.callbacks.wait_s)
    return {"job_id": job_id, "sent": sent, "left": left}


def _version(path: Path, fetched: Path) -> str:
    """What changes when a recording does; the names of those that were ``fetched`` already tell versions apart."""
    if path.is_relative_to(fetched):
        return path.name
    state = path.stat()
    return f"{path} {state.st_size} {state.st_mtime_ns}"


def _temporary(scratch: TemporaryPaths) -> Path:
    return scratch.add(Path(tempfile.mkdtemp(prefix="owtmix-")))


def _read(cfg: Path) -> bytes:
    """The job file, as far as one may be long.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        if cfg.exists() and not cfg.is_file():
            raise SpecError(Problem("", "the job file is not a file"))
        with cfg.open("rb") as file:
            return file.read(MAX_JOB_BYTES + 1)
    except OSError as error:
        raise SpecError(Problem("", f"the job file cannot be read: {error.strerror}")) from None
