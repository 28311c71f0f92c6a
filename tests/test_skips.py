"""In CI nothing is skipped quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RULE = Path(__file__).with_name("conftest.py")

SKIPPING = """
import pytest

def test_left_out():
    pytest.skip({reason!r})
"""

MODULE_SKIPPING = """
import pytest

pytest.skip({reason!r}, allow_module_level=True)
"""


def _pytest(folder: Path, body: str, reason: str, ci: str) -> subprocess.CompletedProcess[str]:
    project = folder / "project"
    (project / "tests").mkdir(parents=True)
    (project / "tests" / "conftest.py").write_text(RULE.read_text())
    (project / "tests" / "test_it.py").write_text(
        "def test_passes():\n    pass\n" if not body else body.format(reason=reason)
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", str(project / "tests")]
    environment = os.environ | {"OWT_CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("body", [SKIPPING, MODULE_SKIPPING])
def test_an_unexpected_skip_fails_in_ci(tmp_path: Path, body: str) -> None:
    result = _pytest(tmp_path, body, "no terminal", ci="1")
    assert result.returncode not in {0, 5}
    assert "skipped where every test should run: no terminal" in result.stdout


def test_outside_of_ci_a_skip_is_reported_with_its_reason(tmp_path: Path) -> None:
    result = _pytest(tmp_path, SKIPPING, "no terminal", ci="")
    assert result.returncode == 0
    assert "no terminal" in result.stdout


def test_the_recordings_may_be_missing_but_only_where_they_are(tmp_path: Path) -> None:
    assert _pytest(tmp_path / "without", SKIPPING, "no ../shared/media", ci="1").returncode == 0
    (tmp_path / "with" / "shared").mkdir(parents=True)
    assert _pytest(tmp_path / "with", SKIPPING, "no ../shared/media", ci="1").returncode == 1
