"""Object keys: the names of things in a store, the same for a folder and for S3."""

from __future__ import annotations

from typing import Final

from owtmix.base.strict_json import CONTROL

MAX_KEY_BYTES: Final = 1024


def normal_key(text: str) -> str:
    """``text`` without empty and ``.`` segments; always relative, never climbing.

    Raises:
        ValueError: when ``text`` is empty, holds control characters or ``..`` as a segment, or exceeds 1,024 bytes of
            UTF-8 (semantics.md, "Reading the job file"). The message says which.
    """
    segments = [segment for segment in text.split("/") if segment not in {"", "."}]
    if not segments:
        raise ValueError("it names nothing")
    if ".." in segments:
        raise ValueError('".." as a segment would leave the store')
    if CONTROL.search(text):
        raise ValueError("control characters are not accepted")
    key = "/".join(segments)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"more than {MAX_KEY_BYTES:,} bytes")
    return key
