"""The web application: actions by POST, WHIP, the calls of nginx-rtmp, and what operators see."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from owtmix.net.addresses import Network, neighbourhood
from owtmix.service import callbacks, jobs
from owtmix.service.actions import ACTIONS
from owtmix.service.body import TooLargeError, read_body
from owtmix.service.control import Control, Recorder
from owtmix.service.database import Database
from owtmix.service.envelope import MAX_BODY_BYTES, answer
from owtmix.service.large_requests import LargePlaces, TooManyError
from owtmix.service.metrics import CONTENT_TYPE, Metrics
from owtmix.service.openapi import openapi
from owtmix.service.origins import is_of_this_machine
from owtmix.service.refusals import RefusedError, RetCode
from owtmix.service.rtmp import PLACE, Rtmp
from owtmix.service.status_page import MOST_JOBS, POLICY, Seen, job_page, jobs_page
from owtmix.service.whip import Whip

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
_Endpoint = Callable[[Request], Awaitable[Response]]
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers of proxies: whoever is behind one is no operator, whatever the address of the proxy."""
_PAGE: Final = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of the service that its web application needs."""

    database: Database
    control: Control
    recorder: Recorder
    metrics: Metrics
    whip: Whip
    rtmp: Rtmp | None
    folder: Path
    operators: Sequence[Network]
    takes_all: bool = False
    """Whether every token is taken: what keeps pages of other sites out, then, is where they come from."""
    places: LargePlaces = field(default_factory=LargePlaces)

    def app(self, lifespan: Lifespan) -> Starlette:
        """The application."""
        seen = [("/", self._jobs), ("/jobs/{job}", self._job), ("/metrics", self._metrics)]
        seen += [("/healthz", self._health), ("/readyz", self._ready)]
        return Starlette(
            lifespan=lifespan,
            routes=[
                *self.whip.routes(),
                *([Route(PLACE, self._for_operators(self.rtmp.publish), methods=["POST"])] if self.rtmp else []),
                Route("/{path:path}", self._act, methods=["POST"]),
                Route("/openapi.json", self._openapi, methods=["GET"]),
                *(Route(path, self._for_operators(page), methods=["GET"]) for path, page in seen),
            ],
        )

    async def _act(self, request: Request) -> Response:
        began_s = time.perf_counter()
        if self._is_strange(request):
            return PlainTextResponse("without apps, pages of other sites ask for nothing here\n", 403)
        address = neighbourhood(request.client.host) if request.client else ""
        try:
            with self.places.request(address) as take_place:
                body = await read_body(request, MAX_BODY_BYTES, take_place)
                answered = await self.control.answer(body, address)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        except TooLargeError:
            return self._refuse_unread(f"a request has at most {MAX_BODY_BYTES:,} bytes", began_s)
        except TooManyError:
            return self._refuse_unread("too many large requests come from your address now: try again later", began_s)
        self.metrics.answered(answered.action, answered.code, time.perf_counter() - began_s)
        return Response(answered.body, media_type="application/json")

    def _refuse_unread(self, message: str, began_s: float) -> Response:
        """Refuse a request whose body is not read to its end."""
        body = answer(None, RetCode.FAILED, message, {}, {})
        self.metrics.answered("", RetCode.FAILED, time.perf_counter() - began_s)
        return Response(body, headers={"Connection": "close"}, media_type="application/json")

    def _is_strange(self, request: Request) -> bool:
        return self.takes_all and not is_of_this_machine(request.headers)

    def _for_operators(self, page: _Endpoint) -> _Endpoint:
        """``page``, which is not there for others."""

        async def checked(request: Request) -> Response:
            client = ip_address(request.client.host) if request.client else None
            is_forwarded = any(name in request.headers for name in _FORWARDED)
            if client is None or is_forwarded or not any(client in network for network in self.operators):
                return PlainTextResponse("Not Found", 404)
            if self._is_strange(request):
                return PlainTextResponse("without apps, accepted is an address or localhost as Host\n", 403)
            return await page(request)

        return checked

    async def _jobs(self, _: Request) -> Response:
        found = await self.database.run(lambda connection: jobs.newest(connection, MOST_JOBS))
        seen = Seen(self.recorder.streams, self.recorder.progress)
        page = jobs_page(found, seen, _now_us(), draining=self.control.draining)
        return HTMLResponse(page, headers=_PAGE)

    async def _job(self, request: Request) -> Response:
        try:
            job, revisions = await self.database.run(
                lambda c: (job := jobs.find(c, request.path_params["job"]), jobs.revisions(c, job, [*ACTIONS]))
            )
        except RefusedError as refused:
            return PlainTextResponse(f"{refused.message}\n", 404)
        seen = Seen(self.recorder.streams, self.recorder.progress)
        return HTMLResponse(job_page(job, revisions, seen, _now_us()), headers=_PAGE)

    async def _metrics(self, _: Request) -> Response:
        counts, waiting = await self.database.run(lambda c: (jobs.counts(c), callbacks.count(c)))
        running = await self.database.run(lambda connection: jobs.in_state(connection, "running", "stopping"))
        streams = sum(len(self.recorder.streams(job)) for job in running)
        free = shutil.disk_usage(self.folder).free
        mixes = {job.id: found["Mix"] for job in running if (found := self.recorder.progress(job))}
        behind_s = {job_id: float(mix["behind_s"]) for job_id, mix in mixes.items()}
        text = self.metrics.text(counts, waiting, streams, behind_s, free, draining=self.control.draining)
        return Response(text, media_type=CONTENT_TYPE)

    async def _health(self, _: Request) -> Response:
        await self.database.run(jobs.counts)
        return PlainTextResponse("ok\n")

    async def _ready(self, _: Request) -> Response:
        if self.control.draining:
            return PlainTextResponse("draining\n", 503)
        full = self.recorder.why_full()
        return PlainTextResponse(f"{full}\n" if full else "ok\n", 503 if full else 200)

    async def _openapi(self, _: Request) -> Response:
        return Response(_openapi_text(), media_type="application/json")


@cache
def _openapi_text() -> str:
    """The description, which is made once: that takes as long as hundreds of requests."""
    return json.dumps(openapi(version("owtmix")), ensure_ascii=False, separators=(",", ":"))


def _now_us() -> int:
    return time.time_ns() // 1000
