"""Checks the store of a job before anything is recorded: what the recorder would refuse when all is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.jobfile.object_key import normal_key, substituted_key
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import S3Options, open_store
from owtmix.storage.s3.endpoint import check_bucket, endpoint_url

_AT: Final = "Data.RecordingConfig.StorageConfig"
_LONGEST_NAME: Final = 200
"""In bytes, of a file that the recorder makes."""
_LONGEST_SEGMENT: Final = 255
"""In bytes, of a name in a folder."""


def store_check(settings: Settings) -> Callable[[StorageSpec], None]:
    """A check that raises ``SpecError`` where a store is none, or a folder that no caller may name."""
    roots, options = settings.local.roots, S3Options(internal=settings.storage.ucloud_internal)

    def check(spec: StorageSpec) -> None:
        if spec.vendor != "local":
            endpoint_url(spec, options, _AT)
            check_bucket(spec, _AT)
            return
        if not roots:
            raise SpecError(Problem(f"{_AT}.Vendor", "local stores are only accepted below [local] roots"))
        open_store(spec, Path("/"), _AT, options, roots)

    return check


def check_folder(prefix: str, *, is_local: bool, job_id: str, room_id: str, app_id: str) -> None:
    """Check the folder of a room's files in its store, which ``FileNamePrefix`` is.

    Raises:
        SpecError: it is none, or no file in it can have a key.
    """
    if not prefix.strip("/"):
        return
    try:
        folder = substituted_key(prefix, job_id=job_id, room_id=room_id, app_id=app_id)
        normal_key(f"{folder}/{'x' * _LONGEST_NAME}")
    except ValueError as error:
        message = f"it is the folder of the room, whose files have longer keys: {error}"
        raise SpecError(Problem(f"{_AT}.FileNamePrefix", message)) from None
    if is_local and max(len(segment.encode()) for segment in folder.split("/")) > _LONGEST_SEGMENT:
        raise SpecError(Problem(f"{_AT}.FileNamePrefix", f"a folder has at most {_LONGEST_SEGMENT} bytes"))
