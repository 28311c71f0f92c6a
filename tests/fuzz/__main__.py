"""``make fuzz``: runs rounds of all kinds for a given time and keeps findings with their seeds."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from owtmix.jobfile.settings import INSTALLATION
from tests.conftest import SHARED
from tests.fuzz.rounds import Corpus, gather, try_composing, try_documents, try_planning, try_probing

DOCUMENTS: Final = 300
KEPT: Final = INSTALLATION / "work" / "fuzz"


def _documents(corpus: Corpus, chance: Random, _folder: Path) -> None:
    for _ in range(DOCUMENTS):
        try_documents(corpus, chance)


KINDS: Final[tuple[Callable[[Corpus, Random, Path], None], ...]] = (
    _documents,
    try_probing,
    try_composing,
    try_planning,
    try_probing,
)


def main() -> int:
    """Return 1 when there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first round; one after the other is used")
    arguments = parser.parse_args()
    seed = int(time.time()) if arguments.seed is None else arguments.seed
    end = time.monotonic() + arguments.seconds
    done: Counter[str] = Counter()
    found = 0
    with tempfile.TemporaryDirectory(prefix="owtmix-fuzz-") as scratch:
        recordings = SHARED / "media"
        corpus = gather(Path(scratch) / "corpus", recordings if recordings.is_dir() else None)
        while time.monotonic() < end:
            kind = KINDS[seed % len(KINDS)]
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            try:
                kind(corpus, Random(seed), folder)
            except Exception:  # noqa: BLE001 - any exception is a finding
                found += 1
                kept = KEPT / str(seed)
                kept.parent.mkdir(parents=True, exist_ok=True)
                if not kept.exists():
                    folder.rename(kept)
                sys.stderr.write(f"seed {seed}, files in {kept}:\n{traceback.format_exc()}\n")
            done[kind.__name__.strip("_")] += 1
            seed += 1
    rounds = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
    sys.stdout.write(f"{rounds}; {found} findings; the next seed is {seed}\n")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
