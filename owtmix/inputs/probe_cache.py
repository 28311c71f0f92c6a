"""What was measured of recordings, kept under their names and versions: no run measures one again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import make_folder, read_own, write_whole
from owtmix.inputs.source_file import SourceFile
from owtmix.inputs.tasks import MOST_PROBE_BYTES
from owtmix.plan.exact_json import from_exact_json, to_exact_json
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.plan.plausible import check_probe

MOST_BYTES: Final = MOST_PROBE_BYTES

_log = logging.getLogger(__name__)


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
        if self._fresh or path is None:
            return None
        try:
            probe: Probe = from_exact_json(Probe, json.loads(read_own(path, MOST_BYTES)))
            check_probe(probe)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            _log.warning("%s is measured again, since what was measured of it cannot be read: %s", file.key, path)
            return None
        with suppress(OSError):
            os.utime(path)  # it is in use
        return probe

    def keep(self, identity: str, file: SourceFile, probe: Probe) -> None:
        """Keep a measurement; a disk that takes no more is not an error."""
        path = self._path(identity, file)
        if path is None:
            return
        try:
            make_folder(self._folder)
            write_whole(path, json.dumps(to_exact_json(Probe, probe)).encode("ascii"))
        except OSError as error:
            _log.debug("what was measured of %s is not kept: %s", file.key, error)

    def _path(self, identity: str, file: SourceFile) -> Path | None:
        """The file of a measurement; None for a recording without a version."""
        if file.copy.version is None:
            return None
        key: list[Any] = [identity, file.copy.version, str(self._rules), _code_version()]
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
    for path in [*sorted((package / "media").glob("*.py")), package / "plan" / "media_info.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
