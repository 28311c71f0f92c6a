"""The updates of a room in a file beside its index (docs/rooms.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from owtmix.base.errors import InputError, StoreError
from owtmix.base.strict_json import printable
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_NAME
from owtmix.jobfile.reader import with_updates
from owtmix.jobfile.spec import JobSpec
from owtmix.storage import LocalStore, Store

PLACES: Final = ("$JobId.updates.jsonl", "$JobId/updates.jsonl")
"""Where updates of a room are, beside its index."""


@dataclass(frozen=True, slots=True)
class FoundUpdates:
    """The job with its updates. ``key`` of the input store, or the local ``file``, is where they were read.

    ``doubt`` says why it is not known whether there are any.
    """

    spec: JobSpec
    key: str | None = None
    file: Path | None = None
    doubt: str = ""


def find_updates(
    spec: JobSpec, store: Store, index_key: str | None, index_file: Path | None, key_of: Callable[[str], str]
) -> FoundUpdates:
    """The job with the updates of the first file beside its index that exists, unless it has its own.

    Args:
        spec: the job.
        store: the input store.
        index_key: the key of an index that is named in the store.
        index_file: the local file that is the index.
        key_of: the key that a pattern of ``PLACES`` means.

    Raises:
        SpecError: the file is wrong.
        StoreError: the store cannot be used.
        InputError: the file is there, and cannot be read.
    """
    if spec.updates is None or spec.updates.is_given:
        return FoundUpdates(spec)
    where = LocalStore(index_file.parent) if index_file else store
    folder = PurePosixPath(index_key).parent if index_key else PurePosixPath()
    doubts = []
    for pattern in PLACES:
        key = str(folder / key_of(pattern))
        try:
            data = where.read(key, MAX_INDEX_BYTES)
        except StoreError as error:
            if error.is_refusal and not error.is_denial:
                raise InputError(
                    f"{printable(key, MAX_NAME)} is there, and cannot be read: {error.of_object}"
                ) from None
            if not error.is_refusal:
                raise
            # Many a key may read what it is told of, and not find out what else there is.
            doubts.append(printable(key, MAX_NAME))
            continue
        if data is not None:
            found = with_updates(spec, data, printable(key, MAX_NAME))
            file = index_file.parent / key if index_file else None
            return FoundUpdates(found, None if file else key, file, _doubt(doubts, f"those in {key} are used"))
    return FoundUpdates(spec, doubt=_doubt(doubts, "none are used"))


def _doubt(keys: Sequence[str], used: str) -> str:
    """A sentence about places of which the store does not say whether anything is there; empty without any."""
    hint = 'allow listing the bucket, or write "Updates": [] into Data'
    return (
        f"the store does not say whether there are updates in {' or '.join(keys)}, and {used}: {hint}" if keys else ""
    )
