"""Hold commits to the form in CONTRIBUTING.md: a subject of at most 72 characters, and a body.

Merges and commits up to ``BASE`` are left alone. In a clone without ``BASE``, all that is there is looked at.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BASE = "fdba05e0a651da21f363e581ef4395b37c9682b3"
"""The last commit before the rule."""

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
    commits = f"{BASE}..HEAD" if has(BASE) else "HEAD"
    for record in git("log", "--no-merges", "--format=%h%x00%s%x00%b%x01", commits).split("\x01")[:-1]:
        name, subject, body = record.lstrip("\n").split("\x00")
        if len(subject) <= LONGEST_SUBJECT and body.strip():
            continue
        if is_merge(name):  # the last one of a shallow clone, which git shows without parents
            continue
        if len(subject) > LONGEST_SUBJECT:
            yield f"{name}: a subject of {len(subject)} characters; at most {LONGEST_SUBJECT} are accepted: {subject}"
        if not body.strip():
            yield f"{name}: no body that says why: {subject}"


def has(commit: str) -> bool:
    """Whether the clone has it."""
    try:
        git("cat-file", "-e", f"{commit}^{{commit}}")
    except subprocess.CalledProcessError:
        return False
    return True


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
