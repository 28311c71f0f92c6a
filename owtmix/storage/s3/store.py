"""An S3-compatible store: UFile/US3 and all others that speak the protocol.

What is read is checked by size, what is written appears whole or not at all. An ETag only tells whether an object is
still the one that a download began with: it is no checksum, and a byte that changes on the way without encryption
passes unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from owtmix.spec.job import StorageSpec
from owtmix.storage.s3.client import Bucket
from owtmix.storage.s3.credentials import Credentials, find_credentials
from owtmix.storage.s3.download import download
from owtmix.storage.s3.errors import reading, writing
from owtmix.storage.s3.objects import ObjectInfo, find_object, read_object, read_object_range
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.upload import sweep_uploads, upload

__all__ = ["S3Store"]


class S3Store:
    """A bucket. Every method may be called from any thread.

    A refusal is final at once; what may pass, such as an overloaded service or a broken connection, is tried
    ``options.attempts`` times in all, with growing pauses. Redirects are never followed.

    Args:
        spec: A store of vendor ``ucloud`` or ``s3``.
        options: How services are spoken to.
        at: The JSON path of the store's ``StorageConfig``, for messages.
        credentials: The key; by default it is looked for as ``find_credentials`` says.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` cannot be right, or there is no key.
    """

    def __init__(self, spec: StorageSpec, options: S3Options, at: str, credentials: Credentials | None = None) -> None:
        self._options = options
        self._bucket = Bucket(spec, credentials or find_credentials(spec, at), options, at)

    def __repr__(self) -> str:
        return f"S3Store({self.address('')!r})"

    def address(self, key: str) -> str:
        """The URL of an object, without any signature."""
        return self._bucket.address(key)

    @reading
    def stat(self, key: str) -> ObjectInfo | None:
        """What an object is; None when there is none.

        Raises:
            StoreError: The store cannot be asked.
        """
        return self._bucket.persist(partial(find_object, self._bucket, key))

    @reading
    def read(self, key: str, max_bytes: int) -> bytes | None:
        """A whole small object; None when there is none.

        Raises:
            InputError: It is larger than ``max_bytes``.
            StoreError: It cannot be read.
        """
        return self._bucket.persist(partial(read_object, self._bucket, key, max_bytes))

    @reading
    def read_range(self, key: str, start: int, length: int, etag: str | None = None) -> bytes | None:
        """The ``length`` bytes, at least one, from ``start`` on; fewer when the object ends before.

        None where the store cannot send parts, or the object is missing or, with an ``etag``, has another one.

        Raises:
            StoreError: They cannot be read.
        """
        return self._bucket.persist(partial(read_object_range, self._bucket, key, start, length, etag))

    @reading
    def download(
        self, key: str, path: Path, size: int, on_progress: Callable[[int], None], etag: str | None = None
    ) -> None:
        """Make the object the file ``path``, which appears when all ``size`` bytes have arrived.

        Until then they lie beside it in ``.<name>.<version>.part``, where a later call goes on, also in another run.
        An object that changed meanwhile is fetched anew.

        Args:
            key: Which object.
            path: The file; its folder exists, and nobody else downloads into it.
            size: What ``stat`` said.
            on_progress: Told how many bytes there are; fewer than before when it starts anew.
            etag: What ``stat`` said, where no other version will do.

        Raises:
            InputError: The object is missing, or has another size or ``etag``.
            StoreError: It cannot be read.
            DestinationError: The file cannot be written: the disk is full.
        """
        download(self._bucket, key, path, size, on_progress, etag)

    @writing
    def upload(self, path: Path, key: str, on_progress: Callable[[int], None]) -> None:
        """Make the file ``path`` the object ``key``, which appears, or is replaced, all at once.

        Args:
            path: The file; of at most 10,000 parts of 8 MiB.
            key: Which object.
            on_progress: Told from this thread how many bytes were sent.

        Raises:
            DestinationError: It cannot be uploaded, or has another size afterwards. What was sent is removed, unless
                the store cannot be reached any more: ``sweep_uploads`` does it later.
        """
        upload(self._bucket, path, key, self._options.parts_at_once, on_progress)

    @writing
    def sweep_uploads(self, key: str) -> int:
        """Remove uploads of ``key`` that never ended; returns how many there were.

        It also finds out early that the store cannot be written because its key, bucket or address is wrong.

        Raises:
            DestinationError: The store cannot be asked.
        """
        return sweep_uploads(self._bucket, key, self._options.listing_page)
