"""Keeps the process that mixes a room running until it has made the mix (docs/service.md, "Live mixing")."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from owtmix.base.backoff import pause_s
from owtmix.recorder.live_folder import LiveFolder, MixResult, MixState
from owtmix.service.live_processes import MIX_LOG, LiveCommands, end_group, start_mixer, strays

_log = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 8
"""At composing the rest of a room that has ended, after which the mix is given up."""
TOLD_FROM: Final = 3
"""Failures in a row, after which receivers are told."""
_LOOK_S: Final = 0.25
_FRESH_S: Final = 4.0
"""The process tells how far it is every 2 s. When it does not, the mix falls behind as time goes."""
_SILENT_S: Final = 600.0
"""A process that has told nothing for so long hangs. Long chunks of a busy machine take a minute."""
_STEADY_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_LINGER_S: Final = 5.0
"""How long the process may take to end when it has made the mix."""


class Watcher(Protocol):
    """Who learns what becomes of the process."""

    async def looked(self, state: MixState, behind_s: float) -> None:
        """The mix is so far, and so far behind."""

    async def recovered(self) -> None:
        """A process that was lost is there again, and goes on."""

    async def failing(self) -> None:
        """No process stays."""


class Mixer:
    """The process that mixes the room in the folder ``room``; ``prepare`` is awaited before one is started.

    Attributes:
        state: How far the mix was when it was looked at last.
    """

    def __init__(
        self,
        commands: LiveCommands,
        room: Path,
        watcher: Watcher,
        prepare: Callable[[], Awaitable[None]],
        restarted: Callable[[], None],
    ) -> None:
        self.state = MixState()
        self._commands = commands
        self._room = room
        self._live = LiveFolder(room)
        self._watcher = watcher
        self._prepare = prepare
        self._restarted = restarted
        self._stopping = asyncio.Event()
        self._version = (0, 0)
        self._told_s = 0.0
        """When the process was last seen to tell how far it is."""
        self._child: asyncio.subprocess.Process | None = None

    @property
    def behind_s(self) -> float:
        """By how much the mix is behind live."""
        if self.state.begun_us is None:
            return 0.0
        silent_s = asyncio.get_running_loop().time() - self._told_s
        return self.state.behind_s + (silent_s if silent_s > _FRESH_S else 0.0)

    def stop(self) -> None:
        """Have the rest of the room composed. Raises ``OSError``."""
        self._live.stop()
        self._stopping.set()

    async def run(self) -> MixResult | None:
        """Keep a process running until the mix is made; None where that is given up.

        Raises:
            OSError, sqlite3.Error: no process can be started: the machine is short of something.
        """
        self._live.make()
        self.state = self._live.state() or self.state
        self._told_s = asyncio.get_running_loop().time()
        was_lost = False
        is_again = self._live.has_begun()
        failures = after_stop = 0
        while (result := self._result()) is None:
            began_s = asyncio.get_running_loop().time()
            self._child = None
            if not self._live.is_held():
                was_lost = was_lost or is_again
                if is_again:
                    self._restarted()
                await self._prepare()
                self._child = await start_mixer(self._commands, self._room)
            is_again = True
            was_lost = await self._watch(began_s, was_lost=was_lost)
            if self._live.result() is not None:
                continue
            steady = asyncio.get_running_loop().time() - began_s > _STEADY_S
            failures = 1 if steady else failures + 1
            after_stop = (1 if steady else after_stop + 1) if self._stopping.is_set() else 0
            how = f"with {self._child.returncode}" if self._child else "unseen"
            _log.warning("%s: the process that mixes the room ended %s: see %s", self._room.name, how, MIX_LOG)
            if failures == TOLD_FROM:
                await self._watcher.failing()
            if after_stop >= MOST_ATTEMPTS:
                return None
            await self._pause(pause_s(after_stop or failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
        if was_lost:
            await self._watcher.recovered()
        return result

    async def wait_for_end(self) -> None:
        """Wait until the process has ended, which has made the mix; one that does not end is killed."""
        until_s = asyncio.get_running_loop().time() + _LINGER_S
        while self._runs():
            if asyncio.get_running_loop().time() > until_s:
                self._kill()
                until_s += _LINGER_S
            await asyncio.sleep(_LOOK_S / 5)

    def _result(self) -> MixResult | None:
        """The result; one that is none, and that no process is about to write, is forgotten."""
        if (result := self._live.result()) is None and not self._live.is_held():
            self._live.drop_result()
        return result

    async def _watch(self, began_s: float, *, was_lost: bool) -> bool:
        """Look after the process, which runs since ``began_s``, until it is gone or has made the mix.

        Returns:
            Whether nobody was told yet that the one before ``was_lost``.
        """
        self._version = self._live.version()
        while self._runs():
            if self._look() and was_lost:
                await self._watcher.recovered()
                was_lost = False
            await self._watcher.looked(self.state, self.behind_s)
            if self._live.result() is not None:
                break
            if asyncio.get_running_loop().time() - max(self._told_s, began_s) > _SILENT_S:
                _log.error("%s: the process that mixes the room hangs, and is killed", self._room.name)
                self._kill()
            await self._wait()
        return was_lost

    def _look(self) -> bool:
        """Take what the process tells; whether it has told anything new."""
        if (version := self._live.version()) == self._version:
            return False
        if (state := self._live.state()) is None:  # it is being written
            return False
        self._version, self.state = version, state
        self._told_s = asyncio.get_running_loop().time()
        return True

    def _runs(self) -> bool:
        return self._child.returncode is None if self._child else self._live.is_held()

    def _kill(self) -> None:
        for pid in [self._child.pid] if self._child else strays(self._commands.mixing(self._room)):
            end_group(pid)

    async def _wait(self) -> None:
        """Wait for a moment, or until the process ends."""
        if self._child is None:
            await asyncio.sleep(_LOOK_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._child.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait, until the room ends at most."""
        if self._stopping.is_set():
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
