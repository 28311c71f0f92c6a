"""The folder of a mix's segments: ``flv/000000.flv`` and so on, each whole, and ``flv/end`` when no more come."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from owtmix.base.own_files import own_file

FOLDER: Final = "flv"
END_FILE: Final = "end"
MOST_SEGMENT_BYTES: Final = 64 << 20
"""Two seconds of 8K at a high bit rate have 25 MB."""

_NAME: Final = re.compile(r"([0-9]{6,9})\.flv")
_MOST_ENTRIES: Final = 10_000


class Segments:
    """Those of the mix in ``folder``, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    @property
    def is_over(self) -> bool:
        """Whether no more come."""
        return (self._folder / END_FILE).exists()

    def numbers(self) -> list[int]:
        """The numbers of those that are there, the oldest first."""
        try:
            with os.scandir(self._folder) as entries:
                found = (_NAME.fullmatch(entry.name) for entry in islice(entries, _MOST_ENTRIES))
                return sorted(int(name[1]) for name in found if name)
        except OSError:
            return []

    def open(self, number: int) -> BinaryIO:
        """Open one. It may be removed meanwhile, and stays whole.

        Raises:
            OSError: it is not there any more, or is no plain file of a mix.
        """
        file = open(self._folder / f"{number:06}.flv", "rb", opener=own_file)  # noqa: SIM115 - handed over
        if os.fstat(file.fileno()).st_size > MOST_SEGMENT_BYTES:
            file.close()
            raise OSError(0, "it is too large")
        return file
