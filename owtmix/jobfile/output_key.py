"""The key of an output, from ``FileNamePrefix`` or from ``--output``."""

from __future__ import annotations

import re
from typing import Final

from owtmix.jobfile.object_key import normal_key

_VARIABLE: Final = re.compile(r"\$(JobId|Jobid|RoomId|AppId)")
_MEDIA_EXTENSION: Final = re.compile(r"\.(mp4|m4v|mov|m4a|webm|mkv|mka|avi|flv|ts)$", re.IGNORECASE)


def output_key(prefix: str, container: str, *, job_id: str, room_id: str, app_id: str) -> str:
    """``prefix`` with its variables replaced and the extension of ``container``; the job id names a file without name.

    Raises:
        ValueError: a variable has no value, or the result is no key (docs/semantics.md, "Reading the job file").
    """
    folder, slash, name = prefix.rpartition("/")
    name = _MEDIA_EXTENSION.sub("", name).strip()
    if name in {"", "."}:
        name = "$JobId"
    text = folder + slash + name
    values = {"JobId": job_id, "Jobid": job_id, "RoomId": room_id, "AppId": app_id}
    for variable in _VARIABLE.findall(text):
        if not values[variable]:
            raise ValueError(f"${variable} is used, and Internal.{variable} is missing")
    try:
        return normal_key(_VARIABLE.sub(lambda found: values[found[1]], text) + f".{container}")
    except ValueError as error:
        raise ValueError(f"not the key of an object: {error}") from None
