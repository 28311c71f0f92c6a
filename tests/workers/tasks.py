"""Tasks that misbehave, each in its own way. Children import this module."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from owtmix.base.errors import InputError
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.file_access import FileAccess

MIB = 1 << 20
FOREVER_S = 3600
TESTS = FileAccess(read=frozenset([INSTALLATION]))
"""Children read these modules."""


@dataclass(frozen=True)
class Echo:
    """Returns ``payload``."""

    result: ClassVar[Any] = str
    payload: str = "done"
    name = "the task"

    def run(self, reporter: TaskReporter) -> Any:
        reporter.advance(0)
        return self.payload


class Pid(Echo):
    result: ClassVar[Any] = int

    def run(self, reporter: TaskReporter) -> int:
        reporter.advance(0)
        return os.getpid()


class Crash(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        reporter.checkpoint(1.5)
        ctypes.string_at(0)


class Sleep(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        reporter.warn(str(os.getpid()))
        time.sleep(FOREVER_S)


class HoldInterpreter(Echo):
    """Busy in C without letting any other Python thread run."""

    def run(self, reporter: TaskReporter) -> Any:
        reporter.warn(str(os.getpid()))
        ctypes.PyDLL(None).sleep(FOREVER_S)


class ClosePipe(Echo):
    """Closes its end of the pipe, and stays."""

    def run(self, reporter: Any) -> Any:
        reporter._pipe.close()
        time.sleep(FOREVER_S)


class UseMemory(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        held = []
        while True:
            held.append(b"\1" * (8 * MIB))
            reporter.advance(len(held))
            time.sleep(0.01)


class PrintAnywhere(Echo):
    """Prints to where reports go, and reads from where tasks come."""

    def run(self, reporter: TaskReporter) -> Any:
        print('["result", "from a library"]', flush=True)  # noqa: T201 - as a library might
        os.write(1, b'["result", "from C"]\n')
        os.write(2, b"\xff" * 100_000)
        sys.stderr.write("and errors")
        return super().run(reporter) + repr(os.read(0, 10))


class RaiseInputError(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        reporter.warn("about to raise")
        raise InputError(self.payload)


class RaiseError(Echo):
    def run(self, _reporter: TaskReporter) -> Any:
        raise ZeroDivisionError(self.payload)


class DieMidLine(Echo):
    def run(self, reporter: Any) -> Any:
        reporter.checkpoint(2)
        reporter._pipe.write(b'["result", "do')
        os.kill(os.getpid(), signal.SIGKILL)


class EchoMuch(Echo):
    """May have a long result."""

    replies = Replies(result_bytes=64 * MIB)

    def check(self, value: Any) -> None:
        pass


class Beat(Echo):
    """Reports for ever that it waits."""

    def run(self, reporter: TaskReporter) -> Any:
        while True:
            reporter.heartbeat()
            time.sleep(0.2)


class BeatBriefly(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        for _ in range(15):
            reporter.heartbeat()
            time.sleep(0.2)
        return self.payload


class Creep(Echo):
    """Reports progress for ever."""

    def run(self, reporter: TaskReporter) -> Any:
        done_s = 0.0
        while True:
            reporter.checkpoint(done_s := done_s + 0.001)
            time.sleep(0.2)


class CreepBriefly(BeatBriefly):
    """A task that may take long."""

    longest_s = 60.0


class GoInCircles(Echo):
    """Reports the same progress again and again."""

    def run(self, reporter: TaskReporter) -> Any:
        while True:
            for done_s in range(3):
                reporter.checkpoint(done_s)
                time.sleep(0.1)


class Nag(Echo):
    """Warns of as much as it can."""

    def run(self, reporter: TaskReporter) -> Any:
        for _ in range(100):
            reporter.warn("x" * 10_000)
        return self.payload


class UseUpTime(Echo):
    """Needs more CPU time than its process may use, as under ``ulimit -S -t``."""

    def run(self, _reporter: TaskReporter) -> Any:
        resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        while True:
            pass


class SendRaw(Echo):
    """Sends ``payload`` in place of a report."""

    def run(self, reporter: Any) -> Any:
        reporter._pipe.write(self.payload.encode())
        time.sleep(FOREVER_S)


class SleepBriefly(Echo):
    def run(self, reporter: TaskReporter) -> Any:
        reporter.warn("sleeping")
        time.sleep(1)
        return super().run(reporter)


class ReadFile(Echo):
    """Returns the text of the file ``payload``."""

    def run(self, reporter: TaskReporter) -> Any:
        reporter.advance(0)
        return Path(self.payload).read_text()


class MeasureMemory(Echo):
    """Returns the MiB that the process has."""

    result: ClassVar[Any] = int

    def run(self, reporter: TaskReporter) -> int:
        reporter.advance(0)
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 // MIB


class FreeMemory(MeasureMemory):
    """Holds pictures of many sizes, one size after the other, and frees them; beside each lies something that stays."""

    def run(self, reporter: TaskReporter) -> int:
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        for size in (4 * MIB, *range(MIB, 3 * MIB, MIB // 16)):
            pictures = []
            for _ in range(16):
                pictures.append(libc.malloc(size))
                ctypes.memset(pictures[-1], 1, size)
                ctypes.memset(libc.malloc(4096), 1, 4096)
            for picture in pictures:
                libc.free(picture)
        return super().run(reporter)


class Describe(Echo):
    """What the process is like from inside; ``payload`` is the port of a listener on loopback."""

    result: ClassVar[Any] = dict[str, Any]

    def run(self, reporter: TaskReporter) -> Any:
        reporter.advance(0)
        found = {
            "environment": dict(os.environ),
            "path": [str(Path(entry).resolve()) for entry in sys.path],
            "files": sorted(_links(Path("/proc/self/fd"))),
            "status": Path("/proc/self/status").read_text(),
            "oom_score_adj": Path("/proc/self/oom_score_adj").read_text().strip(),
        }
        try:
            socket.create_connection(("127.0.0.1", int(self.payload)), timeout=2).close()
        except OSError as error:
            found["connection"] = type(error).__name__
        try:
            found["parent"] = Path(f"/proc/{os.getppid()}/environ").read_text()
        except OSError as error:
            found["parent"] = type(error).__name__
        json.dumps(found)
        return found


def _links(folder: Path) -> list[str]:
    links = []
    for entry in list(folder.iterdir()):
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:  # the one that lists the folder
            continue
    return links
