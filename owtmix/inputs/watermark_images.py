"""Images for watermarks: fetched from a web server, decoded to RGBA. Foreign exceptions end here as ``InputError``."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from io import BytesIO
from typing import Final, cast

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from owtmix.base.errors import InputError, MixError, ShortageError
from owtmix.base.shortage import raise_if_short
from owtmix.net.addresses import LOOPBACK, LookUp, Network, addresses_of
from owtmix.net.guard import checked_client

_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_LARGEST_PORT: Final = 65535

MAX_SCANS: Final = 100
"""Each scan of a JPEG goes over the whole picture again, and may take few bytes of the file. Usual are up to 12."""
_START_OF_SCAN: Final = b"\xff\xda"
"""Occurs only as this marker: in the data of a scan, 0xff is followed by 0x00 or a restart marker."""


def fetch_image(
    url: str,
    timeout_s: float = 10,
    max_bytes: int = 16 * 2**20,
    allowed: Sequence[Network] = LOOPBACK,
    look_up: LookUp = addresses_of,
) -> bytes:
    """Download ``url``.

    Proxies and credentials that the environment names are not used, redirects not followed.

    Args:
        url: http or https. Messages show it without credentials and query.
        timeout_s: For everything together: looking up the name, connecting, and the whole answer.
        max_bytes: The longest answer that is taken.
        allowed: Networks that the server may be in, besides the public ones.
        look_up: Gives the addresses of the server's name.

    Raises:
        InputError: The image cannot be downloaded; the message is one sentence.
    """
    address = _address(url)
    shown = f"{address.scheme}://{address.netloc.decode()}{address.raw_path.decode().partition('?')[0]}"
    try:
        return _run(_download(address, shown, max_bytes, checked_client(allowed, look_up)), timeout_s)
    except TimeoutError:
        raise InputError(f"{shown} did not answer completely within {timeout_s:g} s") from None
    except httpx.ConnectError as error:
        raise InputError(f"{shown} cannot be reached: {error}") from None
    except httpx.HTTPError:
        raise InputError(f"{shown} broke off or does not speak HTTP") from None


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
        valid = bool(address.host) and (address.port or 0) <= _LARGEST_PORT
    except (httpx.InvalidURL, UnicodeError):
        valid = False
    if not valid:
        raise InputError("the address of the image is not a valid URL")
    if address.scheme not in {"http", "https"}:
        raise InputError(f"an image is fetched by http or https, not by {address.scheme}")
    return address


def _run(download: Coroutine[None, None, bytes], timeout_s: float) -> bytes:
    """Like ``asyncio.run`` with a deadline, which does not wait for a name server's answer after it."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.wait_for(download, timeout_s))
    try:
        return loop.run_until_complete(task)
    finally:
        task.cancel()  # an interrupt leaves it unfinished
        loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _download(address: httpx.URL, shown: str, max_bytes: int, client: httpx.AsyncClient) -> bytes:
    too_long = InputError(f"{shown} is larger than {max_bytes} bytes")
    async with (
        client,
        client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.is_redirect:
            raise InputError(f"{shown} redirects elsewhere; give the address of the image itself")
        if response.status_code != httpx.codes.OK:
            raise InputError(f"{shown} answers with status {response.status_code}")
        if int(response.headers.get("Content-Length", 0)) > max_bytes:
            raise too_long
        body = bytearray()
        async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    raise too_long
    return bytes(body)


def decode_image(data: bytes, max_pixels: int, left_pixels: int | None = None) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG or WebP image, the first frame of an animated one, turned as its EXIF data says.

    What it has is checked before it is decoded: at most ``max_pixels`` pixels and, where all images together are
    limited, at most ``left_pixels``; a JPEG at most ``MAX_SCANS`` scans.

    Returns:
        RGBA, uint8 (height, width, 4), straight alpha.

    Raises:
        InputError: It is not an image, is damaged, or has more than that.
        RenderError: The machine is short of memory or descriptors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of Pillow are errors below, or do not matter
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                _check(image, data, max_pixels, left_pixels)
                return _rgba(image)
    except MixError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"the image has more than {max_pixels} pixels") from None
    except UnidentifiedImageError:
        raise InputError("the image is not a PNG, JPEG or WebP file") from None
    except MemoryError as error:  # its pixels were checked, so it does not ask for too much
        raise ShortageError("memory is short: run less at a time") from error
    except Exception as error:  # Pillow lets errors of many kinds out when a file is damaged
        raise_if_short(error)
        raise InputError(f"the image is damaged: {error}") from error


def _check(image: Image.Image, data: bytes, max_pixels: int, left_pixels: int | None) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InputError(f"the image has {image.width}x{image.height} pixels, more than {max_pixels}")
    if left_pixels is not None and pixels > left_pixels:
        raise InputError(
            f"the image has {image.width}x{image.height} pixels, and with the watermark images before it more than "
            "images.max_total_pixels in conf/owt.toml"
        )
    if image.format == "JPEG" and data.count(_START_OF_SCAN) > MAX_SCANS:
        raise InputError(f"the image has more than {MAX_SCANS} scans")


def _rgba(image: Image.Image) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow clips 16 bits of grey instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.array(image.convert("RGBA"))
