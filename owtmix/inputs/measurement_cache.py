"""What was measured of recordings, kept under their names and versions: no run measures one again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from owtmix.base.own_files import make_folder, read_own, write_whole
from owtmix.inputs.source_file import SourceFile
from owtmix.inputs.tasks import MOST_PROBE_BYTES, MOST_VOICE_BYTES
from owtmix.plan.exact_json import from_exact_json, to_exact_json
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.plan.plausible import check_probe
from owtmix.plan.voice import Voice, check_voice

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured(Generic[T]):
    """What is measured: its type, how one that was kept is checked, and how many bytes it may have."""

    kind: type[T]
    check: Callable[[T], None]
    most_bytes: int


PROBES: Final = Measured(Probe, check_probe, MOST_PROBE_BYTES)
VOICES: Final = Measured(Voice, check_voice, MOST_VOICE_BYTES)


class MeasurementCache:
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

    def find(self, what: Measured[T], identity: str, file: SourceFile) -> T | None:
        """What was measured of this version of ``file``; ``identity`` names it among all stores."""
        path = self._path(what, identity, file)
        if self._fresh or path is None:
            return None
        try:
            found: T = from_exact_json(what.kind, json.loads(read_own(path, what.most_bytes)))
            what.check(found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            _log.warning("%s is measured again, since what was measured of it cannot be read: %s", file.key, path)
            return None
        with suppress(OSError):
            os.utime(path)  # it is in use
        return found

    def keep(self, what: Measured[T], identity: str, file: SourceFile, value: T) -> None:
        """Keep a measurement; a disk that takes no more is not an error."""
        path = self._path(what, identity, file)
        if path is None:
            return
        try:
            make_folder(self._folder)
            write_whole(path, json.dumps(to_exact_json(what.kind, value)).encode("ascii"))
        except OSError as error:
            _log.debug("what was measured of %s is not kept: %s", file.key, error)

    def _path(self, what: Measured[T], identity: str, file: SourceFile) -> Path | None:
        """The file of a measurement; None for a recording without a version."""
        if file.copy.version is None:
            return None
        key: list[Any] = [what.kind.__name__, identity, file.copy.version, str(self._rules), _code_version()]
        return self._folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json"


def with_company(
    identities: Mapping[int, str], files: Mapping[int, SourceFile], owner: Callable[[int], str]
) -> dict[int, str]:
    """Identities that also say which recordings are of the same owner, by number.

    A worker measures those one after the other, and one of them may have taken it over. So what is kept counts only
    where the owner has the same recordings: an index that names somebody else's as its own falsifies nothing of theirs.
    """
    companies: dict[str, list[str]] = {}
    for n in identities:
        companies.setdefault(owner(n), []).append(json.dumps([identities[n], files[n].copy.version]))
    digests = {
        name: hashlib.sha256("\n".join(sorted(company)).encode()).hexdigest() for name, company in companies.items()
    }
    return {n: f"{identity}\n{digests[owner(n)]}" for n, identity in identities.items()}


@cache
def _code_version() -> str:
    """Changes with the code and the library that measure."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(version("av").encode())
    plans = (package / "plan" / name for name in ("media_info.py", "voice.py"))
    for path in [*sorted((package / "media").glob("*.py")), *plans]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
