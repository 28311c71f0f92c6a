"""Upload a file as a multipart upload. The object appears, whole, when the upload is completed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final

from owtmix.base.errors import DestinationError
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.errors import StoreFailure
from owtmix.storage.s3.objects import find_object
from owtmix.storage.s3.unfinished import OwnUploads, date_of

_log = logging.getLogger(__name__)

PART_BYTES: Final = 8 * 1024 * 1024
"""UFile accepts parts of exactly this size; only the last part may be smaller."""

MAX_PARTS: Final = 10_000
MAX_OBJECT_BYTES: Final = MAX_PARTS * PART_BYTES

_TYPES: Final = {".mp4": "video/mp4", ".webm": "video/webm", ".json": "application/json"}

_CLOCK_STEP: Final = timedelta(seconds=2)
"""Services round the times in their answers, up or down."""


def upload(
    bucket: BucketClient,
    path: Path,
    key: str,
    parts_at_once: int,
    on_progress: Callable[[int], None],
    own: OwnUploads,
) -> None:
    """Upload the file ``path``; the object ``key`` appears, or is replaced, all at once.

    Small files use a multipart upload too, so that there is only one code path.

    Args:
        bucket: The bucket.
        path: The file; it must not change meanwhile.
        key: Key of the object.
        parts_at_once: Number of parts of 8 MiB that are read and sent at the same time.
        on_progress: Called in the calling thread with the number of bytes that were sent.
        own: Remembers the upload until it has ended.

    Raises:
        StoreFailure: The file cannot be uploaded, or the object has another size afterwards. What was sent is removed.
        DestinationError: The file cannot be read, or is too large for an upload.
    """
    size = _size(path)
    transfer = _MultipartUpload(bucket, path, key, size)
    try:
        own.remember(bucket.address(key), transfer.id)
        transfer.send_parts(parts_at_once, on_progress)
        transfer.complete()
    except BaseException:
        if transfer.abort():
            own.forget(bucket.address(key))
        raise
    own.forget(bucket.address(key))
    bucket.retry(lambda: _verify(bucket, key, size))


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


def _verify(bucket: BucketClient, key: str, size: int) -> None:
    found = find_object(bucket, key)
    if found is None or found.size != size:
        there = "is not there" if found is None else f"has {found.size:,} bytes"
        message = f"{there} after {size:,} bytes were uploaded: run the job again"
        raise StoreFailure(message, transient=True).about(bucket.address(key))


class _MultipartUpload:
    """One multipart upload of a file of ``size`` bytes.

    Raises:
        StoreFailure: The upload cannot be created.
    """

    def __init__(self, bucket: BucketClient, path: Path, key: str, size: int) -> None:
        self._bucket = bucket
        self._path = path
        self._key = key
        self._size = size
        self._stop = threading.Event()
        self._etags: dict[int, str] = {}
        content_type = _TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
        answer = bucket.retry(
            lambda: bucket.request("create_multipart_upload", Key=key, ContentType=content_type), self._stop
        )
        self.id: Final[str] = bucket.translate_errors(lambda: answer["UploadId"], key)
        self._started = date_of(answer)

    def send_parts(self, parts_at_once: int, on_progress: Callable[[int], None]) -> None:
        """Send all parts; calls ``on_progress`` with the number of bytes that were sent.

        Raises:
            StoreFailure: A part was not accepted.
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
        """Complete the upload: the object appears.

        Raises:
            StoreFailure: The service did not complete the upload.
        """
        parts = [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]
        try:
            self._bucket.retry(
                lambda: self._request("complete_multipart_upload", MultipartUpload={"Parts": parts}), self._stop
            )
        except StoreFailure as failure:
            # When the answer of a successful attempt was lost, further attempts find no upload, but the object exists.
            may_be_done = failure.transient or failure.code == "NoSuchUpload"
            if not may_be_done or not self._is_object_new():
                raise

    def abort(self) -> bool:
        """Remove what was sent. One attempt: when it fails, and this is False, the next run aborts the upload."""
        self._stop.set()
        try:
            self._request("abort_multipart_upload")
        except StoreFailure:
            _log.warning("an unfinished upload of %s stays until the next run", self._bucket.address(self._key))
            return False
        return True

    def _send(self, number: int) -> int:
        """Send the part ``number``, counted from 1. Returns its size in bytes."""
        try:
            with self._path.open("rb") as file:
                file.seek((number - 1) * PART_BYTES)
                data = file.read(PART_BYTES)
        except OSError as error:
            raise DestinationError(f"{self._path} cannot be read: {error.strerror}") from None
        answer = self._bucket.retry(lambda: self._request("upload_part", PartNumber=number, Body=data), self._stop)
        self._etags[number] = self._bucket.translate_errors(lambda: answer["ETag"], self._key)
        return len(data)

    def _is_object_new(self) -> bool:
        """Whether the object has the size of this upload and was written after the upload began."""
        try:
            found = find_object(self._bucket, self._key)
        except StoreFailure:
            return False
        if found is None or found.modified is None or self._started is None or found.size != self._size:
            return False
        return found.modified >= self._started - _CLOCK_STEP

    def _request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._bucket.request(operation, Key=self._key, UploadId=self.id, **parameters)
