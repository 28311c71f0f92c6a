"""The web side: sizes, pages, WHIP, and who may see what."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from starlette.applications import Starlette

from owtmix.jobfile.settings import ServiceSettings
from owtmix.service import jobs
from owtmix.service.app import Service
from owtmix.service.control import Answered, Control
from owtmix.service.envelope import MAX_BODY_BYTES
from owtmix.service.metrics import Metrics
from owtmix.service.openapi import openapi
from owtmix.service.tokens import TokenCheck, make_token
from owtmix.service.whip import MAX_OFFER_BYTES, Whip
from tests.service.conftest import KEY, NOW_US, START, Rig

SDP = {"content-type": "application/sdp"}


def sent(rig: Rig, method: str, path: str, **rest: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        async with rig.client() as client:
            return await client.request(method, path, **rest)

    return asyncio.run(send())


@pytest.mark.parametrize("path", ["/", "/v1/record", "/any/where"])
def test_actions_are_taken_at_any_path_with_status_200(rig: Rig, path: str) -> None:
    answer = sent(rig, "POST", path, content=b'{"Action": "job.query"}')
    assert (answer.status_code, answer.json()["RetCode"]) == (200, 1)


def test_whose_request_it_is_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones of one address wait for each other."""
    addresses: list[str] = []
    answer = Control.answer

    async def noted(control: Control, body: bytes, address: str = "") -> Answered:
        addresses.append(address)
        return await answer(control, body, address)

    monkeypatch.setattr(Control, "answer", noted)
    sent(rig, "POST", "/", content=b"{}")
    assert addresses == ["127.0.0.1"]


