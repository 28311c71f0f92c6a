"""Uploading a file in parts. The object appears, whole, when the last step says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from owtmix.errors import DestinationError
from owtmix.storage.s3.client import Bucket
from owtmix.storage.s3.errors import StoreFailure
from owtmix.storage.s3.objects import find_object

_log = logging.getLogger(__name__)

PART_BYTES: Final = 8 * 1024 * 1024
"""UFile takes parts of exactly this size; only the last may be smaller."""

MAX_PARTS: Final = 10_000
MAX_OBJECT_BYTES: Final = MAX_PARTS * PART_BYTES

_TYPES: Final = {".mp4": "video/mp4", ".webm": "video/webm", ".json": "application/json"}

_CLOCK_STEP: Final = timedelta(seconds=2)
"""Services round the times that they tell, up or down."""

_UNLISTED: Final = frozenset({"AccessDenied", "NotImplemented", "MethodNotAllowed"})
"""Answers of a service, or to a key, that may upload but not list uploads."""


def upload(bucket: Bucket, path: Path, key: str, parts_at_once: int, on_progress: Callable[[int], None]) -> None:
    """Make ``path`` the object ``key``, which appears, or is replaced, all at once.

    However small the file is, it goes by a multipart upload: one way, one moment of truth.

    Args:
        bucket: Where the object will be.
        path: The file, which nobody changes meanwhile.
        key: Which object.
        parts_at_once: How many parts of 8 MiB are read and sent at the same time.
        on_progress: Told from the calling thread how many bytes were sent.

    Raises:
        StoreFailure: It cannot be uploaded, or has another size afterwards. What was sent is removed.
        DestinationError: The file cannot be read, or is too large for any upload.
    """
    size = _size(path)
    transfer = _Transfer(bucket, path, key, size)
    try:
        transfer.send_parts(parts_at_once, on_progress)
        transfer.complete()
    except BaseException:
        transfer.abort()
        raise
    bucket.persist(lambda: _verify(bucket, key, size))


def sweep_uploads(bucket: Bucket, key: str, page: int) -> int:
    """Remove what uploads of ``key`` left behind that never ended; returns how many there were.

    A service that does not list them, or not to this key, is left as it is, with a warning.

    Raises:
        StoreFailure: The service cannot be asked.
    """
    swept = 0
    try:
        for upload_id in _unfinished(bucket, key, page):
            _remove(bucket, key, upload_id)
            swept += 1
    except StoreFailure as failure:
        if failure.code not in _UNLISTED:
            raise
        _log.warning("%s: unfinished uploads cannot be looked for: the key has no right to it", bucket.address(key))
    return swept


def _unfinished(bucket: Bucket, key: str, page: int) -> Iterator[str]:
    """The ids of uploads of ``key`` that were begun, and neither completed nor aborted."""
    parameters: dict[str, Any] = {"Prefix": key, "MaxUploads": page}
    while True:
        answer = bucket.persist(partial(bucket.request, "list_multipart_uploads", **parameters))
        uploads = answer.get("Uploads", [])
        yield from (one["UploadId"] for one in uploads if one["Key"] == key)
        if not answer.get("IsTruncated") or not uploads:
            return
        # Where the next page begins is also in the answer, but not of every service.
        parameters |= {"KeyMarker": uploads[-1]["Key"], "UploadIdMarker": uploads[-1]["UploadId"]}


def _remove(bucket: Bucket, key: str, upload_id: str) -> None:
    try:
        bucket.persist(lambda: bucket.request("abort_multipart_upload", Key=key, UploadId=upload_id))
    except StoreFailure as failure:
        if failure.code != "NoSuchUpload":
            raise


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DestinationError(f"{path} cannot be read: {error.strerror}") from None
    if size > MAX_OBJECT_BYTES:
        raise DestinationError(
            f"the output has {size:,} bytes and a store takes at most {MAX_OBJECT_BYTES:,}: lower BitRate"
        )
    return size


def _verify(bucket: Bucket, key: str, size: int) -> None:
    found = find_object(bucket, key)
    if found is None or found.size != size:
        there = "is not there" if found is None else f"has {found.size:,} bytes"
        message = f"{there} after {size:,} bytes were uploaded: run the job again"
        raise StoreFailure(message, transient=True).about(bucket.address(key))


class _Transfer:
    """One multipart upload.

    Raises:
        StoreFailure: It cannot be begun.
    """

    def __init__(self, bucket: Bucket, path: Path, key: str, size: int) -> None:
        self._bucket = bucket
        self._path = path
        self._key = key
        self._size = size
        self._stop = threading.Event()
        self._etags: dict[int, str] = {}
        content_type = _TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
        answer = bucket.persist(
            lambda: bucket.request("create_multipart_upload", Key=key, ContentType=content_type), self._stop
        )
        self._id: str = bucket.guard(lambda: answer["UploadId"], key)
        self._began = _date(answer)

    def send_parts(self, parts_at_once: int, on_progress: Callable[[int], None]) -> None:
        """Send the whole file.

        Raises:
            StoreFailure: A part was not taken.
            DestinationError: The file cannot be read.
        """
        count = max(1, -(-self._size // PART_BYTES))
        sent = 0
        with ThreadPoolExecutor(parts_at_once, thread_name_prefix="upload") as pool:
            parts = [pool.submit(self._send, number) for number in range(1, count + 1)]
            try:
                for part in as_completed(parts):
                    sent += part.result()
                    on_progress(sent)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def complete(self) -> None:
        """Make the object appear.

        Raises:
            StoreFailure: It did not.
        """
        parts = [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]
        try:
            self._bucket.persist(
                lambda: self._request("complete_multipart_upload", MultipartUpload={"Parts": parts}), self._stop
            )
        except StoreFailure as failure:
            # When an answer was lost, the object may be there, and the upload unknown to further attempts.
            unsure = failure.transient or failure.code == "NoSuchUpload"
            if not unsure or not self._is_done():
                raise

    def abort(self) -> None:
        """Remove what was sent. One attempt: whatever made the upload fail may still last, and the next run sweeps."""
        self._stop.set()
        try:
            self._request("abort_multipart_upload")
        except StoreFailure:
            _log.warning("an unfinished upload of %s stays until the next run", self._bucket.address(self._key))

    def _send(self, number: int) -> int:
        """Send one part; returns its size in bytes."""
        try:
            with self._path.open("rb") as file:
                file.seek((number - 1) * PART_BYTES)
                data = file.read(PART_BYTES)
        except OSError as error:
            raise DestinationError(f"{self._path} cannot be read: {error.strerror}") from None
        answer = self._bucket.persist(lambda: self._request("upload_part", PartNumber=number, Body=data), self._stop)
        self._etags[number] = self._bucket.guard(lambda: answer["ETag"], self._key)
        return len(data)

    def _is_done(self) -> bool:
        """Whether the object was made by this upload, as far as its size and time tell."""
        try:
            found = find_object(self._bucket, self._key)
        except StoreFailure:
            return False
        if found is None or found.modified is None or self._began is None or found.size != self._size:
            return False
        return found.modified >= self._began - _CLOCK_STEP

    def _request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._bucket.request(operation, Key=self._key, UploadId=self._id, **parameters)


def _date(answer: dict[str, Any]) -> datetime | None:
    """When the service answered, by its own clock."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return None
