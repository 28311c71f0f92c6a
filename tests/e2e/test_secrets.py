"""Canaries: secrets in every place that can have one, searched for in everything that a run writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stored import STORAGE, Done, Stored, store_at
from tests.notify.receiver import Receiver, receiving
from tests.storage.fault_proxy import is_content, is_part, refused
from tests.storage.swift_server import KEY_ID, SECRET

SIGNING: Final = base64.b64encode(b"canary-that-signs-callbacks").decode()
QUERY: Final = "signature=canary%2Fquery"
ENVIRONMENT: Final = {
    "OWT_CALLBACK_SECRET": f"whsec_{SIGNING}",
    "AWS_SECRET_ACCESS_KEY": "canary-environment",
    "AWS_ACCESS_KEY_ID": "canary-environment-id",
    "AWS_SESSION_TOKEN": "canary-session",
}
SECRETS: Final = (KEY_ID, SECRET, SIGNING, "canary")

PREPARE: Final = "jobs/prepare.py"
"""The module to which code is appended that runs before the plan is made."""

BEFORE_THE_PLAN: Final = """
planned = make_plan
def make_plan(*arguments):
    act()
    return planned(*arguments)
"""

SHOW_CHILDREN: Final = """
from pathlib import Path
def act():
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"owtmix.workers.fork_server" not in Path(f"/proc/{child}/cmdline").read_bytes():
                continue  # the guard is a copy of this process
            for name in ("environ", "cmdline"):
                print("CHILD", Path(f"/proc/{child}/{name}").read_bytes(), flush=True)
"""

CRASH: Final = f"""
def act():
    try:
        raise ValueError("inner {SECRET}")
    except ValueError:
        raise RuntimeError("cannot sign {KEY_ID} {SECRET} canary-token-of-a-receiver {QUERY}")
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def planted(stored: Stored, receiver: Receiver) -> Stored:
    """The job, with canaries and the real key of the service, and all values to search for."""
    stored.configure(attempts="2", wait_s="0.2")
    stored.change("Token", "canary-token-of-the-job")
    known = receiver.url.replace("http://", "http://user:canary-of-a-receiver@")
    stored.tell(f"{known}?{QUERY}", token="canary-token-of-a-receiver")
    image = receiver.url.replace("http://", "http://user:canary-password@") + f"?{QUERY}"
    stored.change("Data.MixerConfig", {"WaterMark": {"Type": 2, "Image": image, "X": 0, "Y": 0}})
    return stored


def found_in(planted: Stored, done: Done) -> dict[str, str]:
    """Places where secrets were found: streams, logs, work folder and the rest of the installation; and which."""
    written = {"stdout": done.stdout, "stderr": done.stderr}
    root = planted.command.root
    for path in (*root.glob("logs/**/*"), *root.glob("work/**/*")):
        if path.is_file():
            written[str(path)] = path.read_bytes().decode(errors="replace")
    for key in planted.service.keys():  # noqa: SIM118 - it is no dict
        written[key] = key + planted.service.get(key).decode(errors="replace")
    return {place: secret for place, text in written.items() for secret in SECRETS if secret in text}


def the_key_is_wrong(planted: Stored) -> None:
    planted.change(f"{STORAGE}.SecretKey", "canary-wrong")


def the_key_of_the_input_is_wrong(planted: Stored) -> None:
    source = store_at(planted.service, planted.proxy.endpoint)
    planted.change("Data.InputConfig", {"StorageConfig": source | {"SecretKey": "canary-of-the-input"}})


def the_store_quotes_what_was_sent(planted: Stored) -> None:
    fault = refused(403, "SignatureDoesNotMatch", AWSAccessKeyId=KEY_ID, StringToSign=f"canary {SECRET}")
    planted.proxy.inject(fault, times=-1, only=is_content)


def the_upload_is_refused(planted: Stored) -> None:
    planted.proxy.inject(refused(400, "InvalidArgument", ArgumentValue=f"canary {SECRET}"), times=-1, only=is_part)


def the_endpoint_has_a_password(planted: Stored) -> None:
    planted.change(f"{STORAGE}.Endpoint", "http://user:canary-password@127.0.0.1:9")


def secrets_are_of_a_wrong_kind(planted: Stored) -> None:
    planted.change(f"{STORAGE}.SecretKey", {"canary": ["canary"]})
    receiver = {"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": "ftp://canary/?canary", "Token": ["canary"]}
    planted.change("Data.NotifyConfig", [receiver])


def the_file_ends_after_a_secret(planted: Stored) -> None:
    text = planted.job_file.read_text()
    planted.job_file.write_text(text[: text.index(SECRET) + len(SECRET)])


FAILURES: Final[dict[int, tuple[Callable[[Stored], None], ...]]] = {
    2: (the_endpoint_has_a_password, secrets_are_of_a_wrong_kind, the_file_ends_after_a_secret),
    3: (the_key_is_wrong, the_key_of_the_input_is_wrong, the_store_quotes_what_was_sent),
    5: (the_upload_is_refused,),
}


