"""Where recordings come from and where the output goes: a local folder, or a bucket of an S3 service.

``open_store`` opens the store that a job file names; whoever uses it knows only the protocol ``Store`` of ``base``.
``local`` is the store in a folder, ``s3`` the one behind the S3 protocol. The package knows the job's ``StorageSpec``
and the errors of owtmix. It does not know what the objects contain: index, recordings and output are files with keys.
It is used by ``jobs`` and ``inputs``.

Importing this package does not import boto3, which takes a quarter of a second; opening a store of vendor ``ucloud``
or ``s3`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from owtmix.base.errors import Problem, SpecError
from owtmix.storage.base import LocalCopy, Store, disk_error
from owtmix.storage.local import LocalStore
from owtmix.storage.s3.options import S3Options
from owtmix.storage.staged_files import is_staged_name
from owtmix.storage.versions import tells_content

if TYPE_CHECKING:  # workers, too, load this package
    from owtmix.jobfile.spec import StorageSpec

__all__ = [
    "LocalCopy",
    "LocalStore",
    "S3Options",
    "Store",
    "disk_error",
    "is_staged_name",
    "open_store",
    "tells_content",
]


def open_store(spec: StorageSpec, base: Path, at: str, options: S3Options, roots: Sequence[Path] = ()) -> Store:
    """Open the store that a job names.

    Args:
        spec: The store; the folder of a local one is relative to ``base``.
        base: The folder of the job file.
        at: The JSON path of the store's ``StorageConfig``, for messages.
        options: Connection settings of an S3 store.
        roots: Folders below which a local store may be; by default below ``base``.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` is not valid, there is no key, or the folder is not below a root.
    """
    if spec.vendor == "local":
        return _open_folder(spec.bucket, base, f"{at}.Bucket", roots or (base,))
    # Imported here: a job with local files does not load boto3.
    from owtmix.storage.s3.store import S3Store  # noqa: PLC0415

    return S3Store(spec, options, at)


def _open_folder(bucket: str, base: Path, at: str, roots: Sequence[Path]) -> LocalStore:
    """Open the folder that ``bucket`` names if, with links resolved, it is below one of ``roots``."""
    try:
        store = LocalStore((base / bucket).resolve())
        permitted = [root.resolve() for root in roots]
    except (OSError, RuntimeError, ValueError):  # a cycle of links, a NUL
        raise SpecError(Problem(at, "not the path of a folder")) from None
    if not any(store.root.is_relative_to(root) for root in permitted):
        below = " or ".join(map(str, permitted))
        raise SpecError(
            Problem(
                at, f"{store.root} is not below {below}: choose a folder there, or see [local] roots in conf/owt.toml"
            )
        )
    return store
