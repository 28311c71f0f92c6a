"""``python -m benchmarks.lab NAME``: run one experiment; without a name list them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

EXPERIMENTS: Final = (
    "batch_cost",
    "capacity",
    "chunks",
    "cpu_time",
    "gpu",
    "gpu_proof",
    "ingest",
    "isolation",
    "live_mix",
    "looks",
    "measuring",
    "night",
    "peers",
    "points",
    "rooms",
    "service_load",
    "speakers",
    "sweep",
)


def main(words: Sequence[str]) -> None:
    """Run the experiment that the command line names.

    Args:
        words: the command line, without the program.
    """
    match words:
        case [name, *options] if name.replace("-", "_") in EXPERIMENTS:
            import_module(f"benchmarks.lab.{name.replace('-', '_')}").main(options)
        case [] | ["-h" | "--help"]:
            print(listing())
        case [name, *_]:
            sys.exit(f"there is no experiment {name}; there are {', '.join(EXPERIMENTS)}")


def listing() -> str:
    """The names of all experiments, with a line of help for each."""
    lines = ["python -m benchmarks.lab NAME [--help]", ""]
    for name in EXPERIMENTS:
        about = (import_module(f"benchmarks.lab.{name}").__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:12} {about}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
