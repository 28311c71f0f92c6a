"""Which messages the receivers of a job get, in one run and over several."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import InputError
from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import failed, started
from owtmix.notify.notifier import Notifier, resend
from owtmix.notify.outbox import Outbox
from tests.notify.receiver import SILENCE, TAKEN, answers, receiving
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


def test_everything_arrives_in_order_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with receiving() as receiver:
        run = notifier(tmp_path, both(receiver.url, "hush"))
        run.notify(started(), note(1))
        run.notify(note(2))
        run.notify(*FINISHED)
        assert run.finish(PATIENCE_S) == 0
    sent = (started(), note(1), note(2), *FINISHED)
    assert [request.body.decode() for request in receiver.requests] == [e.body("j1", "0", "hush") for e in sent]
    assert len({request.id for request in receiver.requests}) == len(sent)
    assert {request.headers["Content-Type"] for request in receiver.requests} == {"application/json"}
    assert list(tmp_path.iterdir()) == []


def test_a_receiver_gets_its_service_only(tmp_path: Path) -> None:
    with receiving() as of_mixer, receiving() as of_oss, receiving() as of_others:
        receivers = (
            NotifySpec("job.mixer", of_mixer.url, None),
            NotifySpec("job.oss", of_oss.url, None),
            NotifySpec("job.record", of_others.url, None),
            NotifySpec("job.living", of_others.url, None),
        )
        run = notifier(tmp_path, receivers)
        run.notify(started(), *FINISHED)
        run.finish(PATIENCE_S)
    assert of_mixer.events == [STATUS, FILES, STATUS]
    assert of_oss.events == [UPLOAD]
    assert of_others.events == []


def test_the_same_entry_twice_is_one_receiver_and_two_tokens_are_two(tmp_path: Path) -> None:
    with receiving() as receiver:
        twice = NotifySpec("job.mixer", receiver.url, "a")
        run = notifier(tmp_path, (twice, twice, NotifySpec("job.mixer", receiver.url, "b")))
        run.notify(started())
        run.finish(PATIENCE_S)
    assert [request.json["Token"] for request in receiver.requests] == ["a", "b"]
    assert len({request.id for request in receiver.requests}) == 2


def test_without_receivers_nothing_is_written(tmp_path: Path) -> None:
    run = notifier(tmp_path, (NotifySpec("job.record", "http://127.0.0.1:1/", None),))
    run.notify(started(), *FINISHED)
    assert run.finish(PATIENCE_S) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.serial
@pytest.mark.parametrize("status", [SILENCE, 302, 410, 503])
def test_composing_is_not_delayed(tmp_path: Path, status: int) -> None:
    """Time that ``notify`` takes, with 1,000 joins and leaves (docs/semantics.md, "Callbacks")."""
    with nobody() as dead, receiving(answers(status)) as receiver:
        start = time.monotonic()
        run = notifier(tmp_path, (*both(receiver.url), *both(dead)))
        run.notify(started(), *map(note, range(1000)))
        for number in range(50):
            run.notify(note(-number))
        run.notify(*FINISHED)
        assert time.monotonic() - start < 1
        run.finish(0.05)


def test_resend_delivers_undelivered_messages(tmp_path: Path) -> None:
    with receiving(answers(503)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), *FINISHED)
        assert run.finish(0.2) == 4
        tried = receiver.requests[0]
        receiver.answer = answers(TAKEN)
        receiver.requests.clear()
        assert resend(["j1"], tmp_path, QUICK, PATIENCE_S) == {"j1": (4, 0)}
        assert receiver.events == [STATUS, WARNING, FILES, STATUS]
        assert (receiver.requests[0].id, receiver.requests[0].body) == (tried.id, tried.body)
        assert list(tmp_path.iterdir()) == []
        assert resend(["j1"], tmp_path, QUICK, PATIENCE_S) == {"j1": (0, 0)}


JOBS: Final = [f"j{number}" for number in range(1, 31)]


def leave(folder: Path, url: str) -> None:
    """A run of each of many jobs that delivers nothing."""
    for job_id in JOBS:
        run = Notifier(job_id, "0", mixer(f"{url}?{job_id}"), folder, QUICK)
        run.notify(started())
        assert run.finish(0) == 1


def test_many_jobs_wait_together(tmp_path: Path) -> None:
    with nobody() as url:
        leave(tmp_path, url)
        start = time.monotonic()
        assert resend(JOBS, tmp_path, QUICK, 1.0) == dict.fromkeys(JOBS, (0, 1))
        assert time.monotonic() - start < len(JOBS) / 2


def test_many_jobs_are_delivered_together(tmp_path: Path) -> None:
    with receiving(answers(503)) as receiver:
        leave(tmp_path, receiver.url)
        receiver.answer = answers(TAKEN)
        assert resend(JOBS, tmp_path, QUICK, PATIENCE_S) == dict.fromkeys(JOBS, (1, 0))
    assert list(tmp_path.iterdir()) == []


def test_jobs_with_receivers_of_their_own_are_not_looked_through_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of jobs with 32 receivers each took all the time there was, before anything was sent."""
    asked, unsent = [], Outbox.unsent

    def noted(outbox: Outbox, url: str) -> Any:
        asked.append(url)
        return unsent(outbox, url)

    monkeypatch.setattr(Outbox, "unsent", noted)
    with receiving(answers(503)) as receiver:
        leave(tmp_path, receiver.url)
        receiver.answer = answers(TAKEN)
        asked.clear()
        assert resend(JOBS, tmp_path, QUICK, PATIENCE_S) == dict.fromkeys(JOBS, (1, 0))
    assert len(asked) == len(JOBS)


