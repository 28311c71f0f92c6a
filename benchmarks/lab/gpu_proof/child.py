"""The process of a part: ``python -m benchmarks.lab.gpu_proof.child NAME RESULTS SETTING``."""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.setting import Setting

BEFORE_S: Final = 2.0
"""So long before its end a part that hangs says where."""


def main(name: str, results: Path, setting: Setting) -> None:
    """Add what the part finds to the results, a line for each as soon as it is known."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(setting.limit_s - BEFORE_S, 1.0))
    start = time.monotonic()
    part = import_module(f"benchmarks.lab.gpu_proof.parts.{name}")
    for finding in part.run(setting):
        line = {"part": name, "at_s": round(time.monotonic() - start, 2), **asdict(finding)}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
        print(f"{finding.what}: {finding.found}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Setting.from_json(sys.argv[3]))
