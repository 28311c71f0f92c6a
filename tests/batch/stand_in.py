"""A folder with jobs and a stand-in for ``owt-main``, which ends as the job file says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SCRIPT: Final = """#!{python} -ISs
import json, os, signal, sys, time
cfg = json.load(open(sys.argv[-1], "rb"))
test = cfg.get("Test", {{}})
options = {{}}
for word in sys.argv[1:-1]:
    name, _, value = word.partition("=")
    options.setdefault(name, []).append(value)
marks = {marks!r}
name = test.get("name", "x")
tries = len([mark for mark in os.listdir(marks) if mark.startswith(name + ".")])
with open(os.path.join(marks, name + "." + str(tries)), "w") as mark:
    json.dump({{"argv": sys.argv[1:], "pid": os.getpid(), "begun": time.monotonic()}}, mark)
if test.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
def on_death(*_):
    os._exit(130)
if "--parent" in options:
    import ctypes
    signal.signal(signal.SIGUSR1, on_death)
    ctypes.CDLL(None).prctl(1, signal.SIGUSR1, 0, 0, 0)
    if os.getppid() != int(options["--parent"][0]):
        on_death()
for line in test.get("says", []):
    print(line, file=sys.stderr, flush=True)
until = time.monotonic() + test.get("lasts_s", 0)
while time.monotonic() < until:
    if test.get("progress"):
        done = 100 - 100 * (until - time.monotonic()) / test["lasts_s"]
        told = {{"progress": {{"job_id": name, "stage": "composing", "percent": round(done, 1), "left_s": 3.0}}}}
        print(json.dumps(told), file=sys.stderr, flush=True)
    time.sleep(min(0.1, max(0, until - time.monotonic())))
beside, until = test.get("beside"), time.monotonic() + 40
while beside and not any(mark.startswith(beside + ".") for mark in os.listdir(marks)):
    if time.monotonic() > until:
        sys.exit(70)
    time.sleep(0.05)
ends = test.get("ends", [0])
how = ends[min(tries, len(ends) - 1)]
with open(os.path.join(marks, "log"), "a") as log:
    log.write(name + "\\n")
if test.get("takes_down"):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(10)
if how < 0:
    os.kill(os.getpid(), -how)
    time.sleep(10)
if how:
    kind, message = test.get("type", "MixError"), "it ended with " + str(how)
    print(json.dumps({{"error": {{"type": kind, "message": message, "exit_status": how}}}}))
else:
    result = {{"output": "/out/" + name, "duration_s": 60.0, "warnings": [], "chunks": {{"total": 2, "reused": 0}}}}
    print(json.dumps(result | test.get("result", {{}})))
sys.exit(how)
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Jobs in ``path / "jobs"``, run by the stand-in."""

    path: Path

    @property
    def queue(self) -> Path:
        return self.path / "jobs"

    @property
    def results(self) -> Path:
        return self.queue / "results.jsonl"

    @property
    def program(self) -> Path:
        return self.path / "stand-in"

    @property
    def marks(self) -> Path:
        return self.path / "marks"

    def set_up(self) -> None:
        """Write the stand-in."""
        self.marks.mkdir()
        self.queue.mkdir()
        self.program.write_text(_SCRIPT.format(python=sys.executable, marks=str(self.marks)))
        self.program.chmod(0o755)

    def job(self, name: str, *ends: int, **more: Any) -> Path:
        """Write a job that ends with ``ends`` one after the other, the last one again and again.

        With ``beside`` it fails unless the job of that name begins before it ends.
        """
        folder = self.queue / name
        folder.mkdir(exist_ok=True)
        path = folder / "cfg.json"
        test = {"name": name, "ends": ends or (0,), **more}
        path.write_text(json.dumps({"Action": "job.start", "Internal": {"JobId": name}, "Test": test}))
        return path

    def command(self, *arguments: object, queue: Path | str | None = None, pause_s: float = 0.05) -> list[str]:
        """The command of a batch."""
        fixed = ["--program", self.program, "--longest-pause", pause_s, "--state", self.path / "state"]
        words = ["owtmix.batch", queue or self.queue, *fixed, *arguments]
        return [sys.executable, "-P", "-m", *map(str, words)]

    def start(self, *arguments: object, queue: Path | str | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a batch."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = os.environ | {"TMPDIR": str(self.path)}  # places of its own
        return subprocess.Popen(self.command(*arguments, queue=queue), text=True, env=environment, **(pipes | options))

    def run(self, *arguments: object, queue: Path | str | None = None, stdin: str = "") -> Run:
        """Run a batch to its end."""
        process = self.start(*arguments, queue=queue)
        out, err = process.communicate(stdin, timeout=60)
        return Run(process.returncode, json.loads(out) if out else {}, err)

    def entries(self) -> list[dict[str, Any]]:
        """The lines of the journal."""
        return [json.loads(line) for line in self.results.read_text().splitlines()] if self.results.exists() else []

    def states(self) -> dict[str, str]:
        """The state of each job."""
        return {entry["id"]: entry["state"] for entry in self.entries()}

    def tries(self, name: str) -> list[dict[str, Any]]:
        """What each run of a job was told."""
        marks = sorted(self.marks.glob(f"{name}.*"), key=lambda mark: int(mark.suffix[1:]))
        return [json.loads(mark.read_text()) for mark in marks]


@dataclass(frozen=True, slots=True)
class Run:
    """A batch that has ended."""

    status: int
    summary: dict[str, Any]
    messages: str
