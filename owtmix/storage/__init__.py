"""Where recordings come from and where the output goes: a local folder, or a bucket of an S3 service.

``open_store`` opens the store that a job file names; whoever uses it knows only the protocol ``Store`` of ``base``.
``local`` is the store in a folder, ``s3`` the one behind the S3 protocol. The package knows the job's ``StorageSpec``
and the errors of owtmix. It does not know what the objects contain: index, recordings and output are files with keys.
It is used by ``jobs`` and ``inputs``.

Importing this package does not import boto3, which takes a quarter of a second; opening a store of vendor ``ucloud``
or ``s3`` does.
"""

from __future__ import annotations

from pathlib import Path

from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.base import LocalCopy, Store, disk_error
from owtmix.storage.local import LocalStore
from owtmix.storage.s3.options import S3Options

__all__ = ["LocalCopy", "LocalStore", "S3Options", "Store", "disk_error", "open_store"]


def open_store(spec: StorageSpec, base: Path, at: str, options: S3Options) -> Store:
    """Open the store that a job names.

    Args:
        spec: The store; the folder of a local one is relative to ``base``.
        base: The folder of the job file.
        at: The JSON path of the store's ``StorageConfig``, for messages.
        options: Connection settings of an S3 store.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` is not valid, or there is no key.
    """
    if spec.vendor == "local":
        return LocalStore(base / spec.bucket)
    # Imported here: a job with local files does not load boto3.
    from owtmix.storage.s3.store import S3Store  # noqa: PLC0415

    return S3Store(spec, options, at)
