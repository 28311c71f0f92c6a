"""Large requests are few at a time, whether their bodies come, or wait, and whether somebody waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from owtmix.net.addresses import neighbourhood
from owtmix.service import control, large_requests
from owtmix.service.envelope import read_request
from owtmix.service.large_requests import LargePlaces, TooManyError
from tests.service.conftest import Rig

WAIT_S: Final = 30.0
MOST: Final = 3
SMALL: Final = json.dumps({"Action": "job.query"}).encode()
LARGE: Final = json.dumps({"Action": "job.query", "Data": {"": "x" * large_requests.LARGE_BYTES}}).encode()


async def messages(rig: Rig, contents: list[Any], address: str = "192.0.2.1") -> list[str]:
    """What requests with these ``contents`` are answered, all sent at once."""
    async with rig.client(address) as client:
        client.headers["host"] = "127.0.0.1"
        answers = await asyncio.gather(*(client.post("/", content=content) for content in contents))
    return [message_of(answer) for answer in answers]


def message_of(answer: httpx.Response) -> str:
    assert answer.status_code == httpx.codes.OK
    return str(answer.json()["Message"])


def is_refused(message: str) -> bool:
    return message.startswith("too many large requests")


def test_few_large_requests_of_one_address_wait(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_requests, "MOST_OF_ADDRESS", MOST)
    may_end = threading.Event()

    def slow(text: bytes) -> Any:
        if text.startswith(b" "):
            assert may_end.wait(WAIT_S)
        return read_request(text)

    monkeypatch.setattr(control, "read_request", slow)

    async def scene() -> None:
        flood = [asyncio.create_task(messages(rig, [b" " + LARGE])) for _ in range(MOST + 4)]
        await asyncio.sleep(0.1)
        assert [is_refused(task.result()[0]) for task in flood if task.done()] == [True] * 4
        assert [is_refused(one) for one in await messages(rig, [SMALL, LARGE])] == [False, True]
        assert [is_refused(one) for one in await messages(rig, [LARGE], "192.0.2.2")] == [False]
        may_end.set()
        await asyncio.wait_for(asyncio.gather(*flood), WAIT_S)
        assert [is_refused(one) for one in await messages(rig, [LARGE])] == [False]

    asyncio.run(scene())


def test_bodies_that_come_slowly_take_places(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_requests, "MOST_OF_ADDRESS", MOST)

    async def scene() -> None:
        rest = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield LARGE[:-1]
            await rest.wait()
            yield LARGE[-1:]

        flood = asyncio.gather(messages(rig, [slow() for _ in range(MOST)]))
        await asyncio.sleep(0.1)
        assert [is_refused(one) for one in await messages(rig, [LARGE, SMALL])] == [True, False]
        rest.set()
        (slow_ones,) = await asyncio.wait_for(flood, WAIT_S)
        assert not any(map(is_refused, slow_ones))
        assert not any(map(is_refused, await messages(rig, [LARGE])))

    asyncio.run(scene())


def test_all_addresses_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_requests, "MOST", MOST)
    places = LargePlaces()
    for _ in range(2):
        with places.request("a") as a, places.request("b") as b, places.request("c") as c, places.request("d") as d:
            for take in (a, a, b, c):
                take()
            with pytest.raises(TooManyError):
                d()


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_network_of_ipv6_is_one_neighbourhood(host: str, counted: str) -> None:
    assert neighbourhood(host) == counted
