"""``make demo-live``, in small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from owtmix.jobfile.settings_file import INSTALLATION
from tests.live.conftest import Tell
from tests.support.command import CLEAN_ENVIRONMENT
from tests.support.marks import LEFT_HALF, read_track

SECONDS: Final = 5
LEAST_S: Final = 4.0
"""Of the composed room: the second participant comes a little later than the first."""


def test_the_live_demo_says_where_the_composed_room_is(tmp_path: Path, tell: Tell) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "owtmix.demo.live", str(tmp_path / "live"), "--seconds", str(SECONDS)],
        env=CLEAN_ENVIRONMENT | {"PYTHONPATH": str(INSTALLATION)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    video = Path(done.stdout.splitlines()[-1].removeprefix("the composed room: "))
    assert video.is_relative_to(tmp_path / "live" / "recordings")
    room = read_track(video, (LEFT_HALF,))
    flashes, beeps = room.flashes(), room.beeps(1000)
    tell(f"{room.times_s[-1]:.1f} s; flashes at {flashes}, beeps at {beeps}")
    assert room.times_s[-1] >= LEAST_S
    assert flashes
    assert room.samples.any()
