"""Where recordings come from and the output goes."""

from __future__ import annotations

from pathlib import Path

from owtmix.spec.job import StorageSpec
from owtmix.storage.base import Store
from owtmix.storage.local import LocalStore

__all__ = ["LocalStore", "Store", "open_store"]


def open_store(spec: StorageSpec, base: Path, at: str, *, internal: bool) -> Store:
    """The store that a job names.

    Args:
        spec: the store; a local one is relative to ``base``.
        base: the job file's folder.
        at: the JSON path of its ``StorageConfig``, for messages.
        internal: whether UFile is reached from inside the vendor's network.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` cannot be right, or there is no key.
    """
    if spec.vendor == "local":
        return LocalStore(base / spec.bucket)
    # Imported here, since a job of local files need not wait for the S3 library to load.
    from owtmix.storage.remote import RemoteStore  # noqa: PLC0415
    from owtmix.storage.s3 import S3Options  # noqa: PLC0415

    return RemoteStore(spec, S3Options(internal=internal), at)
