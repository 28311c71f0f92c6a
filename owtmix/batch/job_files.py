"""Job files as a batch reads them: what jobs could share, what costs are guessed from, and whether a file is one.

Nothing is checked, and little is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from owtmix.base.named_file import read_named_file
from owtmix.jobfile.bounds import MAX_JOB_BYTES
from owtmix.jobfile.job_id import job_id_found, job_id_of
from owtmix.jobfile.overrides import apply_overrides

KEPT_FILES: Final = 1024
"""So many job files are kept at a time: each is read once, though many jobs share it."""
_JOB_KEYS: Final = frozenset({"action", "internal", "data"})
"""Keys that a job file has, however wrong it is, and an index has not; in small letters."""
_JOB_FILE: Final = re.compile(rb'"(?:Action|Internal|Data)"\s{0,100}:', re.IGNORECASE)
_Keys = Mapping[str, "_Keys"]
_LEAF: Final[_Keys] = {}
_STORAGE: Final[_Keys] = dict.fromkeys(("Vendor", "Region", "Endpoint", "Bucket", "FileNamePrefix"), _LEAF)
_KEPT: Final[_Keys] = {
    "JobId": _LEAF,
    "Internal": dict.fromkeys(("JobId", "RoomId", "AppId"), _LEAF),
    "Data": {
        "InputConfig": {"Index": _LEAF, "StorageConfig": _STORAGE},
        "TranscodingConfig": {"Video": dict.fromkeys(("Width", "Height", "BitRate", "Fps"), _LEAF)},
        "RecordingConfig": {"MediaChannel": _LEAF, "FileType": _LEAF, "StorageConfig": _STORAGE},
    },
}
"""What tells the job id, the place of the output, and the cost."""
_LONGEST_LIST: Final = 4
"""More entries than a list here may have."""
_LONGEST_TEXT: Final = 5_000
"""In characters; longer than any text here may be."""
_OVERRIDES: Final = ("Internal", *(f"Data.{key}" for key in ("InputConfig", "TranscodingConfig", "RecordingConfig")))


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job file, as far as other jobs may be concerned.

    Attributes:
        digest: of its bytes.
        kind: ``other`` is plainly no job file but another JSON document; ``broken`` is no JSON at all.
        parts: what is kept of it; None when it cannot be parsed.
        id_found: the job id that seems to stand in a file that cannot be parsed.
    """

    digest: str
    kind: Literal["job", "other", "broken"]
    parts: Mapping[str, Any] | None = None
    id_found: str | None = None

    def document(self, overrides: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Its parts with what a job sets; None when it cannot be parsed."""
        if self.parts is None:
            return None
        return _overridden(self.parts, overrides)

    def job_id(self, overrides: Mapping[str, str]) -> str | None:
        """The job id that the job has with these overrides; None without one."""
        return job_id_of(_overridden(self.parts or {}, overrides)) or (None if self.parts else self.id_found)


def read_job_file(path: Path) -> JobFile:
    """Read a file that may be a job file.

    ``owt-main`` checks what it is given. Here ``json`` is enough, which takes a twentieth of the time.

    Raises:
        OSError: it cannot be read.
    """
    data = read_named_file(path, MAX_JOB_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    is_like_one = bool(_JOB_FILE.search(data))
    if len(data) > MAX_JOB_BYTES:  # the rest was not read
        return JobFile(digest, "job" if is_like_one else "other", id_found=job_id_found(data))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return JobFile(digest, "job" if is_like_one else "broken", id_found=job_id_found(data))
    keys = value if isinstance(value, dict) else {}
    is_job = is_like_one or any(key.lower() in _JOB_KEYS for key in keys)  # written with escapes, or in UTF-16
    return JobFile(digest, "job" if is_job else "other", _kept(keys, _KEPT))


def _overridden(parts: Mapping[str, Any], overrides: Mapping[str, str]) -> Mapping[str, Any]:
    own = {path: value for path, value in overrides.items() if path == "Data" or path.startswith(_OVERRIDES)}
    if not own:
        return parts
    document = _kept(parts, _KEPT)
    apply_overrides(document, own)
    return document


def _kept(value: Mapping[str, Any], keys: _Keys) -> dict[str, Any]:
    """A copy of an object with ``keys`` alone; what should be an object and is none stays what it is."""
    return {key: _copy(value[key], inner) for key, inner in keys.items() if key in value}


def _copy(value: Any, keys: _Keys) -> Any:
    if isinstance(value, dict):
        return _kept(value, keys)
    if isinstance(value, list):
        return [_copy(entry, _LEAF) for entry in value[:_LONGEST_LIST]]
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
