"""Debian's nginx-rtmp with the configuration of ``deploy/nginx-rtmp``, and publishers that flash and beep."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from tests.support.server import wait_until

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "nginx-rtmp" / "nginx.conf"
MODULE: Final = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
HAS_NGINX_RTMP: Final = bool(shutil.which("nginx") and MODULE.exists())
NO_NGINX_RTMP: Final = "no nginx-rtmp: make live-packages installs it"

_FPS: Final = 25
_RATE_HZ: Final = 48_000
_SAMPLES: Final = 1024
_SIZE: Final = (160, 96)
_FLASH_S: Final = 0.2
_BEEP_S: Final = 0.1
_GOP: Final = 5
"""Pictures from a key frame to the next one: what is lost costs few more."""
_WHITE, _GREY = 235, 60


def free_address() -> str:
    """One of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def running_nginx(folder: Path, address: str, service: str) -> Iterator[subprocess.Popen[bytes]]:
    """nginx-rtmp at ``address``, which asks the service at another one; only its addresses and files are replaced."""
    folder.mkdir()
    text = CONFIGURATION.read_text()
    for shipped, here in (
        ("listen 1935;", f"listen {address};"),
        ("http://127.0.0.1:8088/", f"http://{service}/"),
        ("/run/owtmix-rtmp.pid", str(folder / "pid")),
        ("/var/log/nginx/owtmix-rtmp.log", str(folder / "log")),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    with _running(folder, configuration, address) as process:
        yield process


RECORDING: Final = """
load_module {module};
pid {folder}/pid;
error_log {folder}/log warn;
worker_processes 1;
events {{ worker_connections 64; }}
rtmp {{
    access_log off;
    max_message 16M;
    server {{
        listen {address};
        application live {{
            live on;
            record all;
            record_path {folder};
            record_unique on;
        }}
    }}
}}
"""


@contextmanager
def recording_nginx(folder: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """nginx-rtmp at ``address``, whose application ``live`` writes what is published into files, one a connection."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(RECORDING.format(module=MODULE, folder=folder, address=address))
    with _running(folder, configuration, address) as process:
        yield process


@contextmanager
def _running(folder: Path, configuration: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    command = ["nginx", "-p", str(folder), "-c", str(configuration), "-g", "daemon off; master_process off;"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(address), "nginx listens")
            yield process
        finally:
            process.terminate()


class RtmpPublisher:
    """Publishes H.264 and AAC to ``url`` from a thread, in real time: a flash and a beep begin with each second.

    ``b_frames`` pictures may follow each other that need a later one.
    """

    def __init__(self, url: str, tone_hz: int, b_frames: int = 0) -> None:
        self.error = ""
        self._url = url
        self._tone_hz = tone_hz
        self._b_frames = b_frames
        self._ends = threading.Event()
        self._is_stalled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Leave, and wait until that is done."""
        self._ends.set()
        self._thread.join(30)

    def stall(self, seconds: float) -> None:
        """Send nothing for a while, and stay connected."""
        self._is_stalled.set()
        time.sleep(seconds)
        self._is_stalled.clear()

    def _run(self) -> None:
        try:
            with av.open(self._url, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
                self._publish(out)
        except (av.error.FFmpegError, OSError) as error:
            self.error = str(error) or type(error).__name__

    def _publish(self, out: Any) -> None:
        options = {"preset": "ultrafast", "bf": str(self._b_frames), "b-adapt": "0", "sc_threshold": "0"}
        picture = out.add_stream("libx264", rate=_FPS, options=options | {"rc-lookahead": "0"})
        picture.width, picture.height, picture.pix_fmt = *_SIZE, "yuv420p"
        picture.gop_size, picture.thread_count = _GOP, 1
        sound = out.add_stream("aac", rate=_RATE_HZ, layout="stereo")
        begin_s, pictures, blocks = math.ceil(time.time() * _FPS) / _FPS, 0, 0  # a picture at each whole second
        while not self._ends.is_set():
            picture_s, sound_s = pictures / _FPS, (blocks + 1) * _SAMPLES / _RATE_HZ
            time.sleep(max(0.0, begin_s + min(picture_s, sound_s) - time.time()))
            if picture_s <= sound_s:
                packets = picture.encode(_picture(begin_s + picture_s, pictures))
                pictures += 1
            else:
                packets = sound.encode(_block(begin_s, blocks, self._tone_hz))
                blocks += 1
            if not self._is_stalled.is_set():
                out.mux(packets)
        out.mux(picture.encode(None))


def _picture(at_s: float, number: int) -> av.VideoFrame:
    plane = np.full((_SIZE[1] * 3 // 2, _SIZE[0]), 128, np.uint8)
    plane[: _SIZE[1]] = _WHITE if at_s % 1 < _FLASH_S else _GREY
    frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, _FPS)
    return frame


def _block(begin_s: float, number: int, tone_hz: int) -> av.AudioFrame:
    times = begin_s % 1 + (number * _SAMPLES + np.arange(_SAMPLES)) / _RATE_HZ
    wave = np.where(times % 1 < _BEEP_S, 0.25 * np.sin(2 * np.pi * tone_hz * (times % 1)), 0).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, number * _SAMPLES, Fraction(1, _RATE_HZ)
    return frame


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), 1):
            return True
    except OSError:
        return False
