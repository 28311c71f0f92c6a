"""What speakers, names and looks cost: CPU seconds of a job with each of them, beside the same job without.

The room is the lively one of ``owtmix.demo``, without its updates. Variants alternate within one run. Listening to who
speaks is also told by itself: what planning takes more with it, three times each in a round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.tables import markdown
from owtmix.demo.lively import make_lively_room

ROUNDS: Final = 3
PLANS: Final = 3
PLAIN: Final = "nothing"
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    PLAIN: {},
    "Labels": {"Labels": True},
    "SpeakerBorder": {"SpeakerBorder": True},
    "FollowSpeaker": {"FollowSpeaker": True},
    "FollowSpeaker and CornerRadius": {"FollowSpeaker": True, "CornerRadius": 16},
    "FollowSpeaker and Transition": {"FollowSpeaker": True, "Transition": 0.4},
}


def main(words: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab looks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"how often ({ROUNDS})")
    rounds = parser.parse_args(words).rounds
    with tempfile.TemporaryDirectory() as folder:
        job_file = make_lively_room(Path(folder))
        job = json.loads(job_file.read_text("utf-8"))
        job["Data"].pop("Updates")
        job["Data"]["TranscodingConfig"]["Video"] |= {"Width": 1920, "Height": 1080, "BitRate": 2000}
        spent: dict[str, list[float]] = {name: [] for name in VARIANTS}
        listening: list[float] = []

        def cpu_s(name: str, *options: str) -> float:
            job["Data"]["MixerConfig"] = {"MixedVideoLayout": 1, "ResizeMode": 1, **VARIANTS[name]}
            job_file.write_text(json.dumps(job), "utf-8")
            with tempfile.TemporaryDirectory(dir=folder) as state:
                return _cpu_s(job_file, Path(state), *options)

        for _ in range(rounds):
            for name, times in spent.items():
                times.append(cpu_s(name))
            for _ in range(PLANS):
                without_s, with_s = (cpu_s(name, "--plan") for name in (PLAIN, "FollowSpeaker"))
                listening.append(with_s - without_s)
    plain_s = median(spent[PLAIN])
    rows = [
        [name, f"{median(times):.2f}", f"{100 * (median(times) / plain_s - 1):+.1f} %"] for name, times in spent.items()
    ]
    listening_s = median(listening)
    rows.append(["listening alone", f"{listening_s:.2f}", f"{100 * listening_s / plain_s:+.1f} %"])
    print(markdown(("switched on", "CPU s", "beside nothing"), rows))


def _cpu_s(job_file: Path, state: Path, *options: str) -> float:
    """CPU seconds of a job, with all its processes, that nothing was measured for before."""
    before = os.times()
    how = [*options, "--quiet", f"--state={state}", "--workers=1"]
    command = [sys.executable, "-m", "owtmix", *how, str(job_file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
