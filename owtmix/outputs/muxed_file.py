"""An output that is one file: muxed from the tracks, and read back. Each container is a subclass."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from owtmix.base.beneath import open_file
from owtmix.base.errors import DestinationError
from owtmix.base.file_version import OPEN_FILES
from owtmix.base.shortage import raise_if_short
from owtmix.outputs.base import FinishedTracks
from owtmix.plan.model import RenderPlan


@dataclass(frozen=True, slots=True)
class MuxedFile:
    """The file ``path``, which exists, in the format ``container``."""

    container: ClassVar[Literal["mp4", "webm"]]
    path: Path
    name: Final = "the finished file"

    def write(self, plan: RenderPlan, tracks: FinishedTracks) -> None:
        from owtmix.outputs.mux import mux  # noqa: PLC0415 - loads the media library, in the worker

        with self._opened(os.O_RDWR) as path:
            mux(plan, tracks, path, self.container)

    def verify(self, plan: RenderPlan) -> None:
        from owtmix.outputs.verify import verify  # noqa: PLC0415 - as above

        with self._opened(os.O_RDONLY) as path:
            verify(path, plan.picture, plan.sound)

    @contextmanager
    def _opened(self, flags: int) -> Iterator[Path]:
        """A path of the file that was made for the output, for a block: no link that stands there by now is followed.

        Raises:
            DestinationError: it is gone, or was replaced.
            ShortageError: the machine is short of something.
        """
        try:
            file = open_file(self.path, flags)
        except OSError as error:
            raise_if_short(error)
            hint = "" if error.errno == errno.ELOOP else ": was it or its folder removed or changed while the job ran?"
            raise DestinationError(f"{self.path} cannot be used: {error.strerror}{hint}") from None
        try:
            yield OPEN_FILES / str(file)
        finally:
            os.close(file)
