"""The terminal of standard error, on which progress is drawn."""

from __future__ import annotations

import os
import sys


def owns_terminal() -> bool:
    """Whether stderr is a terminal and this process is in its foreground group (not started with ``&``)."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False
