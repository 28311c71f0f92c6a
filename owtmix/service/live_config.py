"""``LiveConfig``: where the mix of a room is pushed to. Addresses have stream keys in them: no message quotes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from owtmix.base.strict_json import shown
from owtmix.jobfile.bounds import MAX_URL
from owtmix.service.known_keys import LIVE_KEYS
from owtmix.service.refusals import RefusedError, RetCode

MOST_TARGETS: Final = 8
_SCHEMES: Final = frozenset({"rtmp", "rtmps"})
_AT: Final = "Data.LiveConfig"


def targets(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses that a configuration pushes to."""
    return tuple(entry["Url"] for entry in _entries(document.get("LiveConfig")) if entry.get("Url"))


def check_live(section: object, mode: int) -> list[str]:
    """Check ``LiveConfig``; returns what of it has no effect.

    Raises:
        RefusedError: it is wrong.
    """
    if section is None:
        return []
    entries = section if isinstance(section, list) else [section]
    if len(entries) > MOST_TARGETS:
        raise RefusedError(RetCode.FAILED, f"{_AT}: accepted are at most {MOST_TARGETS} targets")
    ignored = []
    for number, entry in enumerate(entries):
        at = f"{_AT}[{number}]" if isinstance(section, list) else _AT
        texts = entry.values() if isinstance(entry, dict) else [None]
        if not all(isinstance(text, str) and len(text) <= MAX_URL for text in texts):
            raise RefusedError(
                RetCode.FAILED,
                f"{at}: accepted is an object with Type and Url, of at most {MAX_URL:,} characters, or a list of them",
            )
        ignored += [f"{at}: unknown key {shown(name)}, ignored" for name in entry if name not in LIVE_KEYS]
        if mode == 1:
            _check_target(entry, at)
    return ignored if mode == 1 else [*ignored, f"{_AT} only counts with Mode 1"]


def started(before: object, section: object) -> Any:
    """``LiveConfig`` with the targets of ``section``, too.

    Raises:
        RefusedError: it has all of them, or they become too many.
    """
    known = {entry["Url"]: entry for entry in _entries(before)}
    given = {entry["Url"]: entry for entry in _entries(section)}
    if given.keys() <= known.keys():
        raise RefusedError(RetCode.JOB_EXISTS, f"{_AT}: the mix is pushed there already")
    if len(known | given) > MOST_TARGETS:
        raise RefusedError(RetCode.FAILED, f"{_AT}: a mix is pushed to at most {MOST_TARGETS} targets")
    return _section([*(known | given).values()])


def stopped(before: object, section: object) -> Any:
    """``LiveConfig`` without the targets of ``section``, or without any.

    Raises:
        RefusedError: it does not have them.
    """
    known = {entry["Url"]: entry for entry in _entries(before)}
    given = [entry.get("Url") for entry in _entries(section)] if section is not None else [*known]
    if not known or any(url not in known for url in given):
        where = "" if section is None else f"{_AT}: "
        what = "there" if known and section is not None else "anywhere"
        raise RefusedError(RetCode.JOB_NON_EXISTENT, f"{where}the mix is not pushed {what}")
    return _section([entry for url, entry in known.items() if url not in given])


def _entries(section: object) -> list[dict[str, Any]]:
    found = section if isinstance(section, list) else [section]
    return [entry for entry in found if isinstance(entry, dict)]


def _section(entries: list[dict[str, Any]]) -> Any:
    """As the document has it where there is one target."""
    return entries[0] if len(entries) == 1 else entries


def _check_target(entry: Mapping[str, Any], at: str) -> None:
    if entry.get("Type", "rtmp") not in _SCHEMES:
        raise RefusedError(RetCode.FAILED, f'{at}.Type: found {shown(entry["Type"])}; accepted: "rtmp"')
    if not _is_address(entry.get("Url", "")):
        raise RefusedError(
            RetCode.FAILED,
            f"{at}.Url: accepted is an address such as rtmp://live.example.com/app/key, or one with rtmps",
        )


def _is_address(url: str) -> bool:
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
