"""The running service: its parts joined, its web server, and how it ends."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from owtmix.base.errors import SetupError
from owtmix.base.own_files import make_folder, own_file
from owtmix.jobfile.settings import Settings
from owtmix.notify.options import SenderOptions
from owtmix.notify.sender import Sender
from owtmix.service import callbacks, jobs
from owtmix.service.app import Service
from owtmix.service.callbacks import Callbacks
from owtmix.service.control import Control
from owtmix.service.database import DATABASE, Database
from owtmix.service.finishing import Site
from owtmix.service.metrics import Metrics
from owtmix.service.patient_protocol import protocol_for
from owtmix.service.recordings import Recordings
from owtmix.service.room_files import remove_rooms
from owtmix.service.rtmp import Rtmp
from owtmix.service.store_check import store_check
from owtmix.service.tokens import TokenCheck
from owtmix.service.whip import Whip
from owtmix.workers.limits import available_cores

_log = logging.getLogger(__name__)

_SWEEP_S: Final = 30.0
_DAY_US: Final = 86_400_000_000
_LAST_CALLBACKS_S: Final = 5.0
_IDLE_CONNECTION_S: Final = 75
_MOST_CONNECTIONS: Final = 10_000
"""More are answered with 503: each takes a descriptor, and some memory."""
_MOST_ATTEMPTS: Final = 512
"""Callbacks at the same time, of all jobs: receivers that hang must not hold up those of others."""
_FILES: Final = 65_536


class Server:
    """The service with ``settings``, whose database and rooms are in ``state``.

    Raises:
        SetupError: the database or its folder cannot be used.
    """

    def __init__(self, settings: Settings, state: Path) -> None:
        service = settings.service
        self._lock = _locked(state)
        _raise_file_limit()
        self._days = service.days
        self._state = state
        self._operators = service.operators
        self._database = Database(state / DATABASE)
        options = SenderOptions(
            settings.network.allow, settings.callbacks.signing_key, most_attempts=_MOST_ATTEMPTS, forgets=True
        )
        self._sender = Sender(Callbacks(state / DATABASE), options)
        metrics = Metrics()
        site = Site(
            self._database,
            state,
            service,
            self._wake,
            metrics.restarts.inc,
            _now_us,
            asyncio.Semaphore(available_cores()),
            settings.limits.require_confinement,
        )
        self._recordings = Recordings(site)
        tokens = TokenCheck(service.apps, service.token_lifetime_s, service.token_skew_s)
        most_mixes = service.max_mixes or max(1, available_cores() // 2)
        self._control = Control(
            self._database, tokens, self._recordings, service.max_jobs, store_check(settings), _now_us, most_mixes
        )
        whip = Whip(self._recordings, tokens)
        rtmp = Rtmp(self._recordings, tokens) if service.rtmp else None
        self._service = Service(
            self._database,
            self._control,
            self._recordings,
            metrics,
            whip,
            rtmp,
            state,
            service.operators,
            tokens.takes_all,
        )
        self._stops = 0
        self._ended = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        """Serve those who connect to ``listening`` until a signal ends it."""
        app = self._service.app(self._lifespan)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            http=protocol_for(self._operators),
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=_IDLE_CONNECTION_S,
            lifespan="on",
        )
        web = _Web(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        serving = asyncio.create_task(web.serve([listening]))
        ending = asyncio.create_task(self._ended.wait())
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        web.should_exit = True
        ending.cancel()
        try:
            await serving
        finally:
            for task in list(self._background):
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
            await self._recordings.abandon()
            await asyncio.to_thread(self._sender.finish, _LAST_CALLBACKS_S if self._stops == 1 else 0)
            self._database.close()
            os.close(self._lock)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._database.run(callbacks.retry_left)
        await self._recordings.resume()
        self._wake()
        self._in_background(self._sweep())
        yield

    def _stop(self) -> None:
        """End all jobs at the first signal, and the service itself at the second."""
        self._stops += 1
        if self._stops == 1:
            _log.info("ending: jobs are stopped and finished; once more ends at once, and the next start goes on")
            self._control.draining = True
            self._in_background(self._drain())
        else:
            self._ended.set()

    async def _drain(self) -> None:
        try:
            await self._recordings.drain()
        finally:
            self._ended.set()

    async def _sweep(self) -> None:
        """End what was never started, and forget what ended long ago."""
        while True:
            now_us = _now_us()
            try:
                await self._database.run(partial(jobs.end_unstarted, now_us=now_us))
                forgotten = await self._database.run(partial(jobs.forget, before_us=now_us - self._days * _DAY_US))
                await asyncio.to_thread(remove_rooms, self._state, forgotten)
            except sqlite3.Error as error:  # the disk is full, perhaps
                _log.warning("nothing is swept now: %s", error)
            await asyncio.sleep(_SWEEP_S)

    def _wake(self) -> None:
        """Send the callbacks that were stored."""
        with suppress(sqlite3.Error):  # they are sent with the next ones
            if urls := self._database.read(callbacks.waiting_urls):
                self._sender.send(urls)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class _Web(uvicorn.Server):
    """uvicorn, which leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _locked(state: Path) -> int:
    """A descriptor that holds the folder of the service, which is made when it is missing.

    Raises:
        SetupError: another service holds it, or it cannot be used.
    """
    try:
        make_folder(state)
        lock = own_file(state / "lock", os.O_WRONLY | os.O_CREAT)
    except OSError as error:
        raise SetupError(f"the folder {state} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SetupError(f"another owt-server uses the folder {state}") from None
    return lock


def _raise_file_limit() -> None:
    """Let the service open as many files as it may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _now_us() -> int:
    return time.time_ns() // 1000
