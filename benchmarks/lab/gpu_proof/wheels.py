"""Downloads the wheels that a card machine lacks: ``python -m benchmarks.lab.gpu_proof.wheels [FOLDER]``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.runner import ROOT

NAMES: Final = (
    *("av", "pydantic", "pydantic_core", "annotated-types", "typing-inspection", "typing_extensions", "tzdata"),
    *("freetype-py", "uharfbuzz"),
    *("hypothesis", "sortedcontainers", "pytest-timeout"),
)
"""What runs, what draws text, and what the tests need."""
PYTHON: Final = "3.12"
PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
MOST_BYTES: Final = 60_000_000
"""What travels with a command is bounded, and the checkout is part of it."""


def pinned(names: Sequence[str] = NAMES, constraints: Path = ROOT / "constraints.txt") -> list[str]:
    """The names with the versions of ``constraints.txt``; alone where it has none."""
    lines = (line.strip() for line in constraints.read_text("utf-8").splitlines())
    versions = {line.partition("==")[0].lower().replace("_", "-"): line for line in lines if "==" in line}
    return [versions.get(name.lower().replace("_", "-"), name) for name in names]


def main(folder: Path) -> None:
    """Download them, and check that they are not too much."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    command += [word for abi in ("cp312", "abi3", "none") for word in ("--abi", abi)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, "--dest", str(folder), *pinned()], check=True)
    found = sorted(folder.glob("*.whl"))
    total = sum(path.stat().st_size for path in found)
    print(f"{len(found)} wheels in {folder}, {total / 1e6:.1f} MB")
    if total > MOST_BYTES or len(found) != len(NAMES):
        sys.exit(f"{len(NAMES)} wheels of at most {MOST_BYTES / 1e6:.0f} MB are wanted")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".whl")
