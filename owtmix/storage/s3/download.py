"""Download an object to a file. An interrupted download is resumed, also by a later run."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from owtmix.base.errors import InputError
from owtmix.base.own_files import own_file
from owtmix.storage.base import disk_error
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.errors import StoreFailure, broken_off
from owtmix.storage.s3.objects import ObjectInfo, ObjectStream, find_object

_BLOCK_BYTES: Final = 256 * 1024
_VERSION_DIGITS: Final = 16
_PROGRESS_BYTES: Final = 8 * 1024 * 1024
"""After an attempt that got so much further than all before, attempts are counted anew: large files arrive, too."""


def download(
    bucket: BucketClient,
    key: str,
    path: Path,
    size: int,
    on_progress: Callable[[int], None],
    version: str | None = None,
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
        version: The version to download; None for any.

    Raises:
        InputError: The object does not exist, or has another size or version.
        StoreFailure: The object cannot be read.
        DestinationError: The file cannot be written.
    """
    running = _Download(bucket, key, path, size, on_progress, version)
    try:
        while not bucket.retry(running.attempt):
            pass
    except OSError as error:  # of the disk; those of the network are failures of the store
        raise disk_error(path.parent, error) from None


@dataclass(slots=True)
class _Download:
    """A download. ``furthest`` is the number of bytes that were ever there.

    Only what comes behind them is progress: a store that ignores ranges begins anew again and again.
    """

    bucket: BucketClient
    key: str
    path: Path
    size: int
    on_progress: Callable[[int], None]
    version: str | None
    furthest: int = 0

    def attempt(self) -> bool:
        """Download what is missing. False when the connection broke after progress of ``_PROGRESS_BYTES`` or more."""
        found = self._find()
        partial = partial_file(self.path, found.version)
        for other in self.path.parent.glob(f".{glob.escape(self.path.name)}.{'?' * _VERSION_DIGITS}.part"):
            if other != partial:
                other.unlink(missing_ok=True)
        reached = self.furthest
        try:
            with open(partial, "ab", opener=own_file) as file:
                have = os.fstat(file.fileno()).st_size
                reached = max(reached, have if have <= self.size else 0)
                self._fill(file, found.version)
            self._place(partial)
        except StoreFailure as failure:
            if failure.is_missing:  # deleted after it was found
                raise InputError("does not exist") from None
            if failure.transient and self.furthest - reached >= _PROGRESS_BYTES:
                return False
            raise
        return True

    def _find(self) -> ObjectInfo:
        """The object as it is now.

        Raises:
            InputError: It does not exist, or has another size or version.
        """
        found = find_object(self.bucket, self.key)
        if found is None:
            raise InputError("does not exist")
        if found.size != self.size:
            message = (
                f"has {found.size:,} bytes now and had {self.size:,} before: run the job when nothing writes to it"
            )
            raise InputError(message)
        if self.version not in {None, found.version}:
            raise InputError("changed since it was measured: run the job when nothing writes to it")
        return found

    def _fill(self, file: BinaryIO, version: str) -> None:
        """Append the missing bytes to ``file``."""
        have = os.fstat(file.fileno()).st_size
        if have > self.size:
            file.truncate(have := 0)
        self._advance(have)
        if have == self.size:
            return
        with ObjectStream(self.bucket, self.key, f"{have}-", version) as stream:
            if stream.info.version != version or stream.start > have:
                # Not every service supports If-Match and ranges.
                message = "changed while it was read: run the job when nothing writes to it"
                raise StoreFailure(message, transient=True).about(self.bucket.address(self.key))
            if stream.start < have:
                file.truncate(have := stream.start)
            while block := stream.read(min(_BLOCK_BYTES, self.size - have)):
                file.write(block)
                have += len(block)
                self._advance(have)
        file.flush()
        if have < self.size:
            raise broken_off(self.bucket.address(self.key))

    def _advance(self, have: int) -> None:
        self.furthest = max(self.furthest, have)
        self.on_progress(have)

    def _place(self, partial: Path) -> None:
        """Give the complete file its name. One that vanished meanwhile is fetched again.

        Raises:
            StoreFailure: It is not there any more.
            OSError: The disk does not take it, or the folder is gone.
        """
        try:
            partial.replace(self.path)
        except FileNotFoundError:
            self.path.parent.stat()
            address = self.bucket.address(self.key)
            raise StoreFailure(
                f"{address}: its unfinished file was removed: run the job again", transient=True
            ) from None


def partial_file(path: Path, version: str) -> Path:
    """Return the path of the unfinished download to ``path`` of ``version``."""
    digits = hashlib.sha256(version.encode()).hexdigest()[:_VERSION_DIGITS]
    return path.with_name(f".{path.name}.{digits}.part")
