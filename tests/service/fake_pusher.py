"""What the service sees of a pusher: ``python fake_pusher.py LIVE_FOLDER``. The name in its address says what to do."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(live: Path) -> None:
    url = json.loads(sys.stdin.readline())["url"]
    what = url.rpartition("/")[2].partition("-")[0]
    (live / f"push-{os.getpid()}").write_text(what)
    if what == "dies":
        sys.exit(1)
    sys.stdout.write("not JSON\n")
    tell(state="unknown")
    if what == "refused":
        tell(state="refused", reason=f"{url} is not wanted")
    elif what == "slow":
        tell(state="living")
        tell(state="slow", dropped_s=2.0)
        tell(state="slow", dropped_s=2.0)
    elif what == "again":
        tell(state="living")
        tell(state="retrying", reason="gone", pause_s=1)
        tell(state="retrying", reason="gone", pause_s=2)
        tell(state="living")
    else:
        tell(state="living")
    while what == "stays" or not (live / "result.json").exists():
        time.sleep(0.05)
    tell(state="ended")


def tell(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