def test_the_next_run_first_sends_undelivered_messages_of_earlier_runs(tmp_path: Path) -> None:
    with receiving(answers(503)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), *failed(InputError("there is no index")))
        assert run.finish(0.2) == 3
        receiver.answer = answers(TAKEN)
        receiver.requests.clear()
        again = notifier(tmp_path, mixer(receiver.url))
        again.notify(started(), *FINISHED)
        assert again.finish(PATIENCE_S) == 0
    statuses = [request.json["Data"]["Status"] for request in receiver.requests if request.event == STATUS]
    assert statuses == [1, 3, 1, 2]
    assert len({request.id for request in receiver.requests}) == len(receiver.requests) == 6


def test_a_receiver_that_was_removed_from_the_job_gets_nothing(tmp_path: Path) -> None:
    with receiving(answers(503)) as former, receiving() as receiver:
        run = notifier(tmp_path, mixer(former.url))
        run.notify(*FINISHED)
        assert run.finish(0.1) == 2
        former.requests.clear()
        again = notifier(tmp_path, mixer(receiver.url))
        again.notify(started())
        assert again.finish(PATIENCE_S) == 2, "messages of the removed receiver"
    assert former.requests == []


def test_a_disk_that_cannot_be_written_stops_no_callback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "outbox").write_text("not a folder")
    with receiving() as receiver:
        run = notifier(tmp_path / "outbox", mixer(receiver.url))
        run.notify(started(), *FINISHED)
        assert run.finish(PATIENCE_S) == 0
    assert receiver.events == [STATUS, FILES, STATUS]
    assert "callbacks are sent without being kept on disk" in caplog.text


@pytest.mark.parametrize("path", ["http://canary:canary@{}/canary?key=canary", "http://xn--/canary"])
def test_secrets_are_in_no_log_and_no_repr(tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str) -> None:
    with nobody() as dead, receiving(answers(401, 503, 302)) as receiver, caplog.at_level(logging.DEBUG):
        hosts = [url.split("/")[2] for url in (dead, receiver.url)]
        receivers = tuple(NotifySpec("job.mixer", path.format(host), "canary") for host in hosts)
        options = replace(QUICK, key=b"canary" * 4)
        run = notifier(tmp_path, receivers, options)
        run.notify(started(), *FINISHED)
        run.finish(0.5)
        resend(["j1"], tmp_path, options, 0.2)
    shown = caplog.text + repr(options) + repr(waiting(tmp_path))
    assert "canary" not in shown
    assert "callback" in caplog.text
