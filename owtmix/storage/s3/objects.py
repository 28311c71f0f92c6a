"""Read an object of a bucket: its size and version, all of it, or a range of bytes. One attempt each."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Self

from owtmix.base.errors import InputError
from owtmix.storage.s3.bounds import SLOWEST_BYTES_PER_S, within
from owtmix.storage.s3.client import BucketClient
from owtmix.storage.s3.errors import StoreFailure, broken_off
from owtmix.storage.versions import etag_of, version_of

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})")


LARGEST_BYTES: Final = 1 << 50
"""No service takes larger objects, by far."""


MOST_AT_ONCE_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Size in bytes, version and time of an object. ``etag`` changes with the content; it is not a checksum."""

    size: int
    etag: str
    modified: datetime | None

    @property
    def version(self) -> str:
        """What changes with the content, as far as the store tells."""
        return version_of(self.etag, self.modified)


class ObjectStream:
    """The content of an object from byte ``start`` on, read as it arrives. A context manager.

    Raises:
        StoreFailure: The object cannot be read.
    """

    def __init__(
        self, bucket: BucketClient, key: str, byte_range: str | None = None, version: str | None = None
    ) -> None:
        """Request ``byte_range``, such as ``5-`` or ``0-99``, on condition that the object still has ``version``.

        Not every store heeds that: ``info`` tells the version that comes.
        """
        parameters: dict[str, Any] = {"Key": key}
        if byte_range is not None:
            parameters["Range"] = f"bytes={byte_range}"
        if version and (etag := etag_of(version)):
            parameters["IfMatch"] = etag
        self._began = time.monotonic()
        self._read_bytes = 0
        answer = bucket.request("get_object", **parameters)
        self._bucket = bucket
        self._key = key
        self._body = answer["Body"]
        # A service without support for ranges sends the whole object and no Content-Range.
        stated = answer.get("ContentRange", "")
        found = _CONTENT_RANGE.fullmatch(stated)
        self.start = int(found[1]) if found else 0
        size = int(found[2]) if found else bucket.translate_errors(lambda: int(answer["ContentLength"]), key)
        if not 0 <= size <= LARGEST_BYTES or (stated and not found):
            self._body.close()
            reason = "the store states a size that no object has"
            raise StoreFailure(f"{bucket.address(key)}: {reason}", of_object=reason, status=HTTPStatus.OK)
        self.info = ObjectInfo(size, answer.get("ETag", ""), answer.get("LastModified"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._body.close()

    def read(self, max_bytes: int) -> bytes:
        """Return up to ``max_bytes``; ``b""`` at the end.

        Raises:
            StoreFailure: The connection broke, or the answer comes more slowly than ``SLOWEST_BYTES_PER_S``.
        """
        wanted = min(max_bytes, MOST_AT_ONCE_BYTES)
        passed_s = time.monotonic() - self._began
        seconds = self._bucket.patience_s + (self._read_bytes + wanted) / SLOWEST_BYTES_PER_S - passed_s
        stop = self._body._raw_stream.shutdown  # noqa: SLF001 - closing it would wait for the end
        data: bytes = self._bucket.translate_errors(
            lambda: within(max(0, seconds), lambda: self._body.read(wanted), stop), self._key
        )
        self._read_bytes += len(data)
        return data

    def read_all(self, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            StoreFailure: The connection broke, or the answer was shorter.
        """
        data = bytearray()
        while len(data) < size:
            block = self.read(size - len(data))
            if not block:
                raise broken_off(self._bucket.address(self._key))
            data += block
        return bytes(data)


def find_object(bucket: BucketClient, key: str) -> ObjectInfo | None:
    """Return size and version of an object; None when it does not exist.

    The first byte is requested, not HEAD: only answers with a body tell whether the object or the bucket is missing,
    and why access is denied.

    Raises:
        StoreFailure: The request failed.
    """
    try:
        with ObjectStream(bucket, key, "0-0") as stream:
            stream.read(1)
            return stream.info
    except StoreFailure as failure:
        if failure.is_missing:
            return None
        if failure.code == "InvalidRange":  # an empty object has no first byte
            return ObjectInfo(0, "", None)
        raise


def read_object(bucket: BucketClient, key: str, max_bytes: int) -> bytes | None:
    """Return a whole object; None when it does not exist.

    Raises:
        InputError: The object is larger than ``max_bytes``.
        StoreFailure: The object cannot be read.
    """
    try:
        with ObjectStream(bucket, key) as stream:
            if stream.info.size > max_bytes:
                raise InputError(f"{bucket.address(key)}: is larger than {max_bytes:,} bytes")
            return stream.read_all(stream.info.size)
    except StoreFailure as failure:
        if failure.is_missing:
            return None
        raise


def read_object_range(
    bucket: BucketClient, key: str, start: int, length: int, version: str | None = None
) -> bytes | None:
    """Return ``length`` bytes from byte ``start`` on; fewer when the object ends before.

    None when the service does not support ranges, or the object does not exist or does not have ``version`` any more.

    Raises:
        StoreFailure: The bytes cannot be read.
    """
    try:
        with ObjectStream(bucket, key, f"{start}-{start + length - 1}", version) as stream:
            if stream.start != start or version not in {None, stream.info.version}:
                return None
            return stream.read_all(min(length, stream.info.size - start))
    except StoreFailure as failure:
        if failure.code == "InvalidRange":
            return b""
        if failure.is_missing or failure.code == "PreconditionFailed":
            return None
        raise
