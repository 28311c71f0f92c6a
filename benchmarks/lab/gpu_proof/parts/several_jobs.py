"""Several jobs at once on one card."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.lab.gpu_proof.card import option_of
from benchmarks.lab.gpu_proof.jobs import job_command, report_of, start
from benchmarks.lab.gpu_proof.scene_files import prepared_scene
from benchmarks.lab.gpu_proof.setting import Finding, Setting, untried
from benchmarks.measure import CORES

SCENE: Final = "grid4"
COUNTS: Final = (1, 2, 4, 8)
PRETENDED: Final = (1, 2)


def run(setting: Setting) -> Iterator[Finding]:
    """The same job one, two, four and eight times side by side: how long, and whether all outputs are the same."""
    case = prepared_scene(SCENE, setting, "several")
    device = option_of(setting)
    first = ""
    for count in PRETENDED if setting.pretend else COUNTS:
        outputs = [case.work / f"{count}-{number}.mp4" for number in range(count)]
        begun_s = time.monotonic()
        jobs = [start(job_command(case, device, max(1, CORES // count), output)) for output in outputs]
        reports = [report_of(job.communicate()[0]) for job in jobs]
        wall_s = time.monotonic() - begun_s
        statuses = [job.returncode for job in jobs]
        made = {hashlib.sha256(output.read_bytes()).hexdigest() for output in outputs if output.exists()}
        first = first or min(made, default="")
        composed_on = sorted({name for report in filter(None, reports) for name in report["device"]["composed_on"]})
        found = {
            "wall_s": wall_s,
            "x real time": count * float(case.plan.duration_s) / wall_s,
            "statuses": statuses,
            "composed_on": composed_on,
            "warnings": [warning for report in filter(None, reports) for warning in report["warnings"]][:3],
            "same bytes": made == {first},
        }
        yield Finding(f"{count} jobs at once", found, ok=not any(statuses) and composed_on == [device])
        if all(statuses):
            break  # more of them would only take time
    if setting.pretend:
        yield untried("contexts of several processes on one card")
