"""Fixtures of the attacks; all of them are attacks (``make attack``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.storage.conftest import client, proxy, service, swift
from tests.support.fixtures import command, job_id, tiny

__all__ = ["client", "command", "job_id", "proxy", "service", "swift", "tiny"]

HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.attack)
