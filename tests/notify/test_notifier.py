"""Callbacks as their receivers get them, good and bad ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from owtmix.errors import InputError, Interrupted
from owtmix.notify import lane
from owtmix.notify.events import Event, WarnCode, failed, finished, started, warning
from owtmix.notify.notifier import Notifier, Sending, resend
from owtmix.notify.outbox import Outbox
from owtmix.notify.signature import signing_key
from owtmix.spec.job import NotifySpec
from tests.notify.receiver import SILENCE, TAKEN, Receiver, Request, answers, receiving

FINISHED: Final = finished(["j1.mp4"])
PATIENCE_S: Final = 20.0
"""Far more than a receiver that takes everything needs."""

STATUS: Final = "ucloud_mixer_status_update"
WARNING: Final = "ucloud_mixer_warning"
FILES: Final = "ucloud_mixer_file_infos"
UPLOAD: Final = "ucloud_upload_status"


def note(number: int) -> Event:
    return warning(WarnCode.INPUT_DAMAGED, f"warning {number}")


def both(url: str, token: str | None = None) -> tuple[NotifySpec, NotifySpec]:
    return NotifySpec("job.mixer", url, token), NotifySpec("job.oss", url, token)


def mixer(url: str) -> tuple[NotifySpec]:
    return (NotifySpec("job.mixer", url, None),)


def notifier(folder: Path, receivers: tuple[NotifySpec, ...], sending: Sending | None = None) -> Notifier:
    return Notifier("j1", "0", receivers, folder, sending or Sending())


@contextmanager
def nobody() -> Iterator[str]:
    """A URL where nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/callback"


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


def test_nobody_is_told_and_nothing_is_written_without_receivers(tmp_path: Path) -> None:
    run = notifier(tmp_path, (NotifySpec("job.record", "http://127.0.0.1:1/", None),))
    run.notify(started(), *FINISHED)
    assert run.finish(PATIENCE_S) == 0
    assert list(tmp_path.iterdir()) == []


def test_requests_are_signed_when_there_is_a_secret(tmp_path: Path) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    secret = "whsec_" + base64.b64encode(key).decode()
    before = int(time.time())
    with receiving(answers(500, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url), Sending(key=signing_key(secret)))
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
def test_a_message_that_is_not_wanted_does_not_hold_up_the_next(tmp_path: Path, status: int) -> None:
    """A droppable one is tried once and dropped, another three times and kept."""

    def answer(request: Request) -> int:
        return TAKEN if request.event == FILES else status

    with receiving(answer) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), *FINISHED)
        assert run.finish(PATIENCE_S) == 2
    assert receiver.events == [STATUS] * 3 + [WARNING, FILES] + [STATUS] * 3
    assert {request.path for request in receiver.requests} == {"/callback"}, "redirects are not followed"
    assert [message.event for message in Outbox(tmp_path, "j1").waiting] == [STATUS, STATUS]


def test_a_receiver_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    with receiving(answers(TAKEN, 410)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), note(2))
        receiver.wait_for(2)
        run.notify(*FINISHED)
        assert run.finish(PATIENCE_S) == 2
    assert receiver.events == [STATUS, WARNING]
    assert [message.event for message in Outbox(tmp_path, "j1").waiting] == [FILES, STATUS]


def test_a_dead_receiver_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    with nobody() as dead, receiving() as receiver:
        run = notifier(tmp_path, (*mixer(dead), *mixer(receiver.url)))
        run.notify(started(), *FINISHED)
        receiver.wait_for(3)
        assert run.finish(0.2) == 3
    assert {message.url for message in Outbox(tmp_path, "j1").waiting} == {dead}


