"""Children of these tests know the tests' own tasks."""

from __future__ import annotations

import pytest

from owtmix.jobfile.settings import INSTALLATION


@pytest.fixture(autouse=True)
def children_know_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(INSTALLATION))
