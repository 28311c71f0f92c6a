"""Runs a command in a pseudo-terminal of 80 columns."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from fcntl import ioctl


def run_in_terminal(command: Sequence[str], *, background: bool = False, timeout_s: float = 60) -> tuple[int, str]:
    """Run ``command`` with stdin and stderr on a new terminal. Returns its exit status and the text on the terminal.

    With ``background`` the command is not in the foreground of the terminal, as with ``command &`` in a shell.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color"}
    shell = ["sh", "-mc", 'true; "$@" & wait $!' if background else '"$@"; exit $?', "sh", *command]
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", *shell], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        drawn = _read_all(ours, time.monotonic() + timeout_s)
    os.close(ours)
    return process.returncode, drawn.decode(errors="replace")


def _read_all(terminal: int, deadline_s: float) -> bytes:
    drawn = b""
    while select.select([terminal], [], [], max(0, deadline_s - time.monotonic()))[0]:
        try:
            drawn += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            return drawn
    raise TimeoutError(drawn.decode(errors="replace"))
