"""Where the outputs of jobs go, told from their job files without checking these: two jobs must not share a place.

The rules are those of ``owt-main``: docs/job-file.md, and ``owtmix/jobs/request.py``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from owtmix.base.errors import SpecError
from owtmix.base.named_file import unfit_path
from owtmix.batch.manifest import is_local_path
from owtmix.jobfile.job_id import job_id_of
from owtmix.jobfile.object_key import normal_form, output_extensions, output_pattern, substituted_key

_FILE_TYPES: Final = frozenset({"mp4", "m4a", "webm"})
_SOUND: Final = 1
_CHANNELS: Final = (_SOUND, 2, 3)
_VENDORS: Final[Mapping[str, Literal["ucloud", "s3"]]] = {"ucloud": "ucloud", "s3": "s3"}
"""Of stores that are no folders."""
_KEPT_FOLDERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Destination:
    """The place of an output: ``identity`` is the same for every spelling of it, ``shown`` is for messages."""

    identity: str
    shown: str


class Destinations:
    """Tells the places of outputs, with the folders as they are now."""

    def __init__(self) -> None:
        self._folder = lru_cache(maxsize=_KEPT_FOLDERS)(self._find_folder)
        self._parent = lru_cache(maxsize=_KEPT_FOLDERS)(os.path.realpath)

    def of(self, document: Mapping[str, Any] | None, cfg: Path, option: str | None) -> Destination | None:
        """The place of the output of a job; None where ``owt-main`` would refuse the job.

        Args:
            document: the job file with what is overridden; None where it cannot be parsed.
            cfg: its path.
            option: as ``--output`` takes it.
        """
        if document is None:
            return None
        recording = _object(_object(document, "Data"), "RecordingConfig")
        storage = _object(recording, "StorageConfig")
        try:
            key = _key(document, recording, _text(storage, "FileNamePrefix"), option)
            if option and is_local_path(option):
                return self._in_folder(str(Path(option).parent), key)
            vendor, bucket = _text(storage, "Vendor", "ucloud"), _text(storage, "Bucket")
            if not bucket:
                return None
            if vendor == "local":
                return self._in_folder(str(cfg.parent / bucket), key)
            return _in_store(vendor, bucket, storage, key)
        except (ValueError, SpecError):
            return None

    def resolved(self, name: str | None) -> str | None:
        """A local path with the links in its folder resolved, not its last name; a key stays as it is."""
        if name is None or not is_local_path(name):
            return name
        folder, last = os.path.split(name)
        return os.path.join(self._folder(folder)[1], last)  # noqa: PTH118 - of thousands

    def _in_folder(self, folder: str, key: str) -> Destination:
        """A file. Its name is replaced, so that a link there is not followed.

        Raises:
            ValueError: no file can have this path.
        """
        path, _, name = f"{folder}/{key}".rpartition("/")
        if unfit_path(f"{folder}/{key}"):
            raise ValueError("not a path")
        identity, resolved = self._folder(path)
        return Destination(normal_form(f"folder {identity}/{name}"), f"{resolved.removesuffix('/')}/{name}")

    def _find_folder(self, path: str) -> tuple[str, str]:
        """A folder as its file system knows it, however it is mounted or linked, and its path with links resolved.

        Of a folder that is not there yet, the nearest one above that is.
        """
        at = resolved = self._without_links(path)
        below = ""
        while True:
            try:
                found = os.stat(at)  # noqa: PTH116 - of thousands
            except OSError:
                at, name = os.path.split(at)
                if not name:
                    return resolved, resolved
                below = f"/{name}{below}"
            else:
                return f"{found.st_dev}:{found.st_ino}{below}", resolved

    def _without_links(self, path: str) -> str:
        """``path`` with links resolved; folders of a queue stand side by side, so that the one above is known."""
        above, name = os.path.split(path)
        if name in {"", ".", ".."}:
            return os.path.realpath(path)
        at = os.path.join(self._parent(above), name)  # noqa: PTH118 - of thousands
        return os.path.realpath(at) if os.path.islink(at) else at  # noqa: PTH114 - of thousands


def _key(document: Mapping[str, Any], recording: Mapping[str, Any], prefix: str, option: str | None) -> str:
    """The key of the output, or its name in the folder that ``option`` names.

    Raises:
        ValueError: there is none.
    """
    channel, types = recording.get("MediaChannel"), recording.get("FileType")
    channel, types = (3 if channel is None else channel), (["mp4"] if types is None else types)
    if type(channel) is not int or channel not in _CHANNELS:
        raise ValueError("not a channel")
    if not isinstance(types, list) or not types or not isinstance(types[0], str) or types[0] not in _FILE_TYPES:
        raise ValueError("not a file type")
    job_id, internal = job_id_of(document), _object(document, "Internal")
    if job_id is None:
        raise ValueError("no job id")
    name = prefix
    if option:
        name = option.rpartition("/")[2] if is_local_path(option) else option
    pattern, unfit = output_pattern(name, output_extensions(types[0], is_sound=channel == _SOUND))
    if option and unfit:
        raise ValueError("an extension that does not fit")
    return substituted_key(pattern, job_id=job_id, room_id=_text(internal, "RoomId"), app_id=_text(internal, "AppId"))


def _in_store(vendor: str, bucket: str, storage: Mapping[str, Any], key: str) -> Destination:
    """An object, whichever of its service's addresses the job file has.

    Raises:
        SpecError, ValueError: the job file names no service.
    """
    # Imported here: most batches have folders.
    from owtmix.jobfile.spec import StorageSpec  # noqa: PLC0415
    from owtmix.storage.s3.endpoint import endpoint_url  # noqa: PLC0415
    from owtmix.storage.s3.options import S3Options  # noqa: PLC0415

    kind = _VENDORS.get(vendor)
    if kind is None:
        raise ValueError("not a vendor")
    region, endpoint = _text(storage, "Region") or None, _text(storage, "Endpoint") or None
    spec = StorageSpec(kind, bucket, region, endpoint, public_key=None, secret_key=None)
    host = endpoint_url(spec, S3Options(), "").partition("://")[2].removeprefix("internal.")
    return Destination(f"store {host}/{bucket}/{key}", f"{bucket}/{key}")


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _text(parent: Mapping[str, Any], key: str, default: str = "") -> str:
    """A text.

    Raises:
        ValueError: it is something else.
    """
    value = parent.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - as all that is wrong here
    return value
