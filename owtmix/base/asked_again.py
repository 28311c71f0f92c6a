"""Asks the system again for what it failed to give: a disk may be one of another machine, and be back in a moment."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final, TypeVar

from owtmix.base.shortage import memory_is_short

T = TypeVar("T")

PAUSES_S: Final = (0.02, 0.2, 1.0)
"""After which it is asked again."""
ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
)
"""Errors that say that nothing is there, or not for us: that is an answer."""
_FINAL: Final = ABSENT | {errno.EMFILE, errno.ENFILE, errno.EISDIR}


def asked_again(ask: Callable[[], T]) -> T:
    """What ``ask`` gives, which is asked several times in a second where the system fails.

    Raises:
        OSError: it fails each time, or says that nothing is there.
        ShortageError: it has no memory for it.
    """
    for pause_s in PAUSES_S:
        try:
            return ask()
        except OSError as error:
            if error.errno in _FINAL:
                raise
            time.sleep(pause_s)
    try:
        return ask()
    except OSError as error:
        if error.errno == errno.ENOMEM:  # the system says so, and no file
            raise memory_is_short() from error
        raise
