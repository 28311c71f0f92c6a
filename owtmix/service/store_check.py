"""Checks the store of a job before anything is recorded: what the recorder would refuse when all is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import S3Options, open_store
from owtmix.storage.s3.endpoint import check_bucket, endpoint_url

_AT: Final = "Data.RecordingConfig.StorageConfig"


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
