"""Delivery to receivers that refuse, fail, are slow or do not exist."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from owtmix.notify.events import started
from owtmix.notify.options import SenderOptions
from owtmix.notify.receiver import AttemptResult, classify_status
from tests.notify.receiver import SILENCE, TAKEN, Request, answers, receiving
from tests.notify.runs import (
    FILES,
    FINISHED,
    PATIENCE_S,
    QUICK,
    STATUS,
    UPLOAD,
    WARNING,
    both,
    mixer,
    nobody,
    note,
    notifier,
    waiting,
)


def test_requests_are_signed_when_there_is_a_secret(tmp_path: Path) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    before = int(time.time())
    with receiving(answers(500, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url), replace(QUICK, key=key))
        run.notify(started())
        run.finish(PATIENCE_S)
    assert len(receiver.requests) == 2
    for request in receiver.requests:
        signed = f"{request.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
        assert before <= int(request.headers["webhook-timestamp"]) <= int(time.time())


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_receiver_that_is_busy_is_asked_again_with_the_same_id(tmp_path: Path, status: int) -> None:
    with receiving(answers(status, status, status, status, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1))
        assert run.finish(PATIENCE_S) == 0
    assert receiver.events == [STATUS] * 5 + [WARNING]
    assert len({(request.id, request.body) for request in receiver.requests}) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404])
def test_a_refused_message_does_not_block_the_next(tmp_path: Path, status: int) -> None:
    """A droppable message is tried once and dropped; another is tried three times and kept."""

    def answer(request: Request) -> int:
        return TAKEN if request.event == FILES else status

    with receiving(answer) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), *FINISHED)
        assert run.finish(PATIENCE_S) == 2
    assert receiver.events == [STATUS] * 3 + [WARNING, FILES] + [STATUS] * 3
    assert {request.path for request in receiver.requests} == {"/callback"}, "redirects are not followed"
    assert [message.event for message in waiting(tmp_path)] == [STATUS, STATUS]


def test_a_receiver_that_answers_410_gets_nothing_more(tmp_path: Path) -> None:
    with receiving(answers(TAKEN, 410)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), note(2))
        receiver.wait_for(2)
        run.notify(*FINISHED)
        assert run.finish(PATIENCE_S) == 2
    assert receiver.events == [STATUS, WARNING]
    assert [message.event for message in waiting(tmp_path)] == [FILES, STATUS]


def test_a_dead_receiver_does_not_block_others(tmp_path: Path) -> None:
    with nobody() as dead, receiving() as receiver:
        run = notifier(tmp_path, (*mixer(dead), *mixer(receiver.url)))
        run.notify(started(), *FINISHED)
        receiver.wait_for(3)
        assert run.finish(0.2) == 3
    assert {message.url for message in waiting(tmp_path)} == {dead}


def test_a_receiver_that_comes_back_gets_everything(tmp_path: Path) -> None:
    """``finish`` ends a long pause between attempts."""
    with receiving(answers(503, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url), SenderOptions(first_pause_s=600, longest_pause_s=600))
        run.notify(started(), note(1))
        receiver.wait_for(1)
        assert run.finish(PATIENCE_S) == 0
    assert receiver.events == [STATUS, STATUS, WARNING]


def test_a_slow_receiver_misses_warnings_and_gets_the_last_events(tmp_path: Path) -> None:
    def answer(_: Request) -> int:
        receiver.closed.wait(0.1)
        return TAKEN

    with receiving(answer) as receiver:
        run = notifier(tmp_path, both(receiver.url))
        run.notify(started(), *map(note, range(200)))
        run.notify(*FINISHED)
        assert run.finish(4) == 0
    assert receiver.events[-3:] == [FILES, UPLOAD, STATUS]
    assert 0 < receiver.events.count(WARNING) < 200


def test_a_receiver_that_never_answers_does_not_exceed_the_timeout(tmp_path: Path) -> None:
    with receiving(answers(SILENCE)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), *FINISHED)
        receiver.wait_for(1)
        start = time.monotonic()
        assert run.finish(0.3) == 3
        assert time.monotonic() - start < 5, "far less than the timeout of one attempt"


def test_an_answer_that_takes_too_long_is_a_failure(tmp_path: Path) -> None:
    with receiving(answers(SILENCE, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url), replace(QUICK, attempt_s=0.1))
        run.notify(started())
        assert run.finish(PATIENCE_S) == 0
    assert len({request.id for request in receiver.requests}) == 1
    assert len(receiver.requests) == 2


def test_a_network_that_is_not_allowed_is_not_connected_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        run = notifier(tmp_path, mixer(receiver.url), replace(QUICK, allowed=(ip_network("10.0.0.0/8"),)))
        run.notify(started(), note(1))
        assert run.finish(PATIENCE_S) == 1
    assert receiver.requests == []
    assert "127.0.0.1 (loopback) is not allowed" in caplog.text


def test_a_failing_receiver_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(answers(*[503] * 9, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started())
        run.finish(PATIENCE_S)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"a callback to {receiver.url.removesuffix('/callback')} failed: it answers with status 503"]


@pytest.mark.parametrize(
    ("expected", "statuses"),
    [
        (AttemptResult.DELIVERED, [200, 201, 202, 204, 299]),
        (AttemptResult.FAILED, [408, 429, 500, 502, 503, 504, 599]),
        (AttemptResult.REFUSED, [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 413, 600]),
        (AttemptResult.GONE, [410]),
    ],
)
def test_what_a_status_means(expected: AttemptResult, statuses: list[int]) -> None:
    assert {classify_status(status) for status in statuses} == {expected}


def test_one_that_was_gone_is_asked_again_where_receivers_are_forgotten(tmp_path: Path) -> None:
    """A service runs for months, and sends what many jobs have for one address."""
    with receiving(answers(410, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url), replace(QUICK, forgets=True))
        run.notify(started())
        until_s = time.monotonic() + PATIENCE_S
        while len(receiver.requests) < 2 and time.monotonic() < until_s:
            time.sleep(0.05)
            run.notify(note(len(receiver.requests)))
        run.finish(PATIENCE_S)
    assert len(receiver.requests) >= 2
