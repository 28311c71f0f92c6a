"""Which card composes a job, noted beside its chunks: the next run takes the same one, whatever its load is then.

Another one may have another encoder, or none, and then all chunks would be made again.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from owtmix.base.own_files import read_own, write_whole

NAME: Final = "card"
_MOST_BYTES: Final = 256

_log = logging.getLogger(__name__)


def read_card(chunks: Path) -> str:
    """The UUID of the card that composed the chunks of an earlier run; empty where there is none."""
    try:
        return read_own(chunks / NAME, _MOST_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        _log.debug("the card of an earlier run cannot be read: %s", error)
        return ""


def note_card(chunks: Path, uuid: str) -> None:
    """Note the card that composes from now on; nothing where it is not known."""
    if not uuid:
        return
    try:
        write_whole(chunks / NAME, uuid.encode("ascii", "replace"))
    except OSError as error:
        _log.debug("the card is not noted: %s", error)
