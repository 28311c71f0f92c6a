"""A WebM file: VP9 and Opus."""

from __future__ import annotations

from dataclasses import dataclass

from owtmix.outputs.muxed_file import MuxedFile


@dataclass(frozen=True, slots=True)
class WebmOutput(MuxedFile):
    """The WebM file ``path``."""

    container = "webm"