def test_a_receiver_that_comes_back_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end does not wait for the end of a long pause."""
    monkeypatch.setattr(lane, "FIRST_PAUSE_S", 600)
    monkeypatch.setattr(lane, "LONGEST_PAUSE_S", 600)
    with receiving(answers(503, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1))
        receiver.wait_for(1)
        assert run.finish(PATIENCE_S) == 0
    assert receiver.events == [STATUS, STATUS, WARNING]


def test_a_slow_receiver_misses_warnings_and_gets_the_end(tmp_path: Path) -> None:
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


def test_a_receiver_that_never_answers_is_left_when_the_time_is_over(tmp_path: Path) -> None:
    with receiving(answers(SILENCE)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), *FINISHED)
        receiver.wait_for(1)
        start = time.monotonic()
        assert run.finish(0.3) == 3
        assert time.monotonic() - start < 5, "far less than one attempt may take"


def test_an_answer_that_takes_too_long_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "ATTEMPT_S", 0.1)
    with receiving(answers(SILENCE, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started())
        assert run.finish(PATIENCE_S) == 0
    assert len({request.id for request in receiver.requests}) == 1
    assert len(receiver.requests) == 2


@pytest.mark.serial
@pytest.mark.parametrize("status", [SILENCE, 302, 410, 503])
def test_composing_is_not_delayed(tmp_path: Path, status: int) -> None:
    """All that a run spends on callbacks before it waits, with a thousand joins and leaves (semantics.md)."""
    with nobody() as dead, receiving(answers(status)) as receiver:
        start = time.monotonic()
        run = notifier(tmp_path, (*both(receiver.url), *both(dead)))
        run.notify(started(), *map(note, range(2000)))
        for number in range(50):
            run.notify(note(-number))
        run.notify(*FINISHED)
        assert time.monotonic() - start < 1
        run.finish(0)


def test_an_interrupt_leaves_the_rest_in_the_outbox(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted("stopped")

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()
    try:
        with receiving(answers(SILENCE)) as receiver:
            run = notifier(tmp_path, mixer(receiver.url))
            run.notify(*FINISHED)
            receiver.wait_for(1)
            threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGUSR1)).start()
            start = time.monotonic()
            with pytest.raises(Interrupted):
                run.finish(60)
            assert time.monotonic() - start < 2
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [message.event for message in Outbox(tmp_path, "j1").waiting] == [FILES, STATUS]


def test_what_is_left_is_sent_again_on_request(tmp_path: Path) -> None:
    with receiving(answers(503)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), note(1), *FINISHED)
        assert run.finish(0.2) == 4
        tried = receiver.requests[0]
        receiver.answer = answers(TAKEN)
        receiver.requests.clear()
        assert resend("j1", tmp_path, Sending(), PATIENCE_S) == (4, 0)
        assert receiver.events == [STATUS, WARNING, FILES, STATUS]
        assert (receiver.requests[0].id, receiver.requests[0].body) == (tried.id, tried.body)
        assert list(tmp_path.iterdir()) == []
        assert resend("j1", tmp_path, Sending(), PATIENCE_S) == (0, 0)


def test_the_next_run_sends_what_an_earlier_one_left_first(tmp_path: Path) -> None:
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


def test_a_receiver_that_is_no_more_in_the_job_is_left_alone(tmp_path: Path) -> None:
    with receiving(answers(503)) as former, receiving() as receiver:
        run = notifier(tmp_path, mixer(former.url))
        run.notify(*FINISHED)
        assert run.finish(0.1) == 2
        former.requests.clear()
        again = notifier(tmp_path, mixer(receiver.url))
        again.notify(started())
        assert again.finish(PATIENCE_S) == 2, "what is left for the former one"
    assert former.requests == []


def test_a_disk_that_cannot_be_written_stops_no_callback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outbox").write_text("not a folder")
    with receiving() as receiver:
        run = notifier(tmp_path / "outbox", mixer(receiver.url))
        run.notify(started(), *FINISHED)
        assert run.finish(PATIENCE_S) == 0
    assert receiver.events == [STATUS, FILES, STATUS]
    assert "callbacks are sent without being kept on disk" in caplog.text


def test_a_network_that_is_not_allowed_is_not_entered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        run = notifier(tmp_path, mixer(receiver.url), Sending(allowed=(ip_network("10.0.0.0/8"),)))
        run.notify(started(), note(1))
        assert run.finish(PATIENCE_S) == 1
    assert receiver.requests == []
    assert "127.0.0.1 (loopback) is not allowed" in caplog.text


def test_a_receiver_is_complained_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(answers(*[503] * 9, TAKEN)) as receiver:
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started())
        run.finish(PATIENCE_S)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"a callback to {receiver.url.removesuffix('/callback')} failed: it answers with status 503"]


@pytest.mark.parametrize("path", ["http://canary:canary@{}/canary?key=canary", "http://xn--/canary"])
def test_secrets_are_in_no_log_and_no_repr(tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str) -> None:
    with nobody() as dead, receiving(answers(401, 503, 302)) as receiver, caplog.at_level(logging.DEBUG):
        hosts = [url.split("/")[2] for url in (dead, receiver.url)]
        receivers = tuple(NotifySpec("job.mixer", path.format(host), "canary") for host in hosts)
        sending = Sending(key=b"canary" * 4)
        run = notifier(tmp_path, receivers, sending)
        run.notify(started(), *FINISHED)
        run.finish(0.5)
        resend("j1", tmp_path, sending, 0.2)
    shown = caplog.text + repr(sending) + repr(Outbox(tmp_path, "j1").waiting)
    assert "canary" not in shown
    assert "callback" in caplog.text


KILLED: Final = """
import os, signal, sys
from pathlib import Path
from owtmix.notify import lane
from owtmix.notify.notifier import Notifier, Sending
from owtmix.notify.outbox import Outbox
from owtmix.notify.events import finished, started
from owtmix.spec.job import NotifySpec

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

