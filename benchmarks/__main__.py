"""``python -m benchmarks``: named scenes through named engines, side by side in one run."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import floor, quality
from benchmarks.case import compose, prepare
from benchmarks.engines import engines
from benchmarks.scenes import SCENES
from benchmarks.table import scene_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("scenes", nargs="*")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines")
    arguments = parser.parse_args()
    for name in arguments.scenes or SCENES:
        with tempfile.TemporaryDirectory() as work:
            case = prepare(name, arguments.cache, Path(work), arguments.seconds)
            composed = Path(work) / "composed.yuv"
            compose(case, composed)
            floors = []
            chosen = [e for e in engines([1, 2]) if not arguments.engines or arguments.engines in e.name]
            found = {engine.name: {"rounds": []} for engine in chosen}
            for _ in range(arguments.rounds):
                floors.append(asdict(floor.measure(case, composed)))
                for engine in chosen:
                    made = engine.compose(case)
                    found[engine.name]["rounds"].append(asdict(made.cost))
                    found[engine.name]["bytes"] = made.output.stat().st_size
                    kept = Path(work) / f"{engine.name}.mp4"
                    shutil.move(made.output, kept)
                    print(engine.name, made.cost, flush=True)
            for engine in chosen:
                kept = Path(work) / f"{engine.name}.mp4"
                try:
                    found[engine.name]["psnr_db"] = quality.psnr_db(kept, case, composed)
                    found[engine.name]["vmaf"] = quality.vmaf(kept, case, composed)
                except quality.WrongLengthError as e:
                    print(e)
            fl = {k: median(f[k] for f in floors) for k in floors[0]}
            print(fl)
            print(scene_table({"floor": fl, "seconds": float(case.plan.duration_s), "engines": found}, os.cpu_count()))


main()
