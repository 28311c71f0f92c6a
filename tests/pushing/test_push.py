"""The process that pushes a mix: what it is told, what it tells, what it hides, and how it ends."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from owtmix.live import push
from owtmix.live.target import AddressError
from tests.pushing.test_pusher import SEGMENT_S, fat_segment
from tests.support.processes import descendants
from tests.support.pusher import KEY, TOKEN, address, pushing
from tests.support.rtmp_server import ACCEPTS, CLOSES, REFUSES_NAME, STALLS, FakeServer
from tests.support.segments import Feeder, end, put
from tests.support.server import wait_until

SECRETS: Final = (KEY, TOKEN, "s3cr3t")
MANY: Final = [fat_segment(number, 2000) for number in range(200)]
MOST_GROWTH_BYTES: Final = 48 << 20
"""Of a pusher whose server takes nothing: a picture of 3 MB, in chunks and in the connection."""


def test_it_pushes_until_it_is_told_to_stop_and_keeps_the_address_to_itself(tmp_path: Path) -> None:
    with FakeServer(REFUSES_NAME, CLOSES, ACCEPTS) as server:
        feeder = Feeder(tmp_path, MANY, SEGMENT_S)
        with pushing(tmp_path, {"url": address(server.port), "description": {"width": 160, "stereo": True}}) as pusher:
            pusher.wait_for("living")
            seen = Path(f"/proc/{pusher.process.pid}/cmdline").read_text()
            seen += Path(f"/proc/{pusher.process.pid}/status").read_text()
            if os.geteuid() == 0:  # nobody else may look
                seen += Path(f"/proc/{pusher.process.pid}/environ").read_text()
            assert descendants(pusher.process.pid) == []
            assert pusher.stop() == 0
        feeder.stop()
        wait_until(lambda: server.sessions[-1].is_over, "the connection is closed")
        names = server.sessions[-1].names
        assert server.sessions[-1].described["stereo"] is True
    assert pusher.states() == ["refused", "retrying", "living", "ended"]
    assert pusher.words == ""
    assert names[-2:] == ["FCUnpublish", "deleteStream"]
    everything = seen + pusher.words + json.dumps(pusher.told)
    assert not any(secret in everything for secret in SECRETS)


def test_it_sends_the_rest_when_the_mix_is_over(tmp_path: Path) -> None:
    with FakeServer() as server:
        put(tmp_path, 0, MANY[0])
        with pushing(tmp_path, {"url": address(server.port)}) as pusher:
            pusher.wait_for("living")
            Feeder(tmp_path, MANY[1:4], SEGMENT_S, first=1)
            assert pusher.status() == 0
        last = server.sessions[0].media[-1][1]
        assert server.sessions[0].names[-1] == "deleteStream"
    assert pusher.states() == ["living", "ended"]
    assert int.from_bytes(last.data[5:9], "big") == 3


def test_it_leaves_nothing_behind_when_it_is_killed(tmp_path: Path) -> None:
    put(tmp_path, 0, MANY[0])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with FakeServer() as server:
        with pushing(tmp_path, {"url": address(server.port)}, TMPDIR=str(temporary), HOME=str(temporary)) as pusher:
            pusher.wait_for("living")
            pusher.process.send_signal(signal.SIGKILL)
            assert pusher.status() == -signal.SIGKILL
        wait_until(lambda: server.sessions[0].is_over, "the connection is closed")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["000000.flv", "flv", "temporary"]


def test_it_can_be_stopped_before_it_has_an_order(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "owtmix.live.push", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        status = Path(f"/proc/{process.pid}/status")
        wait_until(lambda: _catches(status.read_text(), signal.SIGTERM), "it runs")
        process.terminate()
        assert process.wait(30) == 0


def test_it_ends_when_nobody_reads_what_it_tells(tmp_path: Path) -> None:
    put(tmp_path, 0, MANY[0])
    with FakeServer() as server:
        reading, writing = os.pipe()
        command = [sys.executable, "-P", "-m", "owtmix.live.push", str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writing) as process:
            os.close(writing)
            assert process.stdin
            process.stdin.write(json.dumps({"url": address(server.port)}).encode() + b"\n")
            process.stdin.flush()
            wait_until(lambda: server.sessions and server.sessions[0].media, "it pushes")
            os.close(reading)
            assert process.wait(30) == 0
        assert server.sessions[0].names[-1] == "deleteStream"


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"url": 1},
        {"url": f"rtmp://user:{KEY}@127.0.0.1/live/{KEY}"},
        {"url": f"rtmp://127.0.0.1:{KEY}/live/name"},
        {"url": address(1), "description": {"width": KEY}},
        {"url": address(1), "description": {KEY: 1}},
        {"url": "rtmp://127.0.0.1/live/" + KEY + "x" * (1 << 16)},
    ],
)
def test_a_wrong_order_is_refused_without_being_repeated(order: dict[str, Any]) -> None:
    with pytest.raises(AddressError) as caught:
        push.Order.from_json(json.dumps(order).encode())
    assert not any(secret in "".join(traceback.format_exception(caught.value)) for secret in SECRETS)


def test_a_wrong_order_ends_it(tmp_path: Path) -> None:
    with pushing(tmp_path, {"url": f"http://127.0.0.1/live/{KEY}"}) as pusher:
        assert pusher.status() == 2
    assert pusher.states() == ["refused", "ended"]
    assert "rtmp://host/app/name" in pusher.told[0]["reason"]
    assert KEY not in str(pusher.told) + pusher.words


def test_only_networks_of_the_settings_are_connected_to(tmp_path: Path) -> None:
    put(tmp_path, 0, MANY[0])
    settings = tmp_path / "owt.toml"
    settings.write_text("[network]\nallow = []\n")
    with FakeServer() as server, pushing(tmp_path, {"url": address(server.port)}, OWT_CONF=str(settings)) as pusher:
        assert "[network] allow in conf/owt.toml" in pusher.wait_for("refused")["reason"]
        assert server.sessions == []
        end(tmp_path)
        assert pusher.status() == 0
    assert pusher.states()[-1] == "ended"


def test_wrong_settings_end_it(tmp_path: Path) -> None:
    settings = tmp_path / "owt.toml"
    settings.write_text("[network]\nallow = 1\n")
    with pushing(tmp_path, {"url": address(1)}, OWT_CONF=str(settings)) as pusher:
        assert pusher.status() == 1
    assert "network.allow" in pusher.words
    assert KEY not in pusher.words


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_secured_server_has_to_be_who_it_says(tmp_path: Path, is_trusted: bool) -> None:
    certificate, context = _certificate(tmp_path)
    put(tmp_path, 0, MANY[0])
    trusted = {"SSL_CERT_FILE": str(certificate)} if is_trusted else {}
    with FakeServer(tls=context) as server:
        order = {"url": address(server.port, "rtmps")}
        with pushing(tmp_path, order, **trusted) as pusher:
            if is_trusted:
                pusher.wait_for("living")
                assert pusher.stop() == 0
                assert server.sessions[0].names[-1] == "deleteStream"
            else:
                assert "certificate is not valid" in pusher.wait_for("refused")["reason"]
                assert server.sessions[0].names == []


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    put(tmp_path, 0, MANY[0])
    with FakeServer() as server, pushing(tmp_path, {"url": address(server.port, "rtmps")}) as pusher:
        assert "does not" in pusher.wait_for("retrying")["reason"]


def test_its_memory_is_bounded_while_a_server_takes_nothing(tmp_path: Path) -> None:
    size = 3_000_000
    with FakeServer(STALLS) as server, pushing(tmp_path, {"url": address(server.port)}) as pusher:
        put(tmp_path, 0, fat_segment(0, 10))
        pusher.wait_for("living")
        before = pusher.peak_bytes()
        for number in range(1, 20):
            put(tmp_path, number, fat_segment(number, size))
            time.sleep(0.2)
        grown = pusher.peak_bytes() - before
        assert pusher.stop() == 0
    assert size < grown < MOST_GROWTH_BYTES


def test_no_media_library_is_loaded() -> None:
    loaded = "import sys, owtmix.live.push; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout.split()
    assert "owtmix" in found
    assert not {"av", "numpy", "PIL", "aiortc", "httpx"} & set(found)


def test_an_unexpected_error_is_told_by_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=KEY) as caught:
        int(KEY)
    push._say(caught.value)
    words = capfd.readouterr().err
    assert words.startswith("ERROR: ValueError at test_push.py:")
    assert KEY not in words


def _catches(status: str, number: int) -> bool:
    """Whether a process has its own answer to a signal."""
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """One for 127.0.0.1 that signs itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "certificate.pem", folder / "key.pem"
    shown.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, secret)
    return shown, context
