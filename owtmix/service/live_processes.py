"""The processes of live mixing: one mixes a room, and outlives the service; one pushes to each target."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file
from owtmix.recorder.live_folder import LIVE
from owtmix.workers.child_environment import child_environment

MIX_LOG: Final = "mix.log"
PUSH_LOG: Final = "push.log"
LONGEST_LINE: Final = 1 << 16
_PYTHON: Final = (sys.executable, "-P", "-m")
_KEPT: Final = ("OWT_CONF",)
"""Of the environment, with what no child may have: where the settings are."""


@dataclass(frozen=True, slots=True)
class LiveCommands:
    """The commands of the processes, without the folder that each works in."""

    mix: tuple[str, ...] = (*_PYTHON, "owtmix.live.mix")
    push: tuple[str, ...] = (*_PYTHON, "owtmix.live.push")

    def mixing(self, room: Path) -> list[str]:
        return [*self.mix, str(room)]

    def pushing(self, room: Path) -> list[str]:
        return [*self.push, str(room / LIVE)]


async def start_mixer(commands: LiveCommands, room: Path) -> asyncio.subprocess.Process:
    """Start the process that mixes the room of a folder. Raises ``OSError``."""
    log = own_file(room / MIX_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return await asyncio.create_subprocess_exec(
            *commands.mixing(room),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            start_new_session=True,
        )
    finally:
        os.close(log)


async def start_pusher(commands: LiveCommands, room: Path, url: str) -> asyncio.subprocess.Process:
    """Start a process that pushes the mix to ``url``, which it reads: it is a secret.

    Its standard input stays open as long as the service is there.

    Raises:
        OSError: it cannot be started, or reads nothing.
    """
    log = own_file(room / PUSH_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        child = await asyncio.create_subprocess_exec(
            *commands.pushing(room),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=_environment(),
            limit=LONGEST_LINE,
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert child.stdin
    with suppress(ConnectionError):  # it has ended, which its end tells
        child.stdin.write(json.dumps({"url": url}).encode() + b"\n")
        await child.stdin.drain()
    return child


def strays(command: Sequence[str]) -> list[int]:
    """Processes of this user that an earlier process of the service left: those with exactly this command."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in command)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_bytes() == wanted and folder.stat().st_uid == os.geteuid():
                found.append(int(folder.name))
    return found


def end_group(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, which leads a group of its own, and to those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _environment() -> dict[str, str]:
    return child_environment() | {name: os.environ[name] for name in _KEPT if name in os.environ}
