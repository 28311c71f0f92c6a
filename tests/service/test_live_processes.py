"""What the processes of live mixing are given: no secret in their environment, and none on their command lines."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import pytest

from owtmix.service.live_processes import MIX_LOG, PUSH_LOG, LiveCommands, start_mixer, start_pusher, strays
from tests.service.mixed_rooms import until

URL: Final = "rtmp://h/app/stream-key"
SHOW: Final = ("sh", "-c", 'env >&2; tr "\\0" " " </proc/$$/cmdline >&2')
"""Writes its environment and its command line into its log."""


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Secrets in the environment of the service."""
    for name in ("OWT_APPS", "OWT_CALLBACK_SECRET", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"secret-{name}")
    monkeypatch.setenv("OWT_CONF", "/etc/owt.toml")
    return ("secret-", "stream-key")


def test_a_mixer_is_told_no_secret(tmp_path: Path, secrets: tuple[str, ...]) -> None:
    async def run() -> None:
        await (await start_mixer(LiveCommands(mix=SHOW), tmp_path)).wait()

    asyncio.run(run())
    shown = (tmp_path / MIX_LOG).read_text()
    assert "OWT_CONF=/etc/owt.toml" in shown
    assert str(tmp_path) in shown
    assert not any(secret in shown for secret in secrets)


def test_a_pusher_reads_its_address(tmp_path: Path, secrets: tuple[str, ...]) -> None:
    async def run() -> bytes:
        command = (*SHOW[:2], f"{SHOW[2]}; head -n 1; cat")
        child = await start_pusher(LiveCommands(push=command), tmp_path, URL)
        assert child.stdin
        assert child.stdout
        line = await child.stdout.readline()
        assert child.returncode is None, "its standard input is open"
        child.stdin.close()
        await child.wait()
        return line

    assert asyncio.run(run()) == b'{"url": "rtmp://h/app/stream-key"}\n'
    shown = (tmp_path / PUSH_LOG).read_text()
    assert str(tmp_path / "live") in shown
    assert not any(secret in shown for secret in secrets)


def test_strays_have_exactly_the_command(tmp_path: Path) -> None:
    async def run() -> None:
        commands = LiveCommands(mix=(sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"))
        child = await start_mixer(commands, tmp_path)
        await until((tmp_path / MIX_LOG).read_text, "it runs")
        assert strays(commands.mixing(tmp_path)) == [child.pid]
        assert strays(commands.mixing(tmp_path / "other")) == []
        child.kill()
        await child.wait()
        assert strays(commands.mixing(tmp_path)) == []

    asyncio.run(run())
