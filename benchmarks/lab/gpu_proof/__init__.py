"""The GPU path proven on a card, in at most nine minutes; with ``--pretend`` tried without one.

Each part is a process with a time limit, so that one that hangs or crashes costs only itself. What it finds is written
as it comes, to ``results.jsonl``; ``log.txt`` has what the parts said, and ``summary.txt``, printed last, the result.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.runner import Outputs, Part, run_parts
from benchmarks.lab.gpu_proof.setting import Setting
from benchmarks.lab.gpu_proof.summary import summary

PARTS: Final = (
    Part("first_look", 50, "what the machine is, which libraries load, and what decoders say"),
    Part("kernel_bits", 60, "the kernel against the reference, bit by bit"),
    Part("canvas_tests", 120, "the tests of the canvas, which must find the GPU"),
    Part("pictures", 70, "pictures that NVDEC decodes against the CPU's"),
    Part("kernel_time", 60, "the time of the kernel, as a share of what copying takes"),
    Part("decode_rate", 70, "pictures decoded in a second, of 1 to 7 files at once"),
    Part("whole_jobs", 170, "crowd25 and grid4 whole: on the CPU, on the card, and by FFmpeg"),
    Part("memory", 50, "the card's memory: context, canvases, decoders, a job"),
    Part("several_jobs", 60, "several jobs at once on one card"),
    Part("faults", 80, "jobs whose card is taken away, and one whose worker is killed"),
)
"""In order of worth, with the seconds that each may take."""
TOTAL_S: Final = 530
SCENE_S: Final = 60.0
PRETENDED_SCENE_S: Final = 1.0


def main(words: Sequence[str]) -> None:
    """Run the parts, and print the summary. The status is 1 if a part ended badly or found something wrong."""
    arguments = _parser().parse_args(words)
    chosen = arguments.parts.split(",") if arguments.parts else [part.name for part in PARTS]
    if unknown := set(chosen) - {part.name for part in PARTS}:
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(part.name for part in PARTS)}")
    outputs = Outputs.made(arguments.out)
    with tempfile.TemporaryDirectory(prefix="owtmix-proof-") as work:
        seconds = arguments.seconds or (PRETENDED_SCENE_S if arguments.pretend else SCENE_S)
        setting = Setting(
            arguments.pretend, Path(work), seconds, arguments.recordings and arguments.recordings.absolute()
        )
        ended = run_parts([part for part in PARTS if part.name in chosen], setting, outputs, arguments.limit)
    text = summary(ended, outputs.results)
    outputs.summary.write_text(text, encoding="utf-8")
    print(text, flush=True)
    sys.exit(any(part.wrong for part in ended) or "\nnot as it should be" in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lab gpu_proof",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {part.name:13} {part.about}" for part in PARTS),
    )
    out = Path(os.environ.get("OUT") or "build/gpu-proof")
    parser.add_argument("--pretend", action="store_true", help="without a card: on the CPU, as far as it goes")
    parser.add_argument("--out", type=Path, default=out, metavar="FOLDER", help="for results; $OUT where it is set")
    parser.add_argument("--parts", metavar="NAME,...", help="only these")
    parser.add_argument("--limit", type=float, default=TOTAL_S, metavar="S", help=f"for all parts; {TOTAL_S} without")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each scene; 60 without, 1 with --pretend")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="decode these; without, some are made")
    return parser
