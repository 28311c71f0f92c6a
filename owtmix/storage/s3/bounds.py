"""Bounds for what a service sends: none makes a job wait, or take memory, for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from botocore.exceptions import HTTPClientError  # type: ignore[import-untyped]  # botocore has no types

T = TypeVar("T")

MOST_ANSWER_BYTES: Final = 4 << 20
"""Of an answer that is not an object's content: more than any list takes. XML takes a hundred times as much memory."""
MOST_ERROR_BYTES: Final = 64 << 10
"""Of an answer that is an error."""
SLOWEST_BYTES_PER_S: Final = 16 << 10
"""A service that sends or takes content more slowly counts as silent."""
COMPLETION_S: Final = 1800
"""Services may take minutes to join the parts of an upload, and send blanks meanwhile."""


class EndlessAnswerError(HTTPClientError):  # type: ignore[misc]  # botocore has no types
    """An answer is longer than ``MOST_ANSWER_BYTES``, or takes too long though something comes now and then."""

    fmt = "the answer does not end"


class _ThisThread(threading.local):
    """The socket from which a thread reads the answer to its request."""

    answering: list[socket.socket]


_this_thread: Final = _ThisThread()


def within(seconds: float, call: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """The result of ``call``; after ``seconds`` its connection is shut down, and ``stop`` called.

    Raises:
        EndlessAnswerError: it took longer.
    """
    future: Future[T] = Future()
    answering: list[socket.socket] = []

    def run() -> None:
        _this_thread.answering = answering
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by future.result()
            future.set_exception(error)

    threading.Thread(target=run, name="request", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # it is an error of the call
            raise
        with suppress(OSError):  # it ends just now
            stop()
            for one in answering:
                one.shutdown(socket.SHUT_RDWR)
        raise EndlessAnswerError from None


class _Named:
    """A connection that tells which socket its thread reads from."""

    def getresponse(self) -> Any:
        _this_thread.answering[:] = [self.sock]  # type: ignore[attr-defined]  # a connection has one
        return super().getresponse()  # type: ignore[misc]  # as above


def _with_names(pools: Mapping[str, Any]) -> dict[str, type]:
    """The same pools of connections, by scheme, whose connections are ``_Named``."""
    return {
        scheme: type("NamedPool", (pool,), {"ConnectionCls": type("Named", (_Named, pool.ConnectionCls), {})})
        for scheme, pool in pools.items()
    }


def bound_answers(client: Any) -> None:
    """Make a boto3 client read at most ``MOST_ANSWER_BYTES`` of an answer, but for the content of objects."""
    session = client._endpoint.http_session  # noqa: SLF001 - an error's body has no other bound
    manager = session._manager  # noqa: SLF001 - as above
    manager.pool_classes_by_scheme = _with_names(manager.pool_classes_by_scheme)
    session._pool_classes_by_scheme = _with_names(session._pool_classes_by_scheme)  # noqa: SLF001 - of proxies

    def send(request: Any, **_: object) -> Any:
        is_content, request.stream_output = request.stream_output, True
        response = session.send(request)
        if not is_content or response.status_code >= 300:  # noqa: PLR2004 - neither success
            most = MOST_ANSWER_BYTES if response.status_code < 300 else MOST_ERROR_BYTES  # noqa: PLR2004 - as above
            response._content = _read(response.raw, most)  # noqa: SLF001 - as its property ``content`` would
        return response

    client.meta.events.register_last("before-send.s3", send)


def _read(body: Any, most: int) -> bytes:
    data = bytearray()
    for block in body.stream():
        data += block
        if len(data) > most:
            body.close()
            raise EndlessAnswerError
    return bytes(data)
