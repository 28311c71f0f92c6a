"""An S3-compatible bucket as a job's store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from owtmix.errors import InputError, StoreError
from owtmix.spec.job import StorageSpec
from owtmix.storage.credentials import find_credentials
from owtmix.storage.s3 import S3Options, S3Store


class RemoteStore:
    """Objects come as files with names made here; the output goes up whole."""

    def __init__(self, spec: StorageSpec, options: S3Options, at: str) -> None:
        credentials = find_credentials(spec, at)
        self._bucket = S3Store(spec, options, at, credentials)
        self.secrets: Final = (credentials.key_id, credentials.secret_key, credentials.session_token)

    def address(self, key: str) -> str:
        return self._bucket.address(key)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        return self._bucket.read(key, max_bytes)

    def fetch(self, key: str, folder: Path) -> Path:
        path = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        try:
            size = self._bucket.stat(key)
            if size is not None and not (path.is_file() and path.stat().st_size == size):
                self._bucket.download(key, path, size, _ignore)
        except InputError as error:
            raise StoreError(str(error)) from None
        if size is None:
            raise InputError("does not exist")
        return path

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        self._bucket.sweep_uploads(key)
        return folder / f"{job_id}{PurePosixPath(key).suffix}"

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        self._bucket.upload(staged, key, on_progress)
        return self.address(key)


def _ignore(_: int) -> None:
    pass
