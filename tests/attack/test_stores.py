"""Attacks of stores on the whole tool: one object whose answers never end, and a store that lists for ever."""

from __future__ import annotations

import time
from typing import Final

import pytest

from tests.e2e import conftest as jobs_in_stores
from tests.e2e.stored import Stored, problem, report
from tests.storage.s3.test_bounds import ENDLESS, OK, is_list, listing, sent_for_ever

client, service, swift = jobs_in_stores.client, jobs_in_stores.service, jobs_in_stores.swift
command, job_id, proxy, stored = (
    jobs_in_stores.command,
    jobs_in_stores.job_id,
    jobs_in_stores.proxy,
    jobs_in_stores.stored,
)
"""The fixtures of a job in a store."""


SOON_S: Final = 120
"""Of each attempt, what drips is waited for as long as ``storage.silence_s`` and a connection take."""


@pytest.mark.parametrize("name", ENDLESS)
def test_one_object_whose_answer_never_ends_is_left_out(stored: Stored, name: str) -> None:
    stored.configure(attempts="1")
    stored.proxy.inject(ENDLESS[name], times=-1, only=lambda request: "ben" in request.path)
    began = time.monotonic()
    (warning,) = report(stored.run())["warnings"]
    assert "ben_1.webm is left out: " in warning
    assert time.monotonic() - began < SOON_S


def test_one_object_whose_content_drips_is_left_out(stored: Stored) -> None:
    stored.configure(attempts="1")
    stored.proxy.inject(sent_for_ever(OK, b"x", 0.05), times=-1, only=lambda request: "ben" in request.path)
    began = time.monotonic()
    (warning,) = report(stored.run())["warnings"]
    assert "ben_1.webm is left out: " in warning
    assert time.monotonic() - began < SOON_S


def test_a_store_that_lists_for_ever_fails_the_job(stored: Stored) -> None:
    stored.proxy.inject(listing(lambda page: [f"{page}"]), times=-1, only=is_list)
    done = stored.run()
    assert done.returncode == 5
    assert "list of unfinished uploads is longer than" in problem(done)
