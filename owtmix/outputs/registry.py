"""The kinds of output, by the container that a plan names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from owtmix.outputs.base import Output
from owtmix.outputs.mp4 import Mp4Output
from owtmix.outputs.webm import WebmOutput

OUTPUTS: Final[Mapping[str, Callable[[Path], Output]]] = {"mp4": Mp4Output, "webm": WebmOutput}
