"""Where recordings come from and the output goes."""

from __future__ import annotations

from pathlib import Path

from owtmix.spec.job import StorageSpec
from owtmix.storage.base import Copy, Store, unwritable
from owtmix.storage.local import LocalStore
from owtmix.storage.s3.options import S3Options

__all__ = ["Copy", "LocalStore", "S3Options", "Store", "open_store", "unwritable"]


def open_store(spec: StorageSpec, base: Path, at: str, options: S3Options) -> Store:
    """The store that a job names.

    Args:
        spec: the store; a local one is relative to ``base``.
        base: the job file's folder.
        at: the JSON path of its ``StorageConfig``, for messages.
        options: how a service is spoken to.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` cannot be right, or there is no key.
    """
    if spec.vendor == "local":
        return LocalStore(base / spec.bucket)
    # Imported here, since a job of local files need not wait for the S3 library to load.
    from owtmix.storage.remote import RemoteStore  # noqa: PLC0415

    return RemoteStore(spec, options, at)
