"""Images from a real web server on loopback."""

from __future__ import annotations

import errno
import inspect
import io
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from PIL import Image

from owtmix.base.errors import InputError, Interrupted, ShortageError
from owtmix.inputs.watermark_images import decode_image, fetch_image

MAX_PIXELS = 16_000_000
# Time for a loaded machine to notice a deadline; far less than a server that never ends takes.
SLACK_S = 5.0


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def two_tone() -> Image.Image:
    """Red left, blue right: turning and mirroring show."""
    image = Image.new("RGB", (32, 16), (220, 0, 0))
    image.paste((0, 0, 220), (16, 0, 32, 16))
    return image


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def webp_of_largest_size() -> bytes:
    """A WebP animation of two small pictures on a canvas that says it is 16384 x 16384."""
    data = bytearray(encoded(two_tone(), "WEBP", save_all=True, append_images=[Image.new("RGB", (32, 16))]))
    canvas = data.index(b"VP8X") + 12
    data[canvas : canvas + 6] = (16383).to_bytes(3, "little") * 2
    return bytes(data)


def jpeg_of_many_scans() -> bytes:
    """The last scan of a progressive JPEG again and again: each goes over the whole picture."""
    data = encoded(two_tone(), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * 3000 + data[-2:]


PNG = encoded(two_tone(), "PNG")


class Handler(BaseHTTPRequestHandler):
    """Serves a few paths, each misbehaving in its own way."""

    stopped: ClassVar[threading.Event] = threading.Event()
    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        try:
            getattr(self, "serve_" + self.path.split("?", maxsplit=1)[0].strip("/"), self.serve_missing)()
        except OSError:
            self.close_connection = True  # the client has left

    def serve_good(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG)

    def serve_missing(self) -> None:
        self.send_error(404)

    def serve_redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good")
        self.end_headers()

    def serve_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.drip()

    def serve_dripping_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.drip()

    def drip(self) -> None:
        while not self.stopped.wait(0.02):
            self.wfile.write(b"x")

    def serve_announced(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**9))
        self.end_headers()
        self.stopped.wait()  # a client that reads on would wait too

    def serve_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.stopped.is_set():
            self.wfile.write(bytes(65536))

    def serve_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x")

    def serve_nonsense(self) -> None:
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.stopped.clear()
    Handler.requests.clear()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{listener.server_port}"
    Handler.stopped.set()
    listener.shutdown()
    listener.server_close()


def test_an_image_is_fetched(server: str) -> None:
    assert fetch_image(f"http://{server}/good") == PNG


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "answers with status 404"),
        ("redirect", "redirects elsewhere; give the address of the image itself"),
        ("announced", "is larger than 100000 bytes"),
        ("endless", "is larger than 100000 bytes"),
        ("short", "broke off or does not speak HTTP"),
        ("nonsense", "broke off or does not speak HTTP"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_sentence(
    server: str, path: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError) as caught:
        fetch_image(f"http://user:hush@{server}/{path}?signature=hush", max_bytes=100_000)
    assert caught.value.message == f"http://{server}/{path} {message}"
    assert len(Handler.requests) == 1, "nothing is followed or tried again"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("path", ["drip", "dripping_header"])
def test_the_deadline_is_for_everything_together(server: str, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match=r"did not answer completely within 0\.3 s"):
        fetch_image(f"http://{server}/{path}", timeout_s=0.3)
    assert time.monotonic() - start < 0.3 + SLACK_S


def test_an_interrupt_ends_the_download_at_once(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted("stopped")

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()
    threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGUSR1)).start()
    start = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            fetch_image(f"http://{server}/announced", timeout_s=60, max_bytes=2 * 10**9)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - start < SLACK_S
    assert capfd.readouterr().err == ""


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(InputError, match=rf"^http://127\.0\.0\.1:{port}/x cannot be reached: ") as caught:
        fetch_image(f"http://127.0.0.1:{port}/x?token=hush")
    assert "hush" not in caught.value.message


def test_a_server_without_tls(server: str) -> None:
    with pytest.raises(InputError, match=rf"^https://{server}/x cannot be reached: "):
        fetch_image(f"https://{server}/x")


@pytest.mark.parametrize(
    "url",
    ["", "/etc/hostname", "http:///x", "http://[::1", "http://127.0.0.1:99999/x", "http://x\n/", "http://xn--/x"],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="not a valid URL"):
        fetch_image(url)


@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "unix"])
def test_only_http_is_spoken(scheme: str) -> None:
    with pytest.raises(InputError, match=f"by http or https, not by {scheme}"):
        fetch_image(f"{scheme}://localhost/etc/hostname")


