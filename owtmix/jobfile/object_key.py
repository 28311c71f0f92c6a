"""Keys of objects in a store: paths in a folder, or object keys of S3."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from owtmix.base.strict_json import CONTROL

MAX_KEY_BYTES: Final = 1024

_MEDIA_EXTENSION: Final = re.compile(
    r"\.(mp4|m4v|mov|m4a|webm|weba|mkv|mka|avi|flv|ts|mpg|mpeg|wmv|mp3|aac|wav|ogg|oga|ogv|opus|"
    r"flac|3gp|3g2|m4b|m4r|f4v|mts|m2ts|wma|aiff|amr|ac3|mp2|m3u8|gif|txt|json)$",
    re.IGNORECASE,
)
_VARIABLE: Final = re.compile(r"\$(JobId|Jobid|RoomId|AppId)")


def normal_key(text: str) -> str:
    """Normalize a key: remove empty and ``.`` segments. The result is relative.

    Raises:
        ValueError: ``text`` is empty, has control characters or a ``..`` segment, or exceeds 1,024 bytes of UTF-8
            (docs/semantics.md, "Reading the job file"). The message says which.
    """
    segments = [segment for segment in text.split("/") if segment not in {"", "."}]
    if not segments:
        raise ValueError("it has no name")
    if ".." in segments:
        raise ValueError('".." as a segment would leave the store')
    if CONTROL.search(text):
        raise ValueError("control characters are not accepted")
    key = "/".join(segments)
    if any("\ud800" <= character <= "\udfff" for character in key):
        raise ValueError("it is not UTF-8")
    if (length := len(key.encode())) > MAX_KEY_BYTES:
        raise ValueError(f"more than {MAX_KEY_BYTES:,} bytes: {length:,}")
    return key


def normal_form(key: str) -> str:
    """``key`` in Unicode's normal form NFC, in which names are compared."""
    return unicodedata.normalize("NFC", key)


def forms(key: str) -> list[str]:
    """The spellings under which a store may have ``key``: as it is, composed and decomposed."""
    return list(dict.fromkeys((key, *(unicodedata.normalize(form, key) for form in ("NFC", "NFD")))))


def substitute_variables(text: str, job_id: str, room_id: str, app_id: str) -> tuple[str, list[str]]:
    """Replace ``$JobId``, ``$Jobid``, ``$RoomId`` and ``$AppId`` in ``text``.

    Returns:
        The result, and the names of variables whose value is empty, in order of use.
    """
    values = {"JobId": job_id, "Jobid": job_id, "RoomId": room_id, "AppId": app_id}
    missing = [name for name in _VARIABLE.findall(text) if not values[name]]
    return _VARIABLE.sub(lambda found: values[found[1]], text), missing


def substituted_key(text: str, *, job_id: str, room_id: str, app_id: str) -> str:
    """The key that ``text`` with variables stands for.

    Raises:
        ValueError: a variable has no value, or the result is no key. The message says which.
    """
    key, missing = substitute_variables(text, job_id, room_id, app_id)
    if missing:
        raise ValueError(f"${missing[0]} is used, but Internal.{missing[0]} is missing")
    try:
        return normal_key(key)
    except ValueError as error:
        raise ValueError(f"not a valid object key: {error}") from None


def output_extensions(file_type: str, *, is_sound: bool) -> tuple[str, ...]:
    """The extensions that fit an output of ``file_type``, sound alone or not; the usual one first."""
    return ("mp4", "m4a") if file_type == "mp4" and is_sound else (file_type,)


def output_pattern(prefix: str, extensions: Sequence[str]) -> tuple[str, str]:
    """The pattern of the output's key: ``prefix`` with one of ``extensions``, the first if it has none that fits.

    The name is ``$JobId`` if ``prefix`` has none.

    Returns:
        The pattern, and the extension of ``prefix`` that does not fit, empty when it does.
    """
    folder, slash, name = prefix.rpartition("/")
    found = _MEDIA_EXTENSION.search(name)
    written = found[1].lower() if found else ""
    name = _MEDIA_EXTENSION.sub("", name).strip()
    if name in {"", "."}:
        name = "$JobId"
    extension = written if written in extensions else extensions[0]
    return f"{folder}{slash}{name}.{extension}", "" if written in {"", extension} else written
