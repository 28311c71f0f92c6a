"""Keeps the output from replacing what the job reads: its recordings, index, updates, images, job file and settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.inputs.gather import is_local_path
from owtmix.inputs.updates_file import FoundUpdates
from owtmix.jobfile.object_key import forms
from owtmix.jobfile.settings_file import settings_file
from owtmix.jobfile.spec import ImageWatermark
from owtmix.jobs.request import PREFIX, JobRequest
from owtmix.jobs.state import STATE_FOLDERS
from owtmix.storage import LocalStore

_NOT_KEYS: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class OverwriteGuard:
    """What must not be replaced: ``keys`` of the input store, and local ``files``."""

    request: JobRequest
    keys: Sequence[str]
    files: Sequence[Path]

    def check(self) -> None:
        """Check what publishing the output replaces or removes: the output itself, and what killed runs left beside it.

        Files are compared as they are now, so this is done before anything is made and again before the end.

        Raises:
            SpecError: one of them is what the job reads, under whatever name.
        """
        request = self.request
        kept = self._kept()
        for key in request.output.replaced(request.spec.output_key, request.spec.job_id):
            if not kept.isdisjoint(request.output.places(key)):
                where = "" if request.options.output else PREFIX
                name = "--output" if request.options.output else "it"
                raise SpecError(Problem(where, f"{name} would replace {key}, an input of this job: choose another"))

    def check_file(self, file: Path) -> None:
        """Check that a local file that is to be written is none of them, and no pipe or device.

        Raises:
            SpecError: it is.
        """
        if not self._kept().isdisjoint(LocalStore(file.parent).places(file.name)):
            raise SpecError(Problem("", f"{file} is an input of this job: choose another file"))
        if file.exists() and not file.is_file():
            raise SpecError(Problem("", f"{file} is there, and is no file: choose another"))

    def _kept(self) -> AbstractSet[str]:
        """The places of all of them."""
        kept = {place for key in self.keys for form in forms(key) for place in self.request.input.places(form)}
        return kept | {place for file in self.files for place in LocalStore(file.parent).places(file.name)}


def refuse_state(request: JobRequest, state: Path, keys: Sequence[str]) -> None:
    """Check that nothing of the job lies among the state of jobs: runs remove what they find there.

    ``keys`` are those of its inputs, in the input store.

    Raises:
        SpecError: the output, an input or the index does.
    """
    own = [Path(os.path.realpath(state / name)) for name in STATE_FOLDERS]

    def check(where: str, path: str) -> Path:
        found = Path(os.path.realpath(path))
        if any(found.is_relative_to(folder) for folder in own):
            raise SpecError(Problem(where, f"{found} lies where runs keep and remove their own files: choose another"))
        return found

    options = request.options
    if isinstance(request.output, LocalStore):
        check("--output" if options.output else PREFIX, request.output.address(request.spec.output_key))
    if options.index and is_local_path(options.index):
        check("--index", options.index)
    if isinstance(request.input, LocalStore):
        bucket = "Data.InputConfig.StorageConfig.Bucket"
        root = check(bucket, request.input.address("."))
        if any(folder.is_relative_to(root) for folder in own):
            for key in keys:
                check(bucket, request.input.address(key))


def guard_inputs(
    request: JobRequest,
    images: Iterable[ImageWatermark],
    recordings: Sequence[str],
    index: str | None,
    updates: FoundUpdates | None = None,
) -> OverwriteGuard:
    """The guard of a job.

    Args:
        request: The job.
        images: The watermark images that it ever shows.
        recordings: The keys of all recordings of the index, used or not.
        index: The key of the index itself; None when it is a file that the command line names.
        updates: Where the updates of the room were found.
    """
    keys = [*recordings, *(mark.source for mark in images if not mark.source.startswith(_NOT_KEYS))]
    files = [request.job_file, settings_file()]
    if index:
        keys.append(index)
    elif request.options.index:
        files.append(Path(request.options.index))
    if updates:
        keys += filter(None, [updates.key])
        files += filter(None, [updates.file])
    return OverwriteGuard(request, keys, files)
