"""Why a run could not be begun: whether its job, the machine or the installation is to blame."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from owtmix.base.errors import MixError
from owtmix.base.shortage import machine_error, no_process
from owtmix.batch.policy import NOT_SET_UP, REJECTED

_LONGEST_ARGUMENT: Final = 2**17 - 1
"""In bytes: Linux takes no longer one, and few systems as many in all."""


@dataclass(frozen=True, slots=True)
class Blame:
    """The exit status that such a run counts with, the reason, and whether the machine is short of something."""

    exit_status: int
    reason: str
    is_shortage: bool = False


def blame(error: OSError | ValueError, command: Sequence[str]) -> Blame:
    """Who is to blame for ``error``, with which ``command`` could not be run."""
    if isinstance(error, ValueError):  # text that no argument can have
        return Blame(REJECTED, f"its options cannot be given to a program: {error}")
    if error.errno == errno.E2BIG and sum(map(len, map(os.fsencode, command))) > _LONGEST_ARGUMENT:
        most = f"{_LONGEST_ARGUMENT:,} bytes"
        return Blame(REJECTED, f"its options are too long for a command: what it sets may have {most}, written out")
    found: MixError | None = no_process() if error.errno == errno.EAGAIN else machine_error(error)
    if found:
        return Blame(NOT_SET_UP, found.message, is_shortage=True)
    return Blame(NOT_SET_UP, f"{command[0]} cannot be run: {error.strerror or error}")
