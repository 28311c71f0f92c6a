"""What owt-batch itself costs beside the jobs.

Jobs are a program that ends at once, so what is measured is the batch: milliseconds a job with 500 of them, beside
those of starting the program alone; seconds in which 5,000 finished jobs are skipped; the most memory at 500 and 5,000.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FEW: Final = 500
MANY: Final = 5000
PROGRAM: Final = "/bin/true"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one batch took: seconds on the clock, CPU seconds without its jobs' own, the most memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def main(words: Sequence[str]) -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab batch_cost", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="at a time; 2 by default")
    jobs = parser.parse_args(words).jobs
    alone_ms = _alone_ms()
    with tempfile.TemporaryDirectory() as folder:
        few, many = (make_queue(Path(folder) / str(count), count) for count in (FEW, MANY))
        empty = run(make_queue(Path(folder) / "1", 1), jobs)
        first, second = run(few, jobs), run(many, jobs)
        again = run(many, jobs)
    of_few, of_many = (1000 * (cost.wall_s - empty.wall_s) / count for cost, count in ((first, FEW), (second, MANY)))
    print(f"starting the program alone: {alone_ms:.1f} ms")
    print(f"a job, of {FEW}: {of_few:.1f} ms; of {MANY:,}: {of_many:.1f} ms; {jobs} at a time")
    print(f"a batch of one job: {empty.wall_s:.2f} s")
    print(f"{MANY:,} finished jobs are skipped in {again.wall_s:.2f} s")
    print(f"memory: {first.peak_mib:.0f} MiB with {FEW} jobs, {second.peak_mib:.0f} MiB with {MANY:,}")


def make_queue(folder: Path, count: int) -> Path:
    """A folder with a manifest of ``count`` jobs, whose path is returned."""
    folder.mkdir()
    lines = []
    for number in range(count):
        name = f"room-{number:05}"
        data = {"TranscodingConfig": {}, "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}}}
        job = {"Action": "job.start", "Internal": {"JobId": name}, "Data": data}
        (folder / f"{name}.json").write_text(json.dumps(job))
        lines.append(json.dumps({"cfg": f"{name}.json", "cost": number % 60}) + "\n")
    manifest = folder / "jobs.jsonl"
    manifest.write_text("".join(lines))
    return manifest


def run(queue: Path, jobs: int) -> Cost:
    """Run a batch to its end; each has places of its own."""
    command = [sys.executable, "-P", "-m", "owtmix.batch", "--quiet", "--jobs", str(jobs), "--program", PROGRAM]
    since_s = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"TMPDIR": temporary}
        process = subprocess.Popen([*command, str(queue)], stdout=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the batch ended with status {process.returncode}")
    return Cost(time.monotonic() - since_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _alone_ms() -> float:
    """Milliseconds that starting the program takes, one after the other."""
    since_s = time.monotonic()
    for _ in range(FEW):
        subprocess.run([PROGRAM], check=True)
    return 1000 * (time.monotonic() - since_s) / FEW
