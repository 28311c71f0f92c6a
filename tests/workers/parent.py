"""A parent of its own with stuck children, to be killed: ``python parent.py`` prints their process ids."""

from __future__ import annotations

import signal
import sys

from owtmix.workers.base import Limits
from owtmix.workers.local import WorkerPool
from tests.workers import tasks


def main() -> None:
    """Work until killed. Interrupts are noticed, and change nothing."""
    signal.signal(signal.SIGINT, lambda *_: sys.stdout.write("interrupted\n"))
    signal.signal(signal.SIGTERM, lambda *_: sys.stdout.write("terminated\n"))

    def tell(pid: str) -> None:
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()

    with WorkerPool(2, Limits(1 << 30, 3600), tell, tasks.TESTS) as executor:
        list(executor.run([tasks.Sleep(), tasks.HoldInterpreter()]))


if __name__ == "__main__":
    main()
