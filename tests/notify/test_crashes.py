"""Callbacks of a run that is killed or interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.errors import Interrupted
from owtmix.notify.events import WarnCode, started, warning
from owtmix.notify.notifier import resend
from tests.notify.receiver import SILENCE, TAKEN, Receiver, Request, answers, receiving
from tests.notify.runs import FILES, FINISHED, PATIENCE_S, QUICK, STATUS, WARNING, mixer, note, notifier, waiting

RUN: Final = """
import os, signal, sys
from ipaddress import ip_network
from pathlib import Path
from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import finished
from owtmix.notify.notifier import Notifier
from owtmix.notify.options import SenderOptions

folder, url, *networks = sys.argv[1:]
options = SenderOptions([ip_network(network) for network in networks])
run = Notifier("j1", "0", [NotifySpec("job.mixer", url, "hush")], Path(folder), options)
run.notify(*finished(["j1.mp4"]))
if not networks:
    os.kill(os.getpid(), signal.SIGKILL)
run.finish(30)
"""
"""Tells a receiver in ``networks`` that the job has finished. Without networks, nothing is sent before it is killed."""


def start(folder: Path, receiver: Receiver, *networks: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), receiver.url, *networks])


def test_after_a_kill_between_storing_and_sending_resend_delivers(tmp_path: Path) -> None:
    with receiving() as receiver:
        with start(tmp_path, receiver) as process:
            assert process.wait(60) == -signal.SIGKILL
        assert receiver.requests == []
        kept = [message.id for message in waiting(tmp_path)]
        assert resend(["j1"], tmp_path, QUICK, PATIENCE_S) == {"j1": (2, 0)}
    assert [request.id for request in receiver.requests] == kept
    assert receiver.requests[-1].json["Data"]["Status"] == 2


def test_after_a_kill_between_sending_and_marking_done_the_repeat_has_the_same_id(tmp_path: Path) -> None:
    """The receiver kills the run instead of answering."""

    def kill(_: Request) -> int:
        process.kill()
        return SILENCE

    with receiving(kill) as receiver:
        with start(tmp_path, receiver, "127.0.0.0/8") as process:
            assert process.wait(60) == -signal.SIGKILL
        assert receiver.events == [FILES]
        receiver.answer = answers(TAKEN)
        assert resend(["j1"], tmp_path, QUICK, PATIENCE_S) == {"j1": (2, 0)}
    assert receiver.events == [FILES, FILES, STATUS]
    assert receiver.requests[0].id == receiver.requests[1].id
    assert receiver.requests[0].body == receiver.requests[1].body


def test_a_resumed_run_uses_the_same_ids(tmp_path: Path) -> None:
    """The resumed run sends undelivered messages again, and repeated events have the ids of the first run."""
    with receiving(answers(503)) as receiver:
        killed_run = notifier(tmp_path, mixer(receiver.url))
        killed_run.notify(started(), note(1), note(1))
        killed_run.finish(0.1)
        first = [message.id for message in waiting(tmp_path)]
        receiver.answer = answers(TAKEN)
        receiver.requests.clear()
        run = notifier(tmp_path, mixer(receiver.url))
        run.notify(started(), warning(WarnCode.SERVICE_WARN_PROCESS_RESTART, "the run is resumed"), note(1), note(1))
        run.notify(*FINISHED)
        assert run.finish(PATIENCE_S) == 0
    assert [request.id for request in receiver.requests][:3] == first
    assert receiver.events == [STATUS, WARNING, WARNING, WARNING, FILES, STATUS]
    assert receiver.requests[3].json["Data"]["WarnCode"] == 1


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
    assert [message.event for message in waiting(tmp_path)] == [FILES, STATUS]
