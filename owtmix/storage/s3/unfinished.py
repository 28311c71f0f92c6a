"""Uploads that runs left unfinished: those of this machine are remembered, and aborted by the next run.

Another machine may be uploading the same key, for a duplicate of the job. Its uploads stay, unless they began so long
ago that none is still alive.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import make_folder, read_own, write_whole
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.errors import RefusedEndpoint, StoreFailure

MOST_PAGES: Final = 100
MOST_UNFINISHED: Final = 1000
"""Unfinished uploads of one key, of which a run leaves one at most: a store that has more never comes to an end."""
ALIVE_FOR: Final = timedelta(days=1)
"""No upload takes longer."""

_LONGEST_ID: Final = 4096
_REFUSED: Final = frozenset({"AccessDenied", "NotImplemented", "MethodNotAllowed"})
"""Error codes when a service does not list uploads, or the key may upload but neither list nor abort."""

_log = logging.getLogger(__name__)


class OwnUploads:
    """The ids of this machine's unfinished uploads, by the addresses of their objects, in ``folder``; None for nowhere.

    One run of a job uploads at a time, so there is one of each object.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def remember(self, address: str, upload_id: str) -> None:
        """Keep the id of an upload that begins. Where it cannot be kept, the upload is aborted when it is old."""
        if self._folder is None:
            return
        try:
            make_folder(self._folder)
            write_whole(self._file(address), upload_id.encode()[:_LONGEST_ID])
        except OSError as error:
            _log.warning("an upload cannot be noted in %s: %s", self._folder, error.strerror)

    def find(self, address: str) -> str | None:
        """The id of the upload that an earlier run left."""
        if self._folder is None:
            return None
        with suppress(OSError):
            return read_own(self._file(address), _LONGEST_ID).decode(errors="replace")
        return None

    def forget(self, address: str) -> None:
        """Forget the upload, which has ended."""
        if self._folder is not None:
            with suppress(OSError):
                self._file(address).unlink()

    def _file(self, address: str) -> Path:
        assert self._folder
        return self._folder / hashlib.sha256(address.encode()).hexdigest()[:32]


def abort_unfinished_uploads(bucket: BucketClient, key: str, page: int, own: OwnUploads) -> int:
    """Abort uploads of ``key`` that were neither completed nor aborted. Returns their number.

    Those of other machines are aborted when they are older than ``ALIVE_FOR`` by the clock of the service. When the
    service does not list uploads, or not for this access key, or does not abort one, a warning is logged.

    Args:
        bucket: The bucket.
        key: Key of the object.
        page: Number of uploads per page of the list.
        own: The uploads of this machine.

    Raises:
        StoreFailure: A request for the list failed, or the endpoint may not be used.
    """
    address = bucket.address(key)
    left = own.find(address)
    ends = [_abort(bucket, key, left)] if left else []
    if left and ends[0] is not _End.LATER:
        own.forget(address)
    try:
        dead = (upload.id for upload in _list_unfinished(bucket, key, page) if upload.is_dead)
        ends.extend(_abort(bucket, key, upload) for upload in dead if upload != left)
    except StoreFailure as failure:
        if failure.code not in _REFUSED:
            raise
        _log.warning("%s: unfinished uploads cannot be looked for: the key has no right to it", address)
    return ends.count(_End.ABORTED)


class _End(Enum):
    """What came of aborting an upload; ``LATER`` it may be aborted."""

    ABORTED = 1
    NONE = 2
    LATER = 3
    NEVER = 4


@dataclass(frozen=True, slots=True)
class _Unfinished:
    key: str
    id: str
    is_dead: bool


def _list_unfinished(bucket: BucketClient, key: str, page: int) -> Iterator[_Unfinished]:
    parameters: dict[str, Any] = {"Prefix": key, "MaxUploads": page}
    found = 0
    for _ in range(MOST_PAGES):
        answer = bucket.retry(partial(bucket.request, "list_multipart_uploads", **parameters))
        uploads = bucket.translate_errors(partial(_parsed, answer), key)
        own = [upload for upload in uploads if upload.key == key]
        found += len(own)
        if found > MOST_UNFINISHED:
            break
        yield from own
        if not answer.get("IsTruncated") or not uploads:
            return
        # Not every service sends NextKeyMarker and NextUploadIdMarker.
        parameters |= {"KeyMarker": uploads[-1].key, "UploadIdMarker": uploads[-1].id}
    message = f"the store's list of unfinished uploads is longer than {MOST_PAGES} pages or {MOST_UNFINISHED} uploads"
    raise StoreFailure(f"{message}: remove them, or choose another name for the output").about(bucket.address(key))


def _parsed(answer: dict[str, Any]) -> list[_Unfinished]:
    """The uploads in a page of the list."""
    now = date_of(answer) or datetime.now(UTC)
    return [
        _Unfinished(upload["Key"], upload["UploadId"], _is_dead(upload.get("Initiated"), now))
        for upload in answer.get("Uploads", [])
    ]


def _is_dead(began: Any, now: datetime) -> bool:
    with suppress(TypeError, OverflowError):  # a time without a zone, or none at all
        return isinstance(began, datetime) and now - began > ALIVE_FOR
    return False


def _abort(bucket: BucketClient, key: str, upload_id: str) -> _End:
    """Abort an upload. It takes space of the store where that fails, and is in nobody's way."""
    try:
        bucket.retry(lambda: bucket.request("abort_multipart_upload", Key=key, UploadId=upload_id))
    except RefusedEndpoint:
        raise
    except StoreFailure as failure:
        if failure.shortage:
            raise
        if failure.code == "NoSuchUpload":
            return _End.NONE
        _log.warning("%s: an unfinished upload cannot be aborted: %s", bucket.address(key), failure.sentence)
        return _End.LATER if failure.transient or failure.code in _REFUSED else _End.NEVER
    return _End.ABORTED


def date_of(answer: dict[str, Any]) -> datetime | None:
    """The time of an answer by the clock of the service; None when the header is missing or makes no sense."""
    try:
        found = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
