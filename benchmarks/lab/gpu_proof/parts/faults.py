"""A job whose card is taken away, before it begins or from its workers, or whose worker is killed, ends right."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.case import Case
from benchmarks.lab.gpu_proof.card import option_of
from benchmarks.lab.gpu_proof.jobs import job_command, report_of, start, told
from benchmarks.lab.gpu_proof.scene_files import prepared_scene
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from benchmarks.lab.gpu_proof.taken import taken_from_workers
from benchmarks.measure import CORES
from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.progress import NoProgress
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from tests.support.replacing import replacing

SCENE: Final = "crowd25"
PRETENDED_SCENE: Final = "grid4"
SECONDS: Final = 20.0
"""Of the scene at most; four jobs make it, some of them with few workers."""
NO_CARD: Final = "CUDA_VISIBLE_DEVICES"
BUSY_S: Final = 2.0
PRETENDED_BUSY_S: Final = 0.2
"""A worker that reads a recording is killed once it has taken so many CPU seconds."""
WORKERS: Final = 2
EVERY_S: Final = 0.02
TICKS: Final = os.sysconf("SC_CLK_TCK")


def run(setting: Setting) -> Iterator[Finding]:
    """Each fault in a job of its own."""
    short = replace(setting, seconds=min(setting.seconds, SECONDS))
    case = prepared_scene(PRETENDED_SCENE if setting.pretend else SCENE, short, "faults")
    yield tried("no card, --device auto", partial(_without_a_card, case))
    yield tried("no card, --device cuda", partial(_wanted_card_missing, case))
    yield tried("the card taken from the workers", partial(_taken, case, setting))
    yield tried("a worker killed", partial(_killed, case, setting))
    if setting.pretend:
        yield untried("a CUDA context that is lost, and a killed worker that has one")


def _without_a_card(case: Case) -> Finding:
    output = case.work / "auto.mp4"
    job = start(job_command(case, "auto", CORES, output), **{NO_CARD: ""})
    report = report_of(job.communicate()[0])
    return _ended("no card, --device auto", case, output, report, job.returncode, on_cpu=True)


def _wanted_card_missing(case: Case) -> Finding:
    begun_s = time.monotonic()
    job = start(job_command(case, "cuda", CORES, case.work / "cuda.mp4"), **{NO_CARD: ""})
    said = job.communicate()[0]
    found = {"status": job.returncode, "said": said[-400:], "seconds": time.monotonic() - begun_s}
    return Finding("no card, --device cuda", found, ok=job.returncode > 0 and "--device cuda" in said)


def _taken(case: Case, setting: Setting) -> Finding:
    output = case.work / "taken.mp4"
    options = Options(index=str(case.index), output=str(output), device=option_of(setting), workers=WORKERS, fresh=True)
    job = Job(case.cfg, read_settings(settings_file()), options, case.work / "taken", replacing(taken_from_workers))
    report = job.run(NoProgress(), TemporaryPaths()).to_json()
    return _ended("the card taken from the workers", case, output, report, 0, on_cpu=True)


def _killed(case: Case, setting: Setting) -> Finding:
    output = case.work / "killed.mp4"
    job = start(job_command(case, option_of(setting), WORKERS, output))
    killed = _kill_reader(job, case.cfg.parent, PRETENDED_BUSY_S if setting.pretend else BUSY_S)
    report = report_of(job.communicate()[0])
    if killed is None:
        return Finding("a worker killed", "none was busy for long enough")
    return _ended("a worker killed", case, output, report, job.returncode)


def _ended(
    what: str, case: Case, output: Path, report: Mapping[str, Any], status: int, *, on_cpu: bool = False
) -> Finding:
    """Right is: all frames are there and, where the card was taken, some were composed on the CPU."""
    if status or not report:
        return Finding(what, {"status": status}, ok=False)
    found = told(report, output)
    right = found["frames"] == case.picture.frames and ("cpu" in found["composed_on"] or not on_cpu)
    return Finding(what, found, ok=right)


def _kill_reader(job: subprocess.Popen[str], recordings: Path, busy_s: float) -> int | None:
    """Kill the first descendant that reads a recording and has taken ``busy_s`` of CPU.

    Its number is returned, or None where there was none.
    """
    while job.poll() is None:
        for pid in _descendants(job.pid):
            if _cpu_s(pid) >= busy_s and _reads(pid, recordings):
                os.kill(pid, signal.SIGKILL)
                return pid
        time.sleep(EVERY_S)
    return None


def _descendants(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text("ascii").split()):
                yield child
                yield from _descendants(child)


def _reads(pid: int, folder: Path) -> bool:
    with suppress(OSError):
        return any(file.readlink().is_relative_to(folder) for file in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0
