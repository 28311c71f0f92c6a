"""What the benchmarks import from the tests, and the size of the harness."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import benchmarks

FOLDER: Final = Path(benchmarks.__path__[0])
MODULES: Final = sorted(FOLDER.rglob("*.py"))
MOST_LINES: Final = 1_600


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_benchmarks_import_nothing_from_the_tests_but_their_support() -> None:
    assert any(path.parent.name == "lab" for path in MODULES)
    imported = {(path.name, name) for path in MODULES for name in _imported(path)}
    from_tests = {(path, name) for path, name in imported if name.split(".")[0] == "tests"}
    assert not {(path, name) for path, name in from_tests if not name.startswith("tests.support.")}


def test_the_harness_stays_small() -> None:
    harness = [path for path in MODULES if not path.is_relative_to(FOLDER / "lab")]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in harness) <= MOST_LINES
