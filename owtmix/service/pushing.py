"""All targets that a mix is pushed to: begun and ended as the configuration of its job says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from owtmix.service.jobs import Job
from owtmix.service.live_config import targets
from owtmix.service.live_processes import LiveCommands, end_group, strays
from owtmix.service.push import Push, Tell

_log = logging.getLogger(__name__)

_LAST_S: Final = 5.0
"""How long what is left of a mix may be pushed when it has ended."""


class Pushing:
    """The pushes of the mix of the room in the folder ``room``."""

    def __init__(self, commands: LiveCommands, room: Path, tell: Tell, restarted: Callable[[], None]) -> None:
        self._commands = commands
        self._room = room
        self._tell = tell
        self._restarted = restarted
        self._pushes: dict[str, tuple[Push, asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def end_strays(self) -> None:
        """End the processes that an earlier process of the service left: a target takes one at a time."""
        for pid in strays(self._commands.pushing(self._room)):
            end_group(pid)

    def change(self, job: Job) -> None:
        """Push to the targets of ``job``, and to no others."""
        wanted = targets(job.document)
        for url in [url for url in self._pushes if url not in wanted]:
            push, task = self._pushes.pop(url)
            self._do_beside(self._end(push, task))
        for url in wanted:
            if url not in self._pushes:
                push = Push(self._commands, self._room, url, self._tell, self._restarted)
                self._pushes[url] = push, asyncio.create_task(push.run())

    def status(self) -> list[dict[str, Any]]:
        """The targets, without their stream keys, as JSON."""
        return [push.status() for push, _ in self._pushes.values()]

    async def end(self) -> None:
        """The mix has ended: what is left of it is pushed for some seconds, then all processes are ended."""
        for push, _ in self._pushes.values():
            push.let_end()
        if tasks := [task for _, task in self._pushes.values()]:
            await asyncio.wait(tasks, timeout=_LAST_S)
        await asyncio.gather(*(self._end(*one) for one in self._pushes.values()), *self._leaving)
        self._pushes.clear()

    async def leave(self) -> None:
        """The service ends: so do its pushes, of which the next one begins new ones."""
        for push, task in self._pushes.values():
            push.abandon()
            task.cancel()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._pushes.values()), *self._leaving, return_exceptions=True)

    @staticmethod
    async def _end(push: Push, task: asyncio.Task[None]) -> None:
        await push.end()
        try:
            await task
        except Exception:  # noqa: BLE001 - a push that failed ends all the same
            _log.exception("a push failed")

    def _do_beside(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
