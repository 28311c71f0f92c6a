"""The job id that stands in a job file, without checking the rest of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from owtmix.base.ids import is_job_id
from owtmix.base.strict_json import JsonError, read_object
from owtmix.jobfile.bounds import MAX_JOB_BYTES

_JOB_ID: Final = re.compile(r'"JobId"\s{0,100}:\s{0,100}"([^"\\]{1,128})"')
_OWN_JOB_ID: Final = re.compile(r'"Internal"\s{0,100}:\s{0,100}\{[^{}]{0,1000}?' + _JOB_ID.pattern)


def job_id_in(text: bytes) -> str | None:
    """The job id that stands in a job file, however wrong the file is otherwise; None without one."""
    text = text[:MAX_JOB_BYTES]
    try:
        return job_id_of(read_object(text, max_bytes=MAX_JOB_BYTES))
    except JsonError:
        return job_id_found(text)


def job_id_of(document: Mapping[str, Any]) -> str | None:
    """The job id of a job file that was parsed: where it belongs, or else at the top."""
    internal = document.get("Internal")
    for place in (internal, document):
        if isinstance(place, Mapping) and place.get("JobId") is not None:
            value = place["JobId"]
            return value if isinstance(value, str) and is_job_id(value) else None
    return None


def job_id_found(text: bytes) -> str | None:
    """What looks like the job id in a job file that cannot be parsed; None without one."""
    document = text[:MAX_JOB_BYTES].decode(errors="replace")
    found = _OWN_JOB_ID.search(document) or _JOB_ID.search(document)
    return found[1] if found and is_job_id(found[1]) else None
