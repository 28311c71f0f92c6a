"""A job as it was requested: its job file, read and checked, its options, and its stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError, UnreadableError
from owtmix.base.ids import is_job_id
from owtmix.base.named_file import read_named_file, unfit_path
from owtmix.inputs.gather import is_local_path
from owtmix.jobfile.bounds import MAX_JOB_BYTES
from owtmix.jobfile.job_id import job_id_in
from owtmix.jobfile.object_key import output_pattern, substituted_key
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import JobSpec, url_secrets
from owtmix.jobs.options import Options
from owtmix.storage import LocalStore, S3Options, Store, is_staged_name, open_store

_STORAGE: Final = "Data.RecordingConfig.StorageConfig"
PREFIX: Final = f"{_STORAGE}.FileNamePrefix"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A checked job. The ``output_key`` of its ``spec`` and its ``settings`` follow the options."""

    job_file: Path
    spec: JobSpec
    options: Options
    settings: Settings
    input: Store
    output: Store

    @property
    def secrets(self) -> Iterator[str | None]:
        """What must never be written anywhere."""
        yield from self.input.secrets
        yield from self.output.secrets
        for receiver in self.spec.notify:
            yield receiver.token
            yield from url_secrets(receiver.url)
        for mark in self.spec.images:
            yield from url_secrets(mark.source)


def read_request(job_file: Path, settings: Settings, options: Options, uploads: Path | None = None) -> JobRequest:
    """Read a job file. ``uploads`` is the folder in which unfinished uploads are kept.

    Raises:
        SpecError: it is missing or wrong, or an option is.
    """
    spec = read_job(_read(job_file), options.overrides)
    s3 = s3_options(settings, uploads)
    folder, roots = job_file.parent, settings.local.roots
    input_at = _STORAGE if spec.input == spec.output else "Data.InputConfig.StorageConfig"
    key = _output_key(spec, options.output)
    _check_paths(spec, options, folder.absolute(), input_at, key)
    input_store = open_store(spec.input, folder, input_at, s3, roots)
    if options.output and is_local_path(options.output):
        output_store: Store = LocalStore(Path(options.output).parent)
    else:
        output_store = open_store(spec.output, folder, _STORAGE, s3, roots)
    if isinstance(output_store, LocalStore):
        _check_name("--output" if options.output else PREFIX, key.rpartition("/")[2])
    return JobRequest(
        job_file=job_file,
        spec=replace(
            spec,
            output_key=key,
            warnings=tuple(w for w in spec.warnings if not (options.output and w.path == PREFIX)),
        ),
        options=options,
        settings=settings.with_chunk_s(options.chunk_s) if options.chunk_s else settings,
        input=input_store,
        output=output_store,
    )


def s3_options(settings: Settings, uploads: Path | None = None) -> S3Options:
    """How S3 stores are connected to; ``uploads`` is the folder for what is known of unfinished uploads."""
    return S3Options(
        internal=settings.storage.ucloud_internal,
        attempts=settings.storage.attempts,
        read_timeout_s=settings.storage.silence_s,
        allowed=settings.network.allow,
        own_endpoints=settings.storage.own_endpoints,
        uploads=uploads,
    )


def readable_job_id(job_file: Path, options: Options) -> str | None:
    """The job id of a job that is wrong otherwise; None where it cannot be read."""
    given = options.overrides.get("Internal.JobId", "")
    if is_job_id(given):
        return given
    try:
        return job_id_in(_read(job_file))
    except SpecError:
        return None


def _check_paths(spec: JobSpec, options: Options, folder: Path, input_at: str, key: str) -> None:
    """Check the paths in local folders that a job in ``folder`` names.

    Raises:
        SpecError: no file can have one of them.
    """
    paths: list[tuple[str, str]] = []
    if spec.output.vendor == "local":
        paths.append((f"{_STORAGE}.Bucket", spec.output.bucket))
    if spec.input.vendor == "local":
        paths.append((f"{input_at}.Bucket", spec.input.bucket))
        if spec.index_key:
            paths.append(("Data.InputConfig.Index", f"{spec.input.bucket}/{spec.index_key}"))
        if options.index:
            paths.append(("--index", options.index))
    if options.output and is_local_path(options.output):
        paths.append(("--output", f"{Path(options.output).parent}/{key}"))
    elif spec.output.vendor == "local":
        paths.append(("--output" if options.output else PREFIX, f"{spec.output.bucket}/{key}"))
    if options.index and is_local_path(options.index):
        paths.append(("--index", options.index))
    for where, path in paths:  # a folder before what is in it
        if problem := unfit_path(f"{folder}/{path}"):
            raise SpecError(Problem(where, problem))


def _check_name(where: str, name: str) -> None:
    """Check that no run takes an output for what another one left.

    Raises:
        SpecError: some would.
    """
    if is_staged_name(name):
        raise SpecError(Problem(where, f"{name} is a name of unfinished files, which runs remove: choose another"))


def _output_key(spec: JobSpec, option: str | None) -> str:
    """The key of the output: of the job file, or of ``--output``, by the same rules."""
    if not option:
        return spec.output_key
    name = option.rpartition("/")[2] if is_local_path(option) else option
    pattern, unfit = output_pattern(name, spec.extensions)
    if unfit:
        fitting = " or ".join(f".{extension}" for extension in spec.extensions)
        raise SpecError(Problem("--output", f".{unfit} does not fit this output; {fitting} does"))
    try:
        return substituted_key(pattern, job_id=spec.job_id, room_id=spec.room_id, app_id=spec.app_id)
    except ValueError as error:
        raise SpecError(Problem("--output", str(error))) from None


def _read(job_file: Path) -> bytes:
    """The bytes of the job file, as many as one may have.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        return read_named_file(job_file, MAX_JOB_BYTES)
    except OSError as error:
        raise UnreadableError(Problem("", f"the job file cannot be read: {error.strerror}")) from None
