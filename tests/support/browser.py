"""Headless Chromium as a sender: a page that flashes and beeps at each whole second, and sends both by WHIP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from tests.support.server import wait_until

CHROMIUM: Final = shutil.which("chromium")
NO_CHROMIUM: Final = "no chromium: make live-packages installs it"

_PAGE: Final = Path(__file__).with_name("publish.html")
_BEGIN_S: Final = 60.0
"""Within which a browser has started and sends: with others on two cores it takes up to 20 s."""
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


class Browser:
    """A browser that sends; ``said`` has what its page told. It connects when it is ``ready`` and ``may_send``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[dict[str, Any]] = []
        self.may_send = threading.Event()

    def wait_for(self, event: str, within_s: float = _BEGIN_S) -> dict[str, Any]:
        """What the page says with ``event``."""
        wait_until(lambda: self._told(event), f"{self.name} says {event}; it said {self.said}", within_s)
        return self._told(event)[0]

    def _told(self, event: str) -> list[dict[str, Any]]:
        errors = [one for one in self.said if one["event"] in {"error", "failed"}]
        assert not errors, f"{self.name}: {errors}"
        return [one for one in self.said if one["event"] == event]


@contextmanager
def browsing(profile: Path, **query: str) -> Iterator[Browser]:
    """A browser with a profile of its own, whose page has ``query`` (``publish.html``)."""
    assert CHROMIUM
    browser = Browser(query["whip"].rpartition("/")[2])
    with _page(browser) as url:
        with (profile.parent / f"{profile.name}.log").open("wb") as log:
            process = subprocess.Popen(
                [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", f"{url}/?{urlencode(query)}"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield browser
        finally:
            with suppress(ProcessLookupError):  # its helpers are of its group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _page(browser: Browser) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(_PAGE.read_bytes())

        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            browser.said.append(said)
            if said["event"] == "ready":
                browser.may_send.wait()
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        browser.may_send.set()
        server.shutdown()
        server.server_close()
