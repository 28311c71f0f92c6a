"""What a live mix tells of itself: how far it is, how far behind live, and what is not as it was asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from owtmix.live.mix_folder import MixFolder

_EACH_S: Final = 3.0
"""How often it is told at least: whoever is silent for long counts as hanging."""
_BEHIND_S: Final = 10.0
"""A mix that is so far behind says so."""

_log = logging.getLogger(__name__)


class MixStatus:
    """Tells it in the folder ``live``.

    Attributes:
        warnings: What was warned of, each once.
        files: Those that are finished.
    """

    def __init__(self, live: MixFolder, chunk_s: Fraction, clock: Callable[[], float] = time.monotonic) -> None:
        self.warnings: list[str] = []
        self.files: list[str] = []
        self._live = live
        self._chunk_s = chunk_s
        self._clock = clock
        self._told_s = clock()
        self._is_behind = False

    @property
    def is_due(self) -> bool:
        """Whether nothing was told for long."""
        return self._clock() - self._told_s > _EACH_S

    def warn(self, message: str) -> None:
        """Warn of something."""
        if message not in self.warnings:
            _log.warning("%s", message)
            self.warnings.append(message)

    def tell(self, begun_ms: int | None, behind_s: float) -> None:
        """Tell how far the mix is, which begins at ``begun_ms``, and how far behind live."""
        if behind_s > _BEHIND_S and not self._is_behind:
            _log.warning("the mix is %.0f s behind live: this machine cannot keep up", behind_s)
        self._is_behind = behind_s > _BEHIND_S
        chunks = len(self._live.chunks)
        self._live.tell(
            {
                "chunks": chunks,
                "done_s": float(chunks * self._chunk_s),
                "behind_s": round(behind_s, 3),
                "begun_us": begun_ms * 1000 if begun_ms is not None else None,
                "files": self.files,
                "warnings": self.warnings,
            }
        )
        self._told_s = self._clock()
