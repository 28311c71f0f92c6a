"""One cluster for all tests, which starts with the first of them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.farm import Farm, environment, open_farm
from tests.e2e.stored import install_quick
from tests.storage.conftest import client, proxy, service, swift
from tests.support.command import Command

__all__ = ["client", "proxy", "service", "swift"]

HELD = """

_make = _Maker.make
def _held(self, order, lines):
    hold = Path(__file__).parents[2] / "hold"
    if hold.exists():
        (hold.parent / f"held-{os.getpid()}").touch()
    while hold.exists():
        time.sleep(0.05)
    _make(self, order, lines)
_Maker.make = _held
"""
"""A bench does and says nothing while a file is there; another file then has the number of its process."""
AWAY_FIRST = """

_take, _take_away = Schedule.take, Schedule.take_away
def _first_away(self, worker):
    chunk = _take_away(self, worker)
    self.was_away = getattr(self, "was_away", False) or chunk is not None
    return chunk
def _then_here(self, worker):
    waits = (Path(__file__).parents[2] / "hold-home").exists()
    is_first = not getattr(self, "was_away", False) and time.monotonic() < _begun_s + 20
    return _take(self, worker) if self._sound or not (is_first or waits) else None
import os
import time
from pathlib import Path
_begun_s = time.monotonic()
if "OWT_TEST_AWAY_FIRST" in os.environ:
    Schedule.take, Schedule.take_away = _then_here, _first_away
"""
"""Chunks are made at home when a bench has taken the first one, or takes too long; and never while a file is there."""


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The installation of home and nodes."""
    command = install_quick(tmp_path_factory.mktemp("an installation") / "owt mix")
    for module, code in (("jobs/bench.py", HELD), ("produce/schedule.py", AWAY_FIRST)):
        path = command.root / "owtmix" / module
        path.write_text(path.read_text() + code)
    settings = command.root / "conf" / "owt.toml"
    text, found = re.subn(r"(?m)^chunk_s = .*", "chunk_s = 2", settings.read_text())
    assert found == 1
    settings.write_text(text)
    return command


@pytest.fixture(scope="session")
def whole_farm(command: Command) -> Iterator[Farm]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the extra ray is not installed")
    farm = open_farm(command)
    yield farm
    with environment():
        farm.cluster.shutdown()


@pytest.fixture
def farm(whole_farm: Farm) -> Iterator[Farm]:
    """The cluster with two nodes; nothing is held."""
    whole_farm.mend()
    yield whole_farm
    for path in whole_farm.command.root.glob("h[eo]ld*"):
        path.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
