"""Children of these tests know the tests' own tasks."""

from __future__ import annotations

from tests.support.fixtures import children_know_the_tests

__all__ = ["children_know_the_tests"]