stage, folder, url = sys.argv[1:]
if stage == "before sending":
    lane.Lane.put = die
elif stage == "before noting the delivery":
    Outbox.settle = die
run = Notifier("j1", "0", [NotifySpec("job.mixer", url, "hush")], Path(folder), Sending())
run.notify(*finished(["j1.mp4"]))
run.finish(30)
"""


def killed(stage: str, folder: Path, receiver: Receiver) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, stage, str(folder), receiver.url], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_after_a_kill_between_writing_and_sending_the_end_is_sent_on_request(tmp_path: Path) -> None:
    with receiving() as receiver:
        killed("before sending", tmp_path, receiver)
        assert receiver.requests == []
        kept = [asdict(message) for message in Outbox(tmp_path, "j1").waiting]
        assert resend("j1", tmp_path, Sending(), PATIENCE_S) == (2, 0)
    assert [request.id for request in receiver.requests] == [message["id"] for message in kept]
    assert receiver.requests[-1].json["Data"]["Status"] == 2


def test_after_a_kill_between_sending_and_noting_it_the_repeat_has_the_same_id(tmp_path: Path) -> None:
    with receiving() as receiver:
        killed("before noting the delivery", tmp_path, receiver)
        assert receiver.events == [FILES]
        assert resend("j1", tmp_path, Sending(), PATIENCE_S) == (2, 0)
    assert receiver.events == [FILES, FILES, STATUS]
    assert receiver.requests[0].id == receiver.requests[1].id
    assert receiver.requests[0].body == receiver.requests[1].body


def test_a_run_that_was_killed_goes_on_with_the_same_ids(tmp_path: Path) -> None:
    """The second start repeats what was not delivered, and what it tells anew is known to the receiver."""
    with receiving(answers(503)) as receiver:
        killed_run = notifier(tmp_path, mixer(receiver.url))
        killed_run.notify(started(), note(1), note(1))
        killed_run.finish(0.1)
        first = [message.id for message in Outbox(tmp_path, "j1").waiting]
        receiver.answer = answers(TAKEN)
        receiver.requests.clear()
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), warning(WarnCode.SERVICE_WARN_PROCESS_RESTART, "the run is resumed"), note(1), note(1))
        run.notify(*FINISHED)
        assert run.finish(PATIENCE_S) == 0
    assert [request.id for request in receiver.requests][:3] == first
    assert receiver.events == [STATUS, WARNING, WARNING, WARNING, FILES, STATUS]
    assert json.loads(receiver.requests[3].body)["Data"]["WarnCode"] == 1


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10_000, 30.0)]
)
def test_pauses_grow_to_a_limit_with_jitter(
    monkeypatch: pytest.MonkeyPatch, failures: int, longest_s: float
) -> None:
    monkeypatch.undo()
    pauses = [lane.pause_s(failures) for _ in range(200)]
    assert longest_s / 2 <= min(pauses) < max(pauses) <= longest_s
    assert max(pauses) - min(pauses) > longest_s / 4


@pytest.mark.parametrize(
    ("expected", "statuses"),
    [
        (lane.Outcome.DELIVERED, [200, 201, 202, 204, 299]),
        (lane.Outcome.FAILED, [408, 429, 500, 502, 503, 504, 599]),
        (lane.Outcome.REFUSED, [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 413, 600]),
        (lane.Outcome.GONE, [410]),
    ],
)
def test_what_a_status_means(expected: lane.Outcome, statuses: list[int]) -> None:
    assert {lane.outcome(status) for status in statuses} == {expected}
