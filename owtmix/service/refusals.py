"""Why a request is refused: a ``RetCode`` of the API document (section 14.3) and a sentence."""

from __future__ import annotations

from enum import IntEnum

from owtmix.base import errors


class RetCode(IntEnum):
    """Values of ``RetCode``."""

    OK = 0
    FAILED = errors.CODE_FAILED
    JOB_EXISTS = errors.CODE_JOB_EXISTS
    JOB_NON_EXISTENT = 3
    VIDEO_PARAM = errors.CODE_VIDEO_PARAM
    AUDIO_PARAM = errors.CODE_AUDIO_PARAM
    NO_STREAM = errors.CODE_NO_STREAM


class RefusedError(Exception):
    """A request is refused. The message is for the caller: it quotes no secret."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
