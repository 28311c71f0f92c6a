"""What was measured of recordings, kept under their names and versions: no run measures one again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from owtmix.inputs.source_file import SourceFile
from owtmix.plan.exact_json import from_exact_json, to_exact_json
from owtmix.plan.media_info import ClockRules, Probe

DAY_S: Final = 86_400
MOST_BYTES: Final = 64 << 20


class ProbeCache:
    """A folder of measurements, one file each.

    Args:
        folder: where they are; it is made when something is kept.
        rules: by which timestamps are believed; others measure otherwise.
        fresh: nothing is found, so that all is measured again.
    """

    def __init__(self, folder: Path, rules: ClockRules, *, fresh: bool = False) -> None:
        self._folder = folder
        self._rules = rules
        self._fresh = fresh

    def find(self, identity: str, file: SourceFile) -> Probe | None:
        """What was measured of this version of ``file``; ``identity`` names it among all stores."""
        path = self._path(identity, file)
        try:
            if self._fresh or path is None or path.stat().st_size > MOST_BYTES:
                return None
            probe: Probe = from_exact_json(Probe, json.loads(path.read_bytes()))
            os.utime(path)  # it is in use
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return probe

    def keep(self, identity: str, file: SourceFile, probe: Probe) -> None:
        """Keep a measurement; a disk that takes no more is not an error."""
        path = self._path(identity, file)
        if path is None:
            return
        written = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written.write_text(json.dumps(to_exact_json(Probe, probe)), encoding="ascii")
            written.replace(path)

    def _path(self, identity: str, file: SourceFile) -> Path | None:
        """The file of a measurement; None for a recording without a version."""
        found = file.current_version()
        if found is None:
            return None
        key: list[Any] = [identity, found, str(self._rules), _code_version()]
        return self._folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json"


def remove_unused(folder: Path, days: int) -> None:
    """Remove measurements that were not used for ``days``."""
    oldest = time.time() - days * DAY_S
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()


@cache
def _code_version() -> str:
    """Changes with the code and the library that measure."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(version("av").encode())
    for path in [*sorted((package / "media").glob("*.py")), package / "plan" / "media_info.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
