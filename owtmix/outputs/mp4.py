"""An MP4 file: H.264 and AAC, with its index first."""

from __future__ import annotations

from dataclasses import dataclass

from owtmix.outputs.muxed_file import MuxedFile


@dataclass(frozen=True, slots=True)
class Mp4Output(MuxedFile):
    """The MP4 file ``path``."""

    container = "mp4"
