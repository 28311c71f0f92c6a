"""Puts the files of a room into the store of its job: what is there already is not sent again, and the index is last.

A ledger in the room's folder says which version of which file became which version of an object.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from owtmix.base.beneath import open_file
from owtmix.base.errors import DestinationError, InputError, Problem, SpecError, StoreError
from owtmix.base.file_version import file_version
from owtmix.base.own_files import make_folder, read_own, write_whole
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.jobfile.object_key import substituted_key
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import StorageSpec
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.storage import LocalStore, S3Options, Store, disk_error, open_store

LEDGER: Final = "uploaded.json"
AT: Final = f"{FINISH_FILE}: store"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A local ``file`` that becomes the object ``key``."""

    file: Path
    key: str


def store_of(options: FinishOptions, secrets: dict[str, str]) -> StorageSpec:
    """The store of a job, with the keys that were told apart from it.

    Raises:
        SpecError: it is wrong.
    """
    of = options.store
    texts = {name: of.get(name, "") for name in ("Vendor", "Bucket", "Region", "Endpoint")}
    vendor = texts["Vendor"] or "ucloud"
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    lacking = [
        name
        for name, needs in (("Bucket", True), ("Region", vendor == "ucloud"), ("Endpoint", vendor == "s3"))
        if needs and not texts[name]
    ]
    if wrong or lacking or vendor not in {"ucloud", "s3", "local"}:
        raise SpecError(Problem(f"{AT}.{(wrong + lacking or ['Vendor'])[0]}", "missing or wrong"))
    return StorageSpec(
        vendor=vendor,  # type: ignore[arg-type]  # it is one of three
        bucket=texts["Bucket"],
        region=texts["Region"] or None,
        endpoint=texts["Endpoint"] or None,
        public_key=secrets.get("PublicKey") or None,
        secret_key=secrets.get("SecretKey") or None,
    )


def room_store(options: FinishOptions, secrets: dict[str, str], settings: Settings, root: Path) -> Store:
    """The store that a room in the folder ``root`` is uploaded to. A local one may be anywhere: the service says where.

    Raises:
        SpecError: it is wrong, or has no key.
    """
    spec = store_of(options, secrets)
    if spec.vendor == "local":
        return LocalStore(root / spec.bucket)
    uploads = root / "uploads"
    make_folder(uploads)
    s3 = S3Options(
        internal=settings.storage.ucloud_internal,
        attempts=settings.storage.attempts,
        read_timeout_s=settings.storage.silence_s,
        allowed=settings.network.allow,
        own_endpoints=settings.storage.own_endpoints,
        uploads=uploads,
    )
    return open_store(spec, root, AT, s3)


def folder_key(options: FinishOptions) -> str:
    """The folder of a room's files in its store; empty for its root.

    Raises:
        SpecError: the prefix is no key.
    """
    prefix = options.prefix or str(options.store.get("FileNamePrefix", ""))
    if not prefix.strip("/"):
        return ""
    try:
        return substituted_key(prefix, job_id=options.job_id, room_id=options.room_id, app_id=options.app_id)
    except ValueError as error:
        raise SpecError(Problem(f"{FINISH_FILE}: prefix", str(error))) from None


def upload_files(store: Store, files: Sequence[Sent], root: Path, job_id: str) -> list[str]:
    """Upload ``files`` in their order, and return the addresses of their objects.

    Raises:
        DestinationError: the store cannot be used, or the disk takes no more.
    """
    ledger = _read_ledger(root / LEDGER)
    addresses = []
    try:
        for sent in files:
            if not (there := _is_there(store, sent, ledger.get(sent.key), root)):
                _send(store, sent, root, job_id)
                ledger[sent.key] = [file_version(sent.file), *_found(store, sent.key, root)]
                write_whole(root / LEDGER, json.dumps(ledger).encode())
            _log.info("%s %s", store.address(sent.key), "is there" if there else "is uploaded")
            addresses.append(store.address(sent.key))
    except OSError as error:
        raise disk_error(root, error) from error
    except StoreError as error:
        raise DestinationError(str(error)) from None
    return addresses


def _is_there(store: Store, sent: Sent, known: Any, root: Path) -> bool:
    """Whether the object is what was uploaded of this version of the file."""
    if not isinstance(known, list) or known[:1] != [file_version(sent.file)]:
        return False
    try:
        return known[1:] == _found(store, sent.key, root)
    except StoreError:
        raise
    except InputError:  # it does not exist
        return False


def _found(store: Store, key: str, root: Path) -> list[Any]:
    """Size and version of an object.

    Raises:
        InputError: it does not exist.
        StoreError: the store cannot be used.
    """
    found = store.locate(key, root)
    return [found.size_bytes, found.version]


def _send(store: Store, sent: Sent, root: Path, job_id: str) -> None:
    staged = store.stage(sent.key, job_id, root)
    if not isinstance(store, LocalStore):
        staged = sent.file  # what is staged is read; in a folder it is moved
    else:
        with sent.file.open("rb") as source, os.fdopen(open_file(staged, os.O_WRONLY), "wb") as target:
            shutil.copyfileobj(source, target)
    store.commit(staged, sent.key, _ignore)


def _ignore(_sent_bytes: int) -> None:
    """Nobody watches."""


def _read_ledger(path: Path) -> dict[str, Any]:
    """What was uploaded; nothing where that cannot be read: then it is uploaded again."""
    try:
        found = json.loads(read_own(path, MAX_INDEX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
