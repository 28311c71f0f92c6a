"""Download an object to a file. An interrupted download is resumed, also by a later run."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from owtmix.base.errors import InputError
from owtmix.base.own_files import own_file
from owtmix.storage.base import disk_error
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.errors import StoreFailure, broken_off
from owtmix.storage.s3.objects import ObjectStream, find_object

_BLOCK_BYTES: Final = 256 * 1024
_VERSION_DIGITS: Final = 16
_PROGRESS_BYTES: Final = 8 * 1024 * 1024
"""After an attempt that brought this much, attempts are counted anew: a large file over a bad connection arrives."""


def download(
    bucket: BucketClient,
    key: str,
    path: Path,
    size: int,
    on_progress: Callable[[int], None],
    etag: str | None = None,
) -> None:
    """Download the object ``key`` to ``path``. The file appears when it is complete.

    Until then the bytes are in ``.<name>.<version>.part`` in the same folder. A later call resumes there when the
    object has the same version, and starts anew when it changed.

    Args:
        bucket: The bucket.
        key: Key of the object.
        path: The file; its folder exists.
        size: Expected size of the object in bytes.
        on_progress: Called with the number of bytes that are there.
        etag: The version to download; None for any.

    Raises:
        InputError: The object does not exist, or has another size or version.
        StoreFailure: The object cannot be read.
        DestinationError: The file cannot be written.
    """
    try:
        while not bucket.retry(lambda: _attempt(bucket, key, path, size, on_progress, etag)):
            pass
    except OSError as error:  # of the disk; those of the network are failures of the store
        raise disk_error(path.parent, error) from None


def _attempt(
    bucket: BucketClient, key: str, path: Path, size: int, on_progress: Callable[[int], None], etag: str | None
) -> bool:
    """Download what is missing. False when the connection broke after ``_PROGRESS_BYTES`` or more had arrived."""
    found = find_object(bucket, key)
    if found is None:
        raise InputError("does not exist")
    if found.size != size:
        message = f"has {found.size:,} bytes now and had {size:,} before: run the job when nothing writes to it"
        raise InputError(message)
    if etag not in {None, found.etag}:
        raise InputError("changed since it was measured: run the job when nothing writes to it")
    partial = partial_file(path, found.etag)
    for other in path.parent.glob(f".{glob.escape(path.name)}.{'?' * _VERSION_DIGITS}.part"):
        if other != partial:
            other.unlink(missing_ok=True)
    begin = partial.stat().st_size if partial.exists() else 0
    try:
        with open(partial, "ab", opener=own_file) as file:
            _fill(bucket, key, found.etag, file, size, on_progress)
        partial.replace(path)
    except StoreFailure as failure:
        if failure.is_missing:  # deleted after find_object
            raise InputError("does not exist") from None
        if failure.transient and partial.stat().st_size - begin >= _PROGRESS_BYTES:
            return False
        raise
    return True


def partial_file(path: Path, etag: str) -> Path:
    """Return the path of the unfinished download to ``path`` of the version ``etag``."""
    version = hashlib.sha256(etag.encode()).hexdigest()[:_VERSION_DIGITS]
    return path.with_name(f".{path.name}.{version}.part")


def _fill(
    bucket: BucketClient, key: str, etag: str, file: BinaryIO, size: int, on_progress: Callable[[int], None]
) -> None:
    """Append the missing bytes to ``file``."""
    have = os.fstat(file.fileno()).st_size
    if have > size:
        file.truncate(have := 0)
    on_progress(have)
    if have == size:
        return
    with ObjectStream(bucket, key, f"{have}-", etag) as stream:
        if stream.info.etag != etag or stream.start > have:
            # Not every service supports If-Match and ranges.
            message = "changed while it was read: run the job when nothing writes to it"
            raise StoreFailure(message, transient=True).about(bucket.address(key))
        if stream.start < have:
            file.truncate(have := stream.start)
        while block := stream.read(min(_BLOCK_BYTES, size - have)):
            file.write(block)
            have += len(block)
            on_progress(have)
    file.flush()
    if have < size:
        raise broken_off(bucket.address(key))
