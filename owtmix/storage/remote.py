"""An S3-compatible bucket as a job's store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from owtmix.errors import InputError
from owtmix.spec.job import StorageSpec
from owtmix.storage.base import Copy
from owtmix.storage.s3.credentials import find_credentials
from owtmix.storage.s3.download import partial_file
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store


class RemoteStore:
    """Objects come as files with names made here; the output goes up whole."""

    def __init__(self, spec: StorageSpec, options: S3Options, at: str) -> None:
        credentials = find_credentials(spec, at)
        self._bucket = S3Store(spec, options, at, credentials)
        self.secrets: Final = (credentials.key_id, credentials.secret_key, credentials.session_token)

    def address(self, key: str) -> str:
        return self._bucket.address(key)

    def identity(self, key: str) -> str:
        return self.address(key)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        return self._bucket.read(key, max_bytes)

    def locate(self, key: str, folder: Path) -> Copy:
        found = self._bucket.stat(key)
        if found is None:
            raise InputError("does not exist")
        # The name tells versions apart: what an earlier run fetched may not be any more what is there.
        path = folder / hashlib.sha256(f"{found.etag}\0{key}".encode()).hexdigest()[:32]
        sizes = (file.stat().st_size for file in (path, partial_file(path, found.etag)) if file.is_file())
        return Copy(path, found.size, next(sizes, 0), found.etag or None)

    def read_part(self, key: str, copy: Copy, start: int, length: int) -> bytes | None:
        return self._bucket.read_range(key, start, length, copy.version)

    def fetch(self, key: str, copy: Copy, on_progress: Callable[[int], None]) -> None:
        self._bucket.download(key, copy.path, copy.size_bytes, on_progress, copy.version)

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        self._bucket.sweep_uploads(key)
        return folder / f"{job_id}{PurePosixPath(key).suffix}"

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        self._bucket.upload(staged, key, on_progress)
        return self.address(key)
