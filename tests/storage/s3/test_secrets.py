"""A key is never seen: whatever goes wrong, and however much is logged."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from botocore import exceptions as foreign  # type: ignore[import-untyped]

from owtmix.base.errors import MixError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import LocalCopy
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.errors import BucketLocation, explain
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import AT, NOWHERE, QUICK, Service, ignore
from tests.storage.fault_proxy import FaultProxy, lost, refused, silent, truncated

KEY_ID, SECRET, TOKEN = "canary-id", "canary-secret", "canary-token"

FAULTS = {
    "a wrong key": None,  # the service's answer quotes the key id and all that was signed
    "an echo": refused(400, "InvalidArgument", AWSAccessKeyId=KEY_ID, Canary=TOKEN),
    "silence": silent,
    "a lost answer": lost,
    "a cut": truncated(1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_written_or_raised_holds_a_key(
    name: str,
    spec: StorageSpec,
    service: Service,
    proxy: FaultProxy,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for logger in ("", "boto3", "botocore", "urllib3"):
        caplog.set_level(logging.DEBUG, logger)
    if fault := FAULTS[name]:
        proxy.inject(fault, times=-1)
    service.put("a.webm", Random(1).randbytes(1000))
    movie = tmp_path / "out.mp4"
    movie.write_bytes(b"movie")
    options = replace(QUICK, read_timeout_s=0.1, attempts=2)
    store = S3Store(spec, options, AT, Credentials(KEY_ID, SECRET, TOKEN, "a test"))
    raised: list[MixError] = []
    for ask in (
        lambda: store.locate("a.webm", NOWHERE),
        lambda: store.read("a.webm", 1000),
        lambda: store.read_part("a.webm", LocalCopy(NOWHERE), 0, 10),
        lambda: store.fetch("a.webm", LocalCopy(tmp_path / "1.webm", 1000), ignore),
        lambda: store.commit(movie, "out.mp4", ignore),
        lambda: store.stage("out.mp4", "job", NOWHERE),
    ):
        with pytest.raises(MixError) as caught:
            ask()
        raised.append(caught.value)
    for error in raised:
        assert error.__context__ is None
        assert error.__cause__ is None
        seen = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert "canary" not in "".join(seen.format()) + repr(error)
    written = capfd.readouterr()
    assert "canary" not in written.out + written.err + caplog.text
    assert proxy.requests


def test_every_failure_of_the_network_has_a_sentence_of_its_own() -> None:
    location = BucketLocation("http://127.0.0.1:1", "room", "cn-bj")
    arguments = {"error": "", "endpoint_url": "", "proxy_url": "", "request": None}
    general = explain(foreign.HTTPClientError(**arguments), location)
    for kind in (*_below(foreign.HTTPClientError), *_below(foreign.ConnectionError)):
        failure = explain(kind(**arguments), location)
        assert failure.sentence != general.sentence, kind
        assert failure.transient, kind


def _below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for direct in kind.__subclasses__():
        yield direct
        yield from _below(direct)
