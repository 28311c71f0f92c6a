"""``S3Store``: a bucket of UFile/US3, or of any other S3 service, as a store of a job.

Downloads are checked by size, uploads appear whole or not at all. An ETag only tells whether an object is still the
version that a download began with. It is not a checksum: a byte that changes on an unencrypted connection is not
noticed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from owtmix.base.errors import InputError
from owtmix.jobfile.object_key import normal_form
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.base import LocalCopy
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.credentials import Credentials, find_credentials
from owtmix.storage.s3.download import download, partial_file
from owtmix.storage.s3.endpoint import find_endpoint
from owtmix.storage.s3.errors import reading, writing
from owtmix.storage.s3.objects import find_object, read_object, read_object_range
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.unfinished import OwnUploads, abort_unfinished_uploads
from owtmix.storage.s3.upload import upload


class S3Store:
    """A bucket that implements ``owtmix.storage.base.Store``. Every method may be called from any thread.

    A failure that may be temporary, such as an overloaded service or a broken connection, is tried
    ``options.attempts`` times in all, with growing pauses. A refusal is final at once. Redirects are not followed.

    Args:
        spec: A store of vendor ``ucloud`` or ``s3``.
        options: Connection settings.
        at: The JSON path of the store's ``StorageConfig``, for messages.
        credentials: The access key; by default ``find_credentials`` looks for it.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` is not valid, or there is no key.
    """

    def __init__(self, spec: StorageSpec, options: S3Options, at: str, credentials: Credentials | None = None) -> None:
        endpoint = find_endpoint(spec, options, at)
        credentials = credentials or find_credentials(spec, endpoint, at)
        self._options = options
        self._own_uploads = OwnUploads(options.uploads)
        self._bucket = BucketClient(spec, endpoint, credentials, options, at)
        self.at: Final = at
        self.secrets: Final = (credentials.key_id, credentials.secret_key, credentials.session_token)

    def __repr__(self) -> str:
        return f"S3Store({self.address('')!r})"

    def address(self, key: str) -> str:
        """Return the URL of an object, without a signature."""
        return self._bucket.address(key)

    def identity(self, key: str) -> str:
        """Return the URL of an object: two keys with the same URL are the same object."""
        return self.address(key)

    def places(self, key: str) -> AbstractSet[str]:
        """Return bucket and key, whatever the service: one service has many addresses.

        A bucket may also be the first part of the service's name, and then the name of the bucket is a part of the key.
        A bucket that has a second name, as an alias or an access point, cannot be told.
        """
        segments = [segment for segment in key.split("/") if segment not in {"", "."}]
        path = normal_form("/".join([self._bucket.name, *segments])).casefold()
        return {f"object {path}", f"object {self._bucket.host.partition('.')[0]}/{path}"}

    def replaced(self, key: str, job_id: str) -> Sequence[str]:  # noqa: ARG002 - it is written elsewhere first
        return (key,)

    @reading
    def read(self, key: str, max_bytes: int) -> bytes | None:
        """Return a whole small object; None when it does not exist.

        Raises:
            InputError: The object is larger than ``max_bytes``.
            StoreError: The object cannot be read.
        """
        return self._bucket.retry(partial(read_object, self._bucket, key, max_bytes))

    @reading
    def locate(self, key: str, folder: Path) -> LocalCopy:
        """Return the size and version of an object, and how much of it an earlier run left in ``folder``.

        The file name is made of version and key, so that the copy of an earlier version is not used.

        Raises:
            InputError: The object does not exist.
            StoreError: The store cannot be used.
        """
        found = self._bucket.retry(partial(find_object, self._bucket, key))
        if found is None:
            raise InputError("does not exist")
        path = folder / hashlib.sha256(f"{found.version}\0{key}".encode()).hexdigest()[:32]
        sizes = (file.stat().st_size for file in (path, partial_file(path, found.version)) if file.is_file())
        return LocalCopy(path, found.size, next(sizes, 0), found.version or None)

    @reading
    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        """Return ``length`` bytes, at least one, from byte ``start`` on; fewer when the object ends before.

        None when the store does not support ranges, or the object does not exist or is not ``copy.version`` any more.

        Raises:
            StoreError: The bytes cannot be read.
        """
        return self._bucket.retry(partial(read_object_range, self._bucket, key, start, length, copy.version))

    @reading
    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """Download the object to ``copy.path``. The file appears when all ``copy.size_bytes`` have arrived.

        Until then the bytes are in ``.<name>.<version>.part`` in the same folder, where a later call resumes, also in
        another run. An object whose version changed meanwhile is downloaded anew, unless ``copy.version`` is given.

        Args:
            key: Key of the object.
            copy: What ``locate`` returned; the folder of ``copy.path`` exists, and nobody else writes this file.
            on_progress: Called with the number of bytes that are there; fewer than before when a download starts anew.

        Raises:
            InputError: The object does not exist, or its size or version has changed.
            StoreError: The object cannot be read.
            DestinationError: The file cannot be written, for example because the disk is full.
        """
        download(self._bucket, key, copy.path, copy.size_bytes, on_progress, copy.version)

    @writing
    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        """Return the path in ``folder`` where the output is to be written before ``commit`` uploads it.

        An upload of ``key`` that an earlier run left unfinished is removed, and so are old ones of other machines. This
        request also detects, before anything is composed, that the store cannot be written because its key, bucket or
        address is wrong.

        Raises:
            DestinationError: The store cannot be used.
        """
        abort_unfinished_uploads(self._bucket, key, self._options.listing_page, self._own_uploads)
        return folder / f"{job_id}{PurePosixPath(key).suffix}"

    @writing
    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        """Upload the file ``staged``; the object ``key`` appears, or is replaced, all at once. Returns its URL.

        Args:
            staged: The file, of at most 10,000 parts of 8 MiB.
            key: Key of the object.
            on_progress: Called in this thread with the number of bytes that were sent.

        Raises:
            DestinationError: The file cannot be uploaded, or the object has another size afterwards. What was sent is
                removed, unless the store cannot be reached any more: then the next ``stage`` removes it.
        """
        upload(self._bucket, staged, key, self._options.parts_at_once, on_progress, self._own_uploads)
        return self.address(key)