def test_a_body_that_is_too_large_is_not_read(rig: Rig) -> None:
    async def endless() -> Any:
        for _ in range(MAX_BODY_BYTES // 1024 + 2):
            yield b" " * 1024
        raise AssertionError("all was read")

    for content in (b" " * (MAX_BODY_BYTES + 1), endless()):
        answer = sent(rig, "POST", "/", content=content)
        assert (answer.status_code, answer.json()["RetCode"]) == (200, 1)
        assert "1,048,576" in answer.json()["Message"]


def test_the_description_is_made_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for it."""
    made: list[str] = []

    def noted(of: str) -> dict[str, Any]:
        made.append(of)
        return openapi(of)

    monkeypatch.setattr("owtmix.service.app.openapi", noted)
    answers = [rig.get("/openapi.json", "192.0.2.1") for _ in range(3)]
    assert len(made) <= 1
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert all(answer.json() == openapi(version("owtmix")) for answer in answers)


def test_health_and_readiness(rig: Rig) -> None:
    assert [rig.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    rig.recorder.full = "the disk is nearly full"
    assert (rig.get("/readyz").status_code, rig.get("/readyz").text) == (503, "the disk is nearly full\n")
    rig.control.draining = True
    assert [rig.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]


def test_metrics_count_requests_and_jobs(rig: Rig) -> None:
    rig.started()
    sent(rig, "POST", "/", content=b"[]")
    text = rig.get("/metrics").text
    for line in (
        'owt_jobs{state="running"} 1.0',
        'owt_requests_total{action="none",code="1"} 1.0',
        'owt_callbacks{state="waiting"} 1.0',
        "owt_draining 0.0",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/jobs/x"])
def test_only_operators_see_pages(rig: Rig, path: str) -> None:
    assert rig.get(path, "192.0.2.1").status_code == 404
    assert rig.get(path, "192.0.2.1").text == "Not Found"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_nobody_behind_a_proxy_is_an_operator(rig: Rig, header: str) -> None:
    assert sent(rig, "GET", "/metrics", headers={header: "abc"}).status_code == 404


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_pages_show_text_as_text_and_load_nothing(rig: Rig) -> None:
    room = "<script src=//evil></script>"
    job = rig.started(room=room, data=START | {"Names": {"a": "<img onerror=x>"}})
    rig.recorder.sessions = [{"session": "s1", "stream": "<b>_1", "tracks": []}]
    for page in (rig.get("/"), rig.get(f"/jobs/{job}")):
        assert page.status_code == 200
        found = _Elements()
        found.feed(page.text)
        assert not {tag for tag, _ in found.tags} & {"script", "img", "link", "iframe"}
        assert not [attributes for _, attributes in found.tags if "src" in attributes]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "&lt;script" in page.text
        assert not [secret for secret in ("sec-1", "tok-1", "pub-1") if secret in page.text]
    assert rig.get("/jobs/none").status_code == 404


def test_the_description_fits_what_is_sent(rig: Rig) -> None:
    description = rig.get("/openapi.json", "192.0.2.1").json()
    assert description["openapi"].startswith("3.1")
    request = description["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**request, "components": description["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    job = rig.acquired()
    for document in (
        {"Action": "job.start", "Internal": {"JobId": job}, "Data": START},
        {"Action": "job.mixer.update", "Internal": {"JobId": job}, "Data": {"MixerConfig": {"Gap": 4}}},
        {"Action": "job.stop", "Internal": {"JobId": job}, "Data": {}},
    ):
        validator.validate(document)
        answer = description["paths"]["/"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(rig.post(document), answer)
    assert not validator.is_valid({"Action": "job.fly", "Internal": {"JobId": job}})


def test_a_sender_gets_an_answer_and_may_leave(rig: Rig) -> None:
    place = "/whip/app1/%E6%88%BF/%E6%98%8E_1"
    answer = sent(rig, "POST", place, content="v=0 offer", headers=SDP)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        201,
        "v=0 the answer",
        "application/sdp",
    )
    assert rig.recorder.offers == [("app1", "房", "明_1", "v=0 offer")]
    assert answer.headers["location"] == f"{place}/abc123"
    assert sent(rig, "DELETE", answer.headers["location"]).status_code == 200
    assert sent(rig, "DELETE", f"{place}/other").status_code == 404
    assert rig.recorder.asked == [("leave", "app1/房/abc123")]


def test_names_in_addresses_may_have_slashes(rig: Rig) -> None:
    place = "/whip/app%2F1/class%2F1/a%2Fb_1"
    answer = sent(rig, "POST", place, content=b"v=0", headers=SDP)
    assert (answer.status_code, rig.recorder.offers) == (201, [("app/1", "class/1", "a/b_1", "v=0")])
    assert sent(rig, "DELETE", answer.headers["location"]).status_code == 200
    assert rig.recorder.asked == [("leave", "app/1/class/1/abc123")]


@pytest.mark.parametrize("path", ["/whip/", "/whip/app1/r", "/whip/app1//alice_1", "/whip/app1/r/alice_1/more"])
def test_nothing_else_is_where_senders_publish(rig: Rig, path: str) -> None:
    assert sent(rig, "POST", path, content=b'{"Action": "job.query"}', headers=SDP).status_code == 404


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/whip/app1/r/alice", b"v=0", SDP, 400),
        ("/whip/app1/r/alice_3", b"v=0", SDP, 400),
        ("/whip/app1/r/alice_1", b"v=0", {}, 415),
        ("/whip/app1/r/alice_1", b"v=0", {"content-type": "text/plain"}, 415),
        ("/whip/app1/r/alice_1", b"\xff", SDP, 400),
        ("/whip/app1/r/alice_1", b"v" * (MAX_OFFER_BYTES + 1), SDP, 413),
        ("/whip/app1/closed/alice_1", b"v=0", SDP, 404),
    ],
)
def test_offers_are_refused_in_words(rig: Rig, path: str, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = sent(rig, "POST", path, content=content, headers=headers)
    assert answer.status_code == status
    assert len(answer.text) > 10
    assert rig.recorder.offers == []


def test_pages_from_elsewhere_may_send(rig: Rig) -> None:
    answer = sent(rig, "OPTIONS", "/whip/app1/r/alice_1", headers={"origin": "https://example.com"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    answer = sent(rig, "POST", "/whip/app1/r/alice_1", content=b"v=0", headers=SDP)
    assert "Location" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("user", "room", "status"), [("alice", "r1", 201), ("bob", "r1", 403), ("alice", "r2", 401), ("", "", 401)]
)
def test_the_token_is_that_of_the_streams_user(guarded: Rig, user: str, room: str, status: int) -> None:
    token = make_token(user, room, "app1", KEY, int(time.time()), "abcdefgh") if user else "xxxxxxx"
    headers = SDP | {"authorization": f"Bearer {token}"}
    answer = sent(guarded, "POST", "/whip/app1/r1/alice_1", content=b"v=0", headers=headers)
    assert (answer.status_code, len(guarded.recorder.offers)) == (status, int(status == 201))
    assert token not in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_a_page_of_many_jobs_is_short(rig: Rig) -> None:
    def fill(connection: Any) -> None:
        for number in range(1000):
            place = jobs.Place("a", f"r{number}", 0, 0, "0")
            jobs.acquire(connection, place, NOW_US - jobs.ACQUIRED_US, 10**6)

    rig.run(fill)
    assert len(re.findall("<tr>", rig.get("/").text)) == 201
    assert json.loads(json.dumps(rig.act("job.acquire", AppId="a", RoomId="r", Mode=0, ChannelType=0)))["RetCode"] == 0


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8088", None, 200),
        ("[::1]:8088", None, 200),
        ("localhost", "http://localhost", 200),
        ("127.0.0.1:8088", "http://127.0.0.1:8088", 200),
        ("127.0.0.1:8088", "http://127.0.0.1:9", 403),
        ("127.0.0.1:8088", "https://evil.example", 403),
        ("127.0.0.1:8088", "null", 403),
        ("evil.example:8088", None, 403),
        ("evil.example", "http://evil.example", 403),
    ],
)
def test_without_apps_pages_of_other_sites_ask_for_nothing(
    rig: Rig, tmp_path: Path, host: str, origin: str | None, status: int
) -> None:
    whip, operators = Whip(rig.recorder, TokenCheck({}, 1, 1)), ServiceSettings().operators

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield

    parts = rig.database, rig.control, rig.recorder, Metrics(), whip
    rig.app = Service(*parts, None, tmp_path, operators, takes_all=True).app(lifespan)
    headers = {"host": host} | ({"origin": origin} if origin else {})
    for method, path in (("POST", "/"), ("GET", "/")):
        assert sent(rig, method, path, headers=headers, content=b"{}").status_code == status
