"""The push of one mix to one target: its process is kept running, and receivers of ``job.living`` are told."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from owtmix.base.backoff import pause_s
from owtmix.base.errors import CODE_FAILED
from owtmix.base.plain_text import plain_line
from owtmix.notify.events import Event, ServiceStatus, WarnCode, kind_of
from owtmix.service.job_events import LIVING
from owtmix.service.live_processes import LiveCommands, end_group, start_pusher
from owtmix.service.masking import MASK, masked_address

_log = logging.getLogger(__name__)

STATES: Final = ("starting", "living", "retrying", "refused", "slow", "ended")
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_STEADY_S: Final = 60.0
"""A process that ran so long had begun well: the pauses begin anew."""
_QUIET_S: Final = 60.0
"""A target that is slow again is told of at most this often."""
_END_S: Final = 5.0
"""How long a process may take to end when it is told to."""
_LONGEST_REASON: Final = 200

Tell = Callable[[Sequence[Event]], Awaitable[None]]


def ended(url: str) -> Event:
    """Nothing is pushed to ``url`` any more."""
    return LIVING.status(ServiceStatus.SERVICE_STATUS_EXITING, Url=masked_address(url))


class Push:
    """The push of the mix of the room in the folder ``room`` to ``url``, of which receivers learn by ``tell``.

    Attributes:
        state: One of ``STATES``.
        reason: Why it is retried, or refused; without the stream key.
    """

    def __init__(self, commands: LiveCommands, room: Path, url: str, tell: Tell, restarted: Callable[[], None]) -> None:
        self.state = "starting"
        self.reason = ""
        self._commands = commands
        self._room = room
        self._url = url
        self._masked = masked_address(url)
        self._tell = tell
        self._restarted = restarted
        self._ending = asyncio.Event()
        self._is_over = False
        self._child: asyncio.subprocess.Process | None = None
        self._told: set[str] = set()
        """What receivers were told: ``living``, or what has been wrong since then."""
        self._slow_again_s = 0.0

    def status(self) -> dict[str, Any]:
        """As JSON, for answers and pages."""
        return {"url": self._masked, "state": self.state, "reason": self.reason}

    async def run(self) -> None:
        """Push until it is ended. When its job does not push there any more, that is told."""
        failures = 0
        while not self._ending.is_set():
            began_s = asyncio.get_running_loop().time()
            try:
                status = await self._push_once()
            except OSError as error:
                status = None
                _log.warning("%s: no process pushes to %s: %s", self._room.name, self._masked, error)
            if self._ending.is_set():
                break
            has_failed = status != 0 or self.state not in {"refused", "ended"}
            failures = 1 if asyncio.get_running_loop().time() - began_s > _STEADY_S else failures + 1
            if has_failed:
                _log.warning("%s: the process that pushes to %s ended with %s", self._room.name, self._masked, status)
                self._restarted()
            if has_failed and failures == 1:
                code = WarnCode.SERVICE_WARN_PROCESS_RESTART
                await self._say(LIVING.warning(code, kind_of(code), Url=self._masked))
            if self.state not in {"refused", "ended"}:
                self.state = "retrying"
            self._told.discard("living")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s(failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S)):
                    await self._ending.wait()
        self.state = "ended"
        if not self._is_over:
            await self._say(ended(self._url))

    def let_end(self) -> None:
        """The mix is over: begin it anew no more; its process may push what is left."""
        self._is_over = True
        self._ending.set()

    async def end(self) -> None:
        """End it now, and wait for its process."""
        self._ending.set()
        if (child := self._child) is None or child.returncode is not None:
            return
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await child.wait()
        except TimeoutError:
            end_group(child.pid)
            await child.wait()

    def abandon(self) -> None:
        """End its process without waiting: the service ends."""
        if self._child and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.terminate()

    async def _push_once(self) -> int:
        """Run a process, and hear what it says; returns its exit status. Raises ``OSError``."""
        child = self._child = await start_pusher(self._commands, self._room, self._url)
        if self._ending.is_set():  # meanwhile
            await self.end()
        assert child.stdout
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:  # a line is too long
                continue
            if not line:
                return await child.wait()
            await self._take(line)

    async def _take(self, line: bytes) -> None:
        """Take what the process says. What is none of its states is ignored."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return
        state = found.get("state") if isinstance(found, dict) else None
        if state not in STATES:
            return
        self.state = state
        self.reason = self._clean(found.get("reason")) if state in {"retrying", "refused"} else ""
        if state == "slow":
            await self._tell_slow()
        elif state in {"living", "retrying", "refused"} and state not in self._told:
            self._told = {"living"} if state == "living" else {*self._told, state} - {"living"}
            await self._say(self._event())

    def _event(self) -> Event:
        if self.state == "living":
            return LIVING.status(ServiceStatus.SERVICE_STATUS_RUNNING, Url=self._masked)
        if self.state == "retrying":
            return LIVING.warning(WarnCode.PUSH_BROKEN, kind_of(WarnCode.PUSH_BROKEN), Url=self._masked)
        message = f"the target refuses the stream{': ' * bool(self.reason)}{self.reason}"
        return LIVING.error(CODE_FAILED, message, Url=self._masked)

    async def _tell_slow(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._slow_again_s:
            self._slow_again_s = now_s + _QUIET_S
            await self._say(LIVING.warning(WarnCode.PUSH_SLOW, kind_of(WarnCode.PUSH_SLOW), Url=self._masked))

    async def _say(self, event: Event) -> None:
        try:
            await self._tell([event])
        except sqlite3.Error as error:
            _log.warning("%s: it cannot be told of a push: %s", self._room.name, error)

    def _clean(self, reason: object) -> str:
        """A reason in one line, without the address, and the parts of it that may be the stream key."""
        text = plain_line(reason) if isinstance(reason, str) else ""
        text = text.replace(self._url, self._masked)
        for part in _secret_parts(self._url):
            text = text.replace(part, MASK)
        return text[:_LONGEST_REASON]


def _secret_parts(url: str) -> list[str]:
    """Parts of an address by RTMP that may be a key, the longest first."""
    parts = urlsplit(url)
    _, _, key = parts.path.removeprefix("/").partition("/")
    whole = f"{key}?{parts.query}" if parts.query else ""
    found = {whole, key, *key.split("/"), parts.query, *parts.query.split("&"), parts.password or "", parts.fragment}
    found |= {one.partition("=")[2] for one in parts.query.split("&")}
    return sorted((one for one in found if one), key=len, reverse=True)
