"""QUEUE as a folder: which of its files are jobs.

What has the name of a job file and cannot be read, or is no JSON, is one, too: nobody would miss a room that was left
out without a word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from owtmix.base.named_file import is_file
from owtmix.base.strict_json import printable
from owtmix.batch.job_files import JobFile
from owtmix.batch.manifest import MOST_LINES, Entry
from owtmix.batch.problems import Problems
from owtmix.batch.results_reader import LONGEST_NAME


def read_folder(
    folder: Path, read: Callable[[Path], JobFile], problems: Problems, others: list[str]
) -> Iterator[Entry]:
    """Job files in a folder: ``*.json`` and ``*/cfg.json``, in the order of their names.

    Args:
        folder: where they are.
        read: reads one of them.
        problems: gets what is wrong.
        others: gets the names of JSON files that are plainly no job files.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as found:
        files = sorted(found, key=lambda file: file.name)
    count = 0
    for file in files:
        try:
            name = _hidden(folder, file, read) if file.name.startswith(".") else _visible(folder, file, read, others)
        except OSError as error:
            problems.add(_shown(file.name), f"this link cannot be followed: {error.strerror}")
            continue
        if name is None:
            continue
        count += 1
        if count > MOST_LINES:
            problems.add("", f"a queue has at most {MOST_LINES:,} jobs; the others were not read")
            return
        yield Entry(_shown(name), name)


def _visible(folder: Path, file: os.DirEntry[str], read: Callable[[Path], JobFile], others: list[str]) -> str | None:
    """The job file that ``file`` is or has; None when there is none.

    Raises:
        OSError: it is a link that leads nowhere, perhaps to a disk that is not mounted.
    """
    is_json = file.name.endswith(".json")
    if file.is_symlink() and not is_json:
        file.stat()
    if file.is_dir():
        within = f"{file.name}/cfg.json"
        return within if _is_something(folder / within) else None
    if not is_json:
        return None
    kind = _kind(folder / file.name, read)
    if file.name == "cfg.json" or kind == "job" or (kind == "broken" and not _is_written_to(file)):
        return file.name
    others.append(file.name)
    return None


def _hidden(folder: Path, file: os.DirEntry[str], read: Callable[[Path], JobFile]) -> str | None:
    """As ``_visible``; what is broken is none: editors and systems keep files of their own under such names."""
    within = f"{file.name}/cfg.json"
    if file.name.endswith(".json") and is_file(folder / file.name):
        return file.name if _kind(folder / file.name, read) == "job" else None
    return within if is_file(folder / within) else None


def _kind(path: Path, read: Callable[[Path], JobFile]) -> str:
    try:
        return read(path).kind
    except OSError:
        return "broken"  # what is wrong with it is told when it is read as a job


def _is_written_to(file: os.DirEntry[str]) -> bool:
    """Whether it takes what this process says, such as its summary; it is empty until then."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return True
    return False


def _is_something(path: Path) -> bool:
    """Whether there is a file, of whatever kind, or nobody can tell."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _shown(name: str) -> str:
    return printable(name, LONGEST_NAME)
