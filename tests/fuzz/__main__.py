"""``make fuzz``: runs rounds of all kinds for a given time and keeps findings with what reproduces them."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from owtmix.jobfile.settings_file import INSTALLATION
from tests.conftest import SHARED
from tests.fuzz.answer_rounds import try_leftovers, try_receiver_answers, try_store_answers
from tests.fuzz.rounds import Corpus, gather, try_composing, try_documents, try_planning, try_probing

KEPT: Final = INSTALLATION / "work" / "fuzz"

KINDS: Final[tuple[Callable[[Corpus, Random, Path], None], ...]] = (
    try_documents,
    try_probing,
    try_store_answers,
    try_composing,
    try_planning,
    try_receiver_answers,
    try_probing,
    try_leftovers,
)


def main() -> int:
    """Return 1 when there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first round; one after the other is used")
    names = sorted({kind.__name__ for kind in KINDS})
    parser.add_argument("--kind", choices=names, help="run rounds of this kind only")
    arguments = parser.parse_args()
    seed = int(time.time()) if arguments.seed is None else arguments.seed
    kinds = [kind for kind in KINDS if arguments.kind in {None, kind.__name__}]
    end = time.monotonic() + arguments.seconds
    done: Counter[str] = Counter()
    found = 0
    with tempfile.TemporaryDirectory(prefix="owtmix-fuzz-") as scratch:
        recordings = SHARED / "media"
        corpus = gather(Path(scratch) / "corpus", recordings if recordings.is_dir() else None)
        while time.monotonic() < end:
            kind = kinds[seed % len(kinds)]
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            try:
                kind(corpus, Random(seed), folder)
            except Exception:  # noqa: BLE001 - any exception is a finding
                found += 1
                sys.stderr.write(f"{keep_finding(folder, KEPT, kind.__name__, traceback.format_exc())}\n")
            shutil.rmtree(folder, ignore_errors=True)
            done[kind.__name__.removeprefix("try_")] += 1
            seed += 1
    rounds = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
    sys.stdout.write(f"{rounds}; {found} findings; the next seed is {seed}\n")
    return int(found > 0)


def keep_finding(folder: Path, kept: Path, kind: str, trace: str) -> str:
    """Copy the files of a round to ``kept``, also to another file system, and say how to repeat it.

    The files of an earlier finding with the same seed and kind are replaced.
    """
    place = kept / f"{kind}-{folder.name}"
    again = f"python -m tests.fuzz --seconds 1 --kind {kind} --seed {folder.name}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        shutil.copytree(folder, place, symlinks=True)
        (place / "finding.txt").write_text(f"{again}\n\n{trace}", encoding="utf-8")
        where = f"files in {place}"
    except (OSError, shutil.Error) as error:
        where = f"its files cannot be kept: {error}"
    return f"{again}\n{where}:\n{trace}"


if __name__ == "__main__":
    sys.exit(main())
