"""Identifiers of jobs and streams."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from owtmix.base.strict_json import CONTROL

JOB_ID_PATTERN: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
"""Regular expression of a job id. A job id is also the name of files and folders."""

MAX_STREAM_ID: Final = 256
"""In characters. Names are compared in a normal form, which takes the square of the combining marks in a row."""


def is_job_id(text: str) -> bool:
    """Whether ``text`` is a valid job id."""
    return re.fullmatch(JOB_ID_PATTERN, text) is not None


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """A stream id, ``user_type`` (API document, section 1.2). Type 1 is a camera, 2 a screen."""

    user: str
    type: int

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Split ``user_type`` at the last underscore: a user id may contain underscores. Names are compared as NFC.

        Raises:
            ValueError: The user is empty or contains control characters, the type is neither 1 nor 2, or there are
                more than ``MAX_STREAM_ID`` characters.
        """
        _check_length(text)
        user, _, kind = text.rpartition("_")
        if not user or CONTROL.search(user) or kind not in {"1", "2"}:
            raise ValueError('a stream id "user_type", where the type is 1 (camera) or 2 (screen)')
        found = cls(unicodedata.normalize("NFC", user), int(kind))
        _check_length(str(found))  # the normal form of some characters is three: what is read again must be one, too
        return found

    @property
    def is_screen(self) -> bool:
        return self.type == 2  # noqa: PLR2004

    def __hash__(self) -> int:
        return hash(self.user)  # which the text remembers: streams are looked up in sets millions of times

    def __str__(self) -> str:
        return f"{self.user}_{self.type}"


def _check_length(text: str) -> None:
    if len(text) > MAX_STREAM_ID:
        raise ValueError(f'a stream id "user_type" of at most {MAX_STREAM_ID} characters (here {len(text):,})')
