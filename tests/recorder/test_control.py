"""The server's side of the socket, against a process that answers, dawdles, and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.recorder.control_server import ControlServer, RequestError
from owtmix.recorder.control_socket import MAX_LINE_BYTES

Scene = Callable[[RoomControl, ControlServer], Awaitable[None]]


async def answer(do: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    if do == "refuse":
        raise RequestError("no", 409)
    if do == "fail":
        raise KeyError(do)
    await asyncio.sleep(request.get("pause_s", 0))
    return {"do": do, "n": request.get("n")}


def talk(folder: Path, scene: Scene) -> None:
    async def run() -> None:
        server = ControlServer(folder, answer)
        await server.start()
        control = await RoomControl.connect(folder)
        try:
            await scene(control, server)
        finally:
            await control.close()
            await server.close()

    asyncio.run(run())


def test_answers_find_their_requests_in_any_order(tmp_path: Path) -> None:
    async def scene(control: RoomControl, _server: ControlServer) -> None:
        asked = [control.request("x", n=n, pause_s=(9 - n) / 50) for n in range(10)]
        assert await asyncio.gather(*asked) == [{"do": "x", "n": n} for n in range(10)]

    talk(tmp_path, scene)


def test_many_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    async def scene(control: RoomControl, _server: ControlServer) -> None:
        answers = await asyncio.gather(*(control.request("x", n=n, pause_s=0.01) for n in range(500)))
        assert [found["n"] for found in answers] == list(range(500))

    talk(tmp_path, scene)


def test_refusals_and_failures_have_words_and_a_status(tmp_path: Path) -> None:
    async def scene(control: RoomControl, _server: ControlServer) -> None:
        with pytest.raises(RoomRefusedError, match="no") as refused:
            await control.request("refuse")
        assert refused.value.status == 409
        with pytest.raises(RoomRefusedError, match="log") as failed:
            await control.request("fail")
        assert failed.value.status == 503
        with pytest.raises(RoomRefusedError, match="at most"):
            await control.request("x", sdp="x" * MAX_LINE_BYTES)

    talk(tmp_path, scene)


def test_a_late_answer_is_a_timeout_and_confuses_nobody(tmp_path: Path) -> None:
    async def scene(control: RoomControl, _server: ControlServer) -> None:
        with pytest.raises(TimeoutError):
            await control.request("x", n=1, pause_s=0.3, timeout_s=0.05)
        await asyncio.sleep(0.5)
        assert (await control.request("x", n=2))["n"] == 2

    talk(tmp_path, scene)


def test_events_reach_every_server_until_the_process_is_gone(tmp_path: Path) -> None:
    async def scene(control: RoomControl, server: ControlServer) -> None:
        other = await RoomControl.connect(tmp_path)
        await asyncio.gather(control.request("x"), other.request("x"))
        for n in range(3):
            server.tell({"event": "joined", "n": n})
        waiting = asyncio.create_task(other.request("x", pause_s=60))
        await asyncio.sleep(0.1)
        for task in server._tasks:
            task.cancel()
        await server.close()
        for one in (control, other):
            assert [event["n"] async for event in one.events()] == [0, 1, 2]
            assert [event async for event in one.events()] == []
        with pytest.raises(ConnectionError):
            await waiting
        with pytest.raises(ConnectionError):
            await other.request("x")
        await other.close()

    talk(tmp_path, scene)


def test_nobody_listens(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(FileNotFoundError):
            await RoomControl.connect(tmp_path, within_s=0.2)

    asyncio.run(run())