def test_an_address_in_a_network_that_is_not_allowed(server: str) -> None:
    message = rf"^http://{server}/good cannot be reached: connecting to 127\.0\.0\.1 \(loopback\) is not allowed"
    with pytest.raises(InputError, match=message):
        fetch_image(f"http://{server}/good", allowed=())
    assert Handler.requests == []


def test_a_name_is_looked_up_once(server: str) -> None:
    """A second answer, to connect to, could be another than the one that was checked."""
    answers = [["127.0.0.1"]]
    url = f"http://rebinding.example:{server.partition(':')[2]}/good"
    assert fetch_image(url, look_up=lambda _host, _port: answers.pop()) == PNG
    assert answers == []


def test_proxies_of_the_environment_are_not_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert fetch_image(f"http://{server}/good") == PNG


def test_no_error_of_httpx_is_left_unmapped() -> None:
    """A new kind of error outside these trees would pass ``fetch_image`` by; cookies are never looked up by name."""
    mapped = (httpx.HTTPError, httpx.InvalidURL)
    # Reading a body twice, after closing or with the wrong method is a programming error.
    impossible = (httpx.StreamError, httpx.CookieConflict)
    errors = [e for _, e in inspect.getmembers(httpx, inspect.isclass) if issubclass(e, Exception)]
    assert errors
    assert all(issubclass(error, mapped + impossible) for error in errors)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_each_format_is_decoded(kind: str, options: dict[str, Any]) -> None:
    pixels = decode_image(encoded(two_tone(), kind, **options), MAX_PIXELS)
    assert pixels.shape == (16, 32, 4)
    assert pixels.dtype == np.uint8
    assert (pixels[..., 3] == 255).all()
    assert np.abs(pixels[8, 4, :3].astype(int) - (220, 0, 0)).max() < 10
    assert np.abs(pixels[8, 28, :3].astype(int) - (0, 0, 220)).max() < 10


def grey_16_bit() -> Image.Image:
    return Image.fromarray(np.full((4, 4), 0x8040, np.uint16))


def palette_with_hole() -> Image.Image:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([128, 128, 128, 255, 0, 0])
    image.paste(1, (0, 0, 2, 4))
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize("make", [grey_16_bit, palette_with_hole, lambda: Image.new("LA", (4, 4), (128, 255))])
def test_other_kinds_of_pixels(make: Callable[[], Image.Image]) -> None:
    pixels = decode_image(encoded(make(), "PNG"), MAX_PIXELS)
    assert pixels[0, 3].tolist() == [128, 128, 128, 255]


def test_a_hole_in_a_palette_is_transparent() -> None:
    pixels = decode_image(encoded(palette_with_hole(), "PNG"), MAX_PIXELS)
    assert (pixels[:, :2, 3] == 0).all()


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((0, 200, 0), (200, 0, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert decode_image(data, MAX_PIXELS)[4, 4].tolist() == [0, 200, 0, 255]


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    pixels = decode_image(encoded(two_tone(), "JPEG", exif=exif), MAX_PIXELS)
    assert pixels.shape == (32, 16, 4)
    assert pixels[4, 8, 0] > 200, "red was left and is now above"
    assert pixels[28, 8, 2] > 200


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG, JPEG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG, JPEG or WebP"),
        (encoded(two_tone(), "GIF"), "not a PNG, JPEG or WebP"),
        (encoded(two_tone(), "TIFF"), "not a PNG, JPEG or WebP"),
        (PNG[:-30], "damaged"),
        (encoded(two_tone(), "JPEG")[:200], "damaged"),
        (png_of_size(64, 64), "damaged"),
        (png_of_size(4001, 4000), "4001x4000 pixels, more than 16000000"),
        (png_of_size(12_000, 12_000), "12000x12000 pixels, more than 16000000"),
        (png_of_size(60_000, 60_000), "more than 16000000 pixels"),
        (webp_of_largest_size(), "more than 16000000 pixels"),
        (jpeg_of_many_scans(), "more than 100 scans"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_usable_image(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_image(data, MAX_PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damage_anywhere_ends_in_an_image_or_an_input_error(kind: str) -> None:
    data = encoded(two_tone(), kind)
    random = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 3):
            damaged[place] = random.integers(0, 256)
        try:
            decode_image(bytes(damaged), 100_000)
        except InputError:
            refused += 1
    assert refused > 100


def test_importing_the_package_loads_neither_httpx_nor_pillow() -> None:
    code = "import sys, owtmix; sys.exit(bool({'httpx', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_a_shortage_of_the_machine_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(ShortageError):
        decode_image(PNG, MAX_PIXELS)
