"""The tests of the canvas and of the kernel, which must find the GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from benchmarks.lab.gpu_proof.runner import ROOT
from benchmarks.lab.gpu_proof.setting import Finding, Setting, untried

NEEDED: Final = ("pytest", "hypothesis")
FILES: Final = ("tests/compositor/gpu/test_canvas.py",)
PRETENDED: Final = "overlays or unchanged or limit"
BEFORE_S: Final = 5.0


def run(setting: Setting) -> Iterator[Finding]:
    """Pytest in a process of its own, without the options that need further packages."""
    if missing := [name for name in NEEDED if not find_spec(name)]:
        yield Finding("canvas tests", f"not run: {', '.join(missing)} is not installed", ok=False)
        return
    command = [sys.executable, "-m", "pytest", "--override-ini=addopts=", "--color=no", "--tb=short", "-q", "-ra"]
    command += ["-p", "no:cacheprovider", *FILES]
    environment = dict(os.environ)
    if setting.pretend:
        command += ["-k", PRETENDED]
    else:
        environment["OWT_REQUIRE_CUDA"] = "1"
    # To the log of the part: what a test that hangs has said must not be lost.
    log = setting.work / "pytest.log"
    with log.open("wb") as said:
        limit_s = setting.limit_s - BEFORE_S
        try:
            status = subprocess.call(command, cwd=ROOT, env=environment, stdout=said, stderr=said, timeout=limit_s)
        except subprocess.TimeoutExpired:
            status = -1
    text = log.read_text("utf-8", errors="replace")
    print(text, flush=True)
    lines = text.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR", "SKIPPED"))]
    last = "took too long" if status < 0 else lines[-1]
    yield Finding("canvas tests", {"status": status, "last": last, "not passed": failed[:20]}, ok=status == 0)
    if setting.pretend:
        yield untried("the tests with OWT_REQUIRE_CUDA=1; some of them ran with the kernel on the host")
