"""Reading an object: whole, in part, or only what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from owtmix.errors import InputError
from owtmix.storage.s3.client import Bucket
from owtmix.storage.s3.errors import StoreFailure, broken_off

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What an object is. ``size`` is in bytes; ``etag`` changes with the content and means nothing else."""

    size: int
    etag: str
    modified: datetime | None


class ObjectStream:
    """The bytes of an object from ``start`` on, as they arrive; close it after use.

    Raises:
        StoreFailure: It cannot be had.
    """

    def __init__(self, bucket: Bucket, key: str, byte_range: str | None = None, etag: str | None = None) -> None:
        """Ask for ``byte_range``, such as ``5-`` or ``0-99``, on condition that the object still has ``etag``."""
        parameters: dict[str, Any] = {"Key": key}
        if byte_range is not None:
            parameters["Range"] = f"bytes={byte_range}"
        if etag is not None:
            parameters["IfMatch"] = etag
        answer = bucket.request("get_object", **parameters)
        self._bucket = bucket
        self._key = key
        self._body = answer["Body"]
        # A service that does not know ranges sends everything, and no Content-Range.
        found = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        self.start = int(found[1]) if found else 0
        size = int(found[2]) if found else bucket.guard(lambda: int(answer["ContentLength"]), key)
        self.info = ObjectInfo(size, answer.get("ETag", ""), answer.get("LastModified"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._body.close()

    def read(self, max_bytes: int) -> bytes:
        """Up to ``max_bytes``; ``b""`` at the end.

        Raises:
            StoreFailure: The connection broke, or ended before the object did.
        """
        data: bytes = self._bucket.guard(lambda: self._body.read(max_bytes), self._key)
        return data

    def read_all(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            StoreFailure: The connection broke, or ended before.
        """
        data = bytearray()
        while len(data) < size:
            block = self.read(size - len(data))
            if not block:
                raise broken_off(self._bucket.address(self._key))
            data += block
        return bytes(data)


def find_object(bucket: Bucket, key: str) -> ObjectInfo | None:
    """What an object is, in one attempt; None when there is none.

    The first byte is fetched: other than HEAD, this says whether the object or the bucket is missing, and why access is
    denied.

    Raises:
        StoreFailure: The service cannot be asked.
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


def read_object(bucket: Bucket, key: str, max_bytes: int) -> bytes | None:
    """A whole object, in one attempt; None when there is none.

    Raises:
        InputError: It is larger than ``max_bytes``.
        StoreFailure: It cannot be read.
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


def read_object_range(bucket: Bucket, key: str, start: int, length: int, etag: str | None = None) -> bytes | None:
    """The ``length`` bytes from ``start`` on, in one attempt; fewer when the object ends before.

    None where the store cannot send parts, or the object is missing or has not ``etag`` any more.

    Raises:
        StoreFailure: They cannot be read.
    """
    try:
        with ObjectStream(bucket, key, f"{start}-{start + length - 1}", etag) as stream:
            if stream.start != start or etag not in {None, stream.info.etag}:
                return None
            return stream.read_all(min(length, stream.info.size - start))
    except StoreFailure as failure:
        if failure.code == "InvalidRange":
            return b""
        if failure.is_missing or failure.code == "PreconditionFailed":
            return None
        raise
