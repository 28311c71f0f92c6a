"""Downloading an object into a file, going on where the last attempt or the last run stopped."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from owtmix.errors import InputError
from owtmix.storage.base import unwritable
from owtmix.storage.s3.client import Bucket
from owtmix.storage.s3.errors import StoreFailure, broken_off
from owtmix.storage.s3.objects import ObjectStream, find_object

_BLOCK_BYTES: Final = 256 * 1024
_VERSION_DIGITS: Final = 16
_WORTH_BYTES: Final = 8 * 1024 * 1024
"""An attempt that brought this much does not count: a large file over a bad line still arrives."""


def download(
    bucket: Bucket,
    key: str,
    path: Path,
    size: int,
    on_progress: Callable[[int], None],
    etag: str | None = None,
) -> None:
    """Make the object the file ``path``, which appears when it is complete.

    What has arrived lies beside it in ``.<name>.<version>.part``; a later call goes on there when the object is still
    the same, and starts anew when it changed.

    Args:
        bucket: Where the object is.
        key: Which one.
        path: The file; its folder exists.
        size: What the object is expected to have, in bytes.
        on_progress: Told how many bytes there are.
        etag: The only version that will do; None for any.

    Raises:
        InputError: There is none, or it has another size, or is another version.
        StoreFailure: It cannot be had.
        DestinationError: The file cannot be written.
    """
    while not bucket.persist(lambda: _attempt(bucket, key, path, size, on_progress, etag)):
        pass


def _attempt(
    bucket: Bucket, key: str, path: Path, size: int, on_progress: Callable[[int], None], etag: str | None
) -> bool:
    """Fetch what is missing; returns whether it is complete now. False is a cut after a good deal had arrived."""
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
        with partial.open("ab") as file:
            _fill(bucket, key, found.etag, file, size, on_progress)
        partial.replace(path)
    except StoreFailure as failure:
        if failure.is_missing:  # it was there a moment ago
            raise InputError("does not exist") from None
        if failure.transient and partial.stat().st_size - begin >= _WORTH_BYTES:
            return False
        raise
    except OSError as error:
        raise unwritable(path.parent, error) from None
    return True


def partial_file(path: Path, etag: str) -> Path:
    """Where the version ``etag`` of an object is collected that will be ``path``."""
    version = hashlib.sha256(etag.encode()).hexdigest()[:_VERSION_DIGITS]
    return path.with_name(f".{path.name}.{version}.part")


def _fill(bucket: Bucket, key: str, etag: str, file: BinaryIO, size: int, on_progress: Callable[[int], None]) -> None:
    """Append to ``file`` what it lacks."""
    have = os.fstat(file.fileno()).st_size
    if have > size:
        file.truncate(have := 0)
    on_progress(have)
    if have == size:
        return
    with ObjectStream(bucket, key, f"{have}-", etag) as stream:
        if stream.info.etag != etag or stream.start > have:
            # Not every service knows conditions and ranges.
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
