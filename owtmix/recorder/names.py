"""The names of files that the recorder makes: safe in every store, and recognisable."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from owtmix.base.ids import StreamId

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.-]|^\.")
_LONGEST: Final = 120
"""In bytes, of a stream in a name."""
_SESSION: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_DIGEST: Final = 16


def file_name(stream: StreamId, session: str, part: int, extension: str) -> str:
    """The name of file ``part`` of a session: ``alice_1-a1b2c3.webm``, the next ones ``alice_1-a1b2c3-1.webm``, ....

    Section 11 of the API document names files after streams. A stream may come back, so a session's id follows, of
    which there is one only. Bytes that are not plain in names and URLs become ``~`` and two hexadecimal digits.
    """
    name = _UNSAFE.sub(lambda found: b"~%02X" % found[0][0], str(stream).encode(errors="surrogatepass")).decode()
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}~~{_digest(str(stream))}"
    own = session if _SESSION.fullmatch(session) else f"x{_digest(session)}"
    return f"{name}-{own}{f'-{part}' * bool(part)}.{extension}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
