"""Versions of objects in a bucket: ETags, with the time of the last change where these say nothing of the content."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_TELLS_NOTHING: Final = re.compile(r'"?0*(-[0-9]+)?"?|.{0,16}', re.DOTALL)
"""Some stores have one ETag for all objects, or none."""


def version_of(etag: str, modified: datetime | None) -> str:
    """What changes with the content of an object, as far as the store tells."""
    return etag if modified is None or tells_content(etag) else f"{etag}\n{modified.timestamp():.0f}"


def etag_of(version: str) -> str:
    """The ETag of a version; empty where it has none."""
    return version.partition("\n")[0]


def tells_content(version: str) -> bool:
    """Whether a version says what is in an object: those of other objects are equal only where that is."""
    return not _TELLS_NOTHING.fullmatch(etag_of(version))