@pytest.mark.parametrize(
    ("status", "spoil"), [(status, spoil) for status, several in FAILURES.items() for spoil in several]
)
def test_failures_show_no_secret(planted: Stored, status: int, spoil: Callable[[Stored], None]) -> None:
    spoil(planted)
    done = planted.run("-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == status, done.stderr
    assert not found_in(planted, done)


def test_a_run_shows_no_secret_and_its_children_know_none(planted: Stored, receiver: Receiver) -> None:
    with planted.code_appended(PREPARE, BEFORE_THE_PLAN + SHOW_CHILDREN):
        done = planted.run("-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("CHILD") >= 2
    assert "the watermark image http://127.0.0.1" in done.stderr
    assert not found_in(planted, done)
    told = [request for request in receiver.requests if "webhook-id" in request.headers]
    assert all("webhook-signature" in request.headers for request in told)
    said = {json.dumps(request.json | {"Token": ""}) for request in told}
    assert said
    assert not [text for text in said for secret in SECRETS if secret in text]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_plan_shows_no_secret(planted: Stored, form: str) -> None:
    done = planted.run(f"--plan={form}", "-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert not found_in(planted, done)


def test_a_crash_shows_no_secret(planted: Stored, receiver: Receiver) -> None:
    with planted.code_appended(PREPARE, BEFORE_THE_PLAN + CRASH):
        done = planted.run("-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == 4
    assert "internal error: RuntimeError: cannot sign ***" in done.stderr
    assert "Traceback" in planted.command.log(planted.job_id).read_text()
    assert not found_in(planted, done)
    assert receiver.requests[-1].json["Data"]["Status"] == 3
    (error,) = (request.json["Data"] for request in receiver.requests if request.event == "ucloud_mixer_error")
    assert error["ErrorMsg"] == "an unexpected error: RuntimeError"


def test_a_crash_before_the_job_is_known_shows_no_secret(planted: Stored) -> None:
    crash = "def crash(text, _): raise RuntimeError(text)\nread_job = crash\n"
    with planted.code_appended("jobs/request.py", crash):
        done = planted.run("-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == 4
    assert "internal error: RuntimeError" in done.stderr
    assert ", in crash" in planted.command.log("owt-main").read_text()
    assert not found_in(planted, done)


def test_undelivered_callbacks_are_readable_by_the_owner_only_and_removed_by_resend(
    planted: Stored, receiver: Receiver
) -> None:
    """Tokens are stored until the callbacks are delivered, and then removed."""
    planted.change("Data.MixerConfig", {})
    receiver.answer = lambda _: 503
    done = planted.run("-v", planted.job_file, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert f"owt-main --resend {planted.job_id}" in done.stderr
    assert not found_in(planted, done)
    outbox = planted.command.root / "outbox"
    kept = [path for path in outbox.rglob("*") if path.is_file()]
    assert any("canary-token-of-a-receiver" in path.read_text() for path in kept)
    assert not [path for path in kept if SECRET in path.read_text() or SIGNING in path.read_text()]
    assert {path.stat().st_mode & 0o077 for path in (outbox, *outbox.rglob("*"))} == {0}

    again = planted.run("--resend", planted.job_id, **ENVIRONMENT)
    assert again.returncode == 5
    assert "callbacks" in again.stderr
    assert not found_in(planted, again)
    receiver.answer = lambda _: 200
    receiver.requests.clear()
    planted.configure(wait_s="60")  # so that no message is dropped for lack of time
    last = planted.run("--resend", planted.job_id, **ENVIRONMENT)
    assert last.returncode == 0, last.stderr
    assert json.loads(last.stdout) == {"job_id": planted.job_id, "sent": len(receiver.requests), "left": 0}
    assert receiver.requests[-1].json["Data"]["Status"] == 2
    assert not (outbox / planted.job_id).exists()
    assert not found_in(planted, last)


def test_resend_is_refused_for_what_is_no_job(planted: Stored) -> None:
    for words in (["--resend", "../etc"], ["--resend", "a", planted.job_file], []):
        done = planted.run(*words, "-q")
        assert done.returncode == 2
        assert "usage" in done.stderr


def test_a_key_from_the_environment_with_a_session_token(planted: Stored, tmp_path: Path) -> None:
    """None of the three values is shown, whether the store accepts them or not."""
    planted.configure(own_endpoints=f'["{planted.proxy.endpoint}"]')
    for name in ("PublicKey", "SecretKey"):
        planted.change(f"{STORAGE}.{name}", None)
    key = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "canary-session"}
    done = planted.run("-v", planted.job_file, **ENVIRONMENT | key)
    assert done.returncode == 0, done.stderr
    assert not found_in(planted, done)
    files = tmp_path / "credentials"
    files.write_text(f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = canary-of-a-file\n")
    done = planted.run("-v", planted.job_file, AWS_SHARED_CREDENTIALS_FILE=str(files))
    assert done.returncode == 3
    assert not found_in(planted, done)
