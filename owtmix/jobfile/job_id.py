"""The job id that stands in a job file, without reading the file as one."""

from __future__ import annotations

import re
from typing import Final

from owtmix.base.ids import is_job_id
from owtmix.jobfile.bounds import MAX_JOB_BYTES

_JOB_ID: Final = re.compile(r'"JobId"\s{0,100}:\s{0,100}"([^"\\]{1,128})"')
_OWN_JOB_ID: Final = re.compile(r'"Internal"\s{0,100}:\s{0,100}\{[^{}]{0,1000}?' + _JOB_ID.pattern)


def job_id_in(text: bytes) -> str | None:
    """The job id that stands in a job file, however wrong the file is otherwise; None without one."""
    document = text[:MAX_JOB_BYTES].decode(errors="replace")
    found = _OWN_JOB_ID.search(document) or _JOB_ID.search(document)
    return found[1] if found and is_job_id(found[1]) else None
