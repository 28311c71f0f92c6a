"""The recorder's processes: those that receive a room, which outlive the service, and those that finish one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import own_file
from owtmix.recorder.control import RoomControl
from owtmix.service.room_files import FINISH_LOG, ROOM_LOG
from owtmix.workers.child_environment import child_environment

_START_S: Final = 30.0
_KEPT_FROM_FINISHING: Final = ("OWT_APPS", "OWT_CALLBACK_SECRET")
_LONGEST_RESULT: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """How finishing ended.

    Attributes:
        status: The exit status, as of ``owt-main``; negative for a signal.
        result: What it printed, as JSON; empty where it printed nothing.
    """

    status: int
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """Why it failed."""
        error = self.result.get("error")
        if isinstance(error, dict) and error.get("message"):
            return str(error["message"])
        return f"finishing ended by signal {-self.status}" if self.status < 0 else f"finishing ended with {self.status}"


async def open_room(folder: Path) -> RoomControl:
    """Connect to the process that receives the room of ``folder``, which is started when there is none.

    Raises:
        OSError: it could not be started, or does not listen.
    """
    with suppress(OSError):
        return await RoomControl.connect(folder)
    log = own_file(folder / ROOM_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        child = await asyncio.create_subprocess_exec(
            *_module("room"),
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            env=child_environment(),
            start_new_session=True,
        )
    finally:
        os.close(log)
    connecting = asyncio.create_task(RoomControl.connect(folder, within_s=_START_S))
    ending = asyncio.create_task(child.wait())
    await asyncio.wait({connecting, ending}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        raise OSError(f"the process that receives the room ended at once, with {child.returncode}: see {ROOM_LOG}")
    return await connecting


async def is_received(folder: Path) -> bool:
    """Whether a process receives the room of ``folder``."""
    try:
        control = await RoomControl.connect(folder)
    except OSError:
        return False
    await control.close()
    return True


async def end_room(folder: Path) -> None:
    """End the process that receives the room of ``folder``.

    Raises:
        OSError, TimeoutError, RoomRefusedError: there is none, or it does not answer.
    """
    control = await RoomControl.connect(folder)
    try:
        await control.stop()
    finally:
        await control.close()


async def finish(folder: Path, keys: bytes, *, session: str = "", upload: bool = False, mix: bool = False) -> Finished:
    """Make files of what was received, of one ``session`` or of all; with ``upload`` they are uploaded.

    With ``mix`` only the mix of the room is uploaded.

    Raises:
        OSError: the process could not be started.
    """
    options = [*(["--session", session] if session else []), *["--upload"] * upload, *["--mix"] * mix]
    log = own_file(folder / FINISH_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    kept = {name: value for name, value in os.environ.items() if name not in _KEPT_FROM_FINISHING}
    try:
        child = await asyncio.create_subprocess_exec(
            *_module("finish"),
            str(folder),
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=kept | child_environment(),
            limit=_LONGEST_RESULT,
            process_group=0,
        )
    finally:
        os.close(log)
    try:
        output, _ = await child.communicate(keys)
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        await child.wait()
        raise
    assert child.returncode is not None
    try:
        result = json.loads(output)
    except ValueError:
        result = None
    return Finished(child.returncode, result if isinstance(result, dict) else {})


def _module(name: str) -> list[str]:
    return [sys.executable, "-P", "-m", f"owtmix.recorder.{name}"]
