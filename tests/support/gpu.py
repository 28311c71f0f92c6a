"""Detection of a GPU for tests.

With ``OWT_REQUIRE_CUDA=1`` tests that need a GPU fail instead of being skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from typing import Final

REQUIRED: Final = os.environ.get("OWT_REQUIRE_CUDA") == "1"
_TRIAL: Final = """
from unittest.mock import Mock
from owtmix.produce.gpu_check import GpuCheckTask
print(GpuCheckTask(None).run(Mock()).number)
"""


@cache
def gpu_number() -> int | None:
    """The number of the first GPU that works; None when there is none and none is required."""
    if find_spec("cupy") is None and not REQUIRED:
        return None
    tried = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True, check=False)
    if tried.returncode:
        assert not REQUIRED, tried.stderr
        return None
    return int(tried.stdout)


def devices() -> tuple[str, ...]:
    """The devices to compose on in tests, as values of ``--device``."""
    return ("cpu",) if gpu_number() is None else ("cpu", f"cuda:{gpu_number()}")
