"""A bench: the part of a node that makes chunks of a job whose home is another machine.

It runs in a process of the cluster, and has a pool of one worker: recordings are opened there as confined as at home.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from owtmix.base.errors import MixError, RenderError, SetupError
from owtmix.base.own_files import make_folder, remove, write_whole
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.bench_inputs import BenchInputs
from owtmix.jobs.benches import Kit, build
from owtmix.jobs.scratch import remove_abandoned_scratch, scratch_folder
from owtmix.jobs.state import WORK, state_folder
from owtmix.jobs.worker_server import worker_server
from owtmix.plan.source_usage import source_usage
from owtmix.produce.tasks import ChunkTask
from owtmix.workers.base import Outcome
from owtmix.workers.local import WorkerPool

_log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 0.5
LONGEST_PIECE: Final = 1 << 29
"""In bytes; what is longer is made at home."""
_POLL_S: Final = 0.2


class Bench:
    """Made from the bytes of a ``Kit``. ``refused`` says why it does nothing; it is empty where it can."""

    def __init__(self, kit: bytes) -> None:
        self.refused = ""
        self._orders: queue.SimpleQueue[tuple[bytes, queue.SimpleQueue[bytes | None]] | None] = queue.SimpleQueue()
        ready = threading.Event()
        # The kernel ends a worker with the thread that started it: this one lasts as long as the process.
        self._thread = threading.Thread(target=self._serve, args=(kit, ready), name="bench", daemon=True)
        self._thread.start()
        ready.wait()

    def do(self, order: bytes) -> Iterator[bytes]:
        """Make a chunk; yields lines as those of a worker (``workers.protocol``), the last one with the track."""
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._orders.put((order, lines))
        while True:
            with suppress(queue.Empty):
                line = lines.get(timeout=_POLL_S)
                if line is None:
                    return
                yield line

    def close(self) -> None:
        """End the worker, and remove what was fetched unless another bench of the job uses it."""
        self._orders.put(None)
        self._thread.join()

    def _serve(self, kit_bytes: bytes, ready: threading.Event) -> None:
        with ExitStack() as held:
            try:
                work = self._set_up(kit_bytes, held)
            except MixError as error:
                self.refused = str(error)
            except Exception as error:  # noqa: BLE001 - the job's home goes on without this bench
                self.refused = f"{type(error).__name__}: {error}"
            finally:
                ready.set()
            while order := self._orders.get():
                data, lines = order
                try:
                    if not self.refused:
                        work(data, lines)
                finally:
                    lines.put(None)

    def _set_up(self, kit_bytes: bytes, held: ExitStack) -> Callable[[bytes, queue.SimpleQueue[bytes | None]], None]:
        """What makes chunks.

        Raises:
            SetupError: this node cannot take part.
        """
        kit = Kit.unpack(kit_bytes)
        if kit is None:
            raise SetupError(f"it has another build of owtmix ({build()['code'][:12]}) than the job's machine")
        settings = read_settings(settings_file())
        required = kit.limits.required | frozenset(settings.limits.require_confinement)
        state = state_folder()
        remove_abandoned_scratch(state)
        folder = held.enter_context(scratch_folder(state))
        inputs = held.enter_context(shared_folder(state, kit.job))
        tracks = folder / "tracks"
        make_folder(tracks)
        limits = replace(kit.limits, required=required)
        pool = held.enter_context(WorkerPool(1, limits, lambda _: None, server=worker_server()))
        pool.allow(read=[inputs], write=[tracks])
        _ = pool.confinement  # raises where it does not suffice
        images = {}
        for number, (source, rgba) in enumerate(kit.images.items()):
            images[source] = tracks / f"image-{number}.rgba"
            write_whole(images[source], rgba)
        return _Maker(pool, BenchInputs(kit, settings, inputs), images, tracks).make


class _Maker:
    """Makes chunks in a pool's worker, with inputs and images of this node."""

    def __init__(self, pool: WorkerPool, inputs: BenchInputs, images: dict[str, Path], tracks: Path) -> None:
        self._pool = pool
        self._inputs = inputs
        self._images = images
        self._tracks = tracks
        self._beaten_s = 0.0

    def make(self, order: bytes, lines: queue.SimpleQueue[bytes | None]) -> None:
        """Make a chunk; errors of any kind become a line."""

        def beat() -> None:
            if time.monotonic() - self._beaten_s >= HEARTBEAT_S:
                self._beaten_s = time.monotonic()
                lines.put(_line("waiting", None))

        task: ChunkTask = pickle.loads(order)  # noqa: S301 - from the job's home
        track = self._tracks / "track"
        lines.put(_line("begun", None))
        try:
            here = self._localized(task, track, beat)
            self._pool.allow(recordings=self._inputs.paths)
            (outcome,) = self._pool.run([here], lambda _, done_s: lines.put(_line("progress", done_s)), watch=beat)
            for line in _result(outcome, track):
                lines.put(line)
        except MixError as error:
            lines.put(_line("error", ["RenderError", str(error)]))
        except Exception as error:  # noqa: BLE001 - the home makes it then
            lines.put(_line("error", ["RenderError", f"{type(error).__name__}: {error}"]))
        finally:
            with suppress(OSError):
                remove(track)

    def _localized(self, task: ChunkTask, track: Path, beat: Callable[[], None]) -> ChunkTask:
        """The task with the files of this node; sources that the chunk does not show stay as they are."""
        setup = task.setup
        files = list(setup.files)
        for source in source_usage(setup.plan, [task.frames], sound=False):
            files[source] = self._inputs.bring(files[source], beat)
        images = {source: replace(image, rgba=self._images[source]) for source, image in setup.images.items()}
        return replace(task, setup=replace(setup, files=tuple(files), images=images), track=track, threads=1)


def _result(outcome: Outcome[ChunkTask], track: Path) -> Iterator[bytes]:
    """The last lines about a task, as a worker says them; the very last one has the track behind it."""
    if outcome.death:
        raise RenderError(f"the process {outcome.death}")
    if outcome.error:
        raise outcome.error
    if track.stat().st_size > LONGEST_PIECE:
        raise RenderError(f"the piece has more than {LONGEST_PIECE >> 20} MiB")
    for warning in outcome.warnings:
        yield _line("warning", warning)
    yield _line("progress", outcome.done_s)
    value = TypeAdapter(ChunkTask.result).dump_python(outcome.value, mode="json")
    descriptor = os.open(track, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        yield _line("result", value) + b"\n" + file.read(LONGEST_PIECE)


def _line(kind: str, value: Any) -> bytes:
    return json.dumps([kind, value]).encode()


class shared_folder:  # noqa: N801 - it reads like a word: ``with shared_folder(state, job) as folder:``
    """A folder that the benches of one job on this machine share; the last of them removes it.

    When all are killed, the next start of any job or bench removes it.
    """

    def __init__(self, state: Path, job: str) -> None:
        self._path = state / WORK / ".scratch" / f"bench-{job}"
        self._held = -1

    def __enter__(self) -> Path:
        while True:
            make_folder(self._path)
            with suppress(FileNotFoundError):  # another bench, the last one, removed it just now
                held = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                fcntl.flock(held, fcntl.LOCK_SH)
                with suppress(OSError):
                    if os.path.samestat(os.fstat(held), self._path.lstat()):
                        self._held = held
                        return self._path
                os.close(held)

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while another bench has it
            remove(self._path)
        os.close(self._held)
