"""Hold commits to the length in CONTRIBUTING.md: a subject of at most 72 characters. Merges are left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SINCE = "2026-11-26T14:50:00+00:00"
"""Commits before this time are older than the rule."""

LONGEST_SUBJECT = 72
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print what is wrong; the result is the exit status."""
    if reason := unreadable():
        print(f"Commits are not checked: {reason}")
        return 0
    wrong = list(problems())
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return bool(wrong)


def unreadable() -> str | None:
    """Why there are no commits to look at."""
    try:
        top = git("rev-parse", "--show-toplevel").strip()
    except FileNotFoundError:
        return "git is not installed"
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip()
    return None if Path(top) == ROOT else f"{ROOT} has no repository of its own"


def problems() -> Iterator[str]:
    """What is wrong with each commit."""
    for line in git("log", "--no-merges", f"--since={SINCE}", "--format=%h%x00%s").splitlines():
        name, subject = line.split("\0")
        # The last commit of a shallow clone may be a merge that git shows without parents.
        if len(subject) > LONGEST_SUBJECT and not is_merge(name):
            yield f"{name}: a subject of {len(subject)} characters; at most {LONGEST_SUBJECT} are accepted: {subject}"


def is_merge(commit: str) -> bool:
    """Whether it has several parents, in the clone or not."""
    head = git("cat-file", "commit", commit).partition("\n\n")[0]
    return sum(line.startswith("parent ") for line in head.splitlines()) > 1


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, check=True, encoding="utf-8", errors="replace"
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
