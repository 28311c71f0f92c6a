"""What runs on a node of a cluster for one attempt: ``owt-main`` as a child of the task's process."""

from __future__ import annotations

import json
import pickle
import selectors
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from owtmix.batch.attempt import Attempt
from owtmix.batch.beginning import blame
from owtmix.batch.child_run import ChildRun, Finished
from owtmix.batch.command import Program, own_program
from owtmix.batch.messages import LARGEST_LOG
from owtmix.batch.policy import NOT_SET_UP

TELL_EVERY_S: Final = 1.0
STOP_S: Final = 5.0
"""How long a run that was asked to end may take."""
_LOOK_S: Final = 0.25
"""Also how long it takes until a cancelled task notices that."""


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt, and the program that makes it; with an empty command it is that of the node's installation."""

    program: Program
    attempt: Attempt

    def command(self) -> list[str]:
        """The command on this node; the run ends with this process."""
        program = self.program
        if not program.command:
            program = replace(program, command=own_program())
        arguments = program.arguments(self.attempt)
        # Callbacks that are left in a state folder of this node alone would never be sent.
        return arguments if program.state else [word for word in arguments if word != "--no-wait"]


def run(data: bytes) -> Iterator[bytes]:
    """Do the ``Order`` that is pickled in ``data``; yields frames: ``progress`` now and then, at last ``end``.

    When the task is cancelled, the run is asked to end, and is ended when it does not.
    """
    order: Order = pickle.loads(data)  # noqa: S301 - from the batch
    cfg = order.attempt.job.cfg
    if not cfg.is_file():
        error = f"the job file {cfg} is not there: nodes need it under the same path"
        yield _end(Finished(NOT_SET_UP, None, error, 0.0, 0.0, 0), "")
        return
    with tempfile.TemporaryDirectory(prefix="owtmix-run-") as folder:
        log = Path(folder) / "log"
        title = f"{order.attempt.job.id}, attempt {order.attempt.number}"
        command = order.command()
        try:
            child = ChildRun(command, log, title)
        except (OSError, ValueError) as error:
            found = blame(error, command)
            yield _end(Finished(found.exit_status, None, found.reason, 0.0, 0.0, 0), "")
            return
        try:
            yield from _follow(child)
            finished = child.finish()
        except BaseException:
            _stop(child)
            raise
        yield _end(finished, _text(log))


def _follow(child: ChildRun) -> Iterator[bytes]:
    """Read what a run says until it ends; yields its progress."""
    told, next_s = child.messages.progress, 0.0
    with selectors.DefaultSelector() as selector:
        for descriptor in (child.pidfd, *child.pipes):
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(_LOOK_S):
                if key.fd == child.pidfd:
                    return
                if not child.read(key.fd):
                    selector.unregister(key.fd)
            if child.messages.progress != told and time.monotonic() >= next_s:
                told, next_s = child.messages.progress, time.monotonic() + TELL_EVERY_S
                yield _frame("progress", asdict(told))


def _stop(child: ChildRun) -> None:
    """End a run: first it may keep what the next one goes on with."""
    child.stop()
    with selectors.DefaultSelector() as selector, suppress(OSError):
        selector.register(child.pidfd, selectors.EVENT_READ)
        selector.select(STOP_S)
    child.kill()
    child.finish()


def _end(finished: Finished, log: str) -> bytes:
    return _frame("end", asdict(finished) | {"log": log})


def _text(log: Path) -> str:
    try:
        with log.open("rb") as file:
            return file.read(LARGEST_LOG).decode(errors="replace")
    except OSError:
        return ""


def _frame(kind: str, value: dict[str, Any]) -> bytes:
    return json.dumps([kind, value]).encode()
