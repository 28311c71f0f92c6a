"""The graphics card of the machine that tests run on, if it has one that works.

``OWT_REQUIRE_CUDA=1`` says that it has: what needs one then fails instead of being left out.
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
from tests.produce.stand_in import Silent
from owtmix.produce.gpu_check import CardTask
print(CardTask(None).run(Silent()).number)
"""


@cache
def number() -> int | None:
    """Of the first card that works; None where there is none and none is required."""
    if find_spec("cupy") is None and not REQUIRED:
        return None
    tried = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True, check=False)
    if tried.returncode:
        assert not REQUIRED, tried.stderr
        return None
    return int(tried.stdout)


def devices() -> tuple[str, ...]:
    """What jobs are composed on in tests, as ``--device`` has it."""
    return ("cpu",) if number() is None else ("cpu", f"cuda:{number()}")
