"""The watermark images of a live mix: fetched beside it, so that no server of images holds it up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Semaphore, Thread
from typing import Final

from owtmix.base.errors import InputError, MixError
from owtmix.base.own_files import make_emptied
from owtmix.inputs.image_files import DecodedImage, decode_images
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import ImageWatermark
from owtmix.workers.base import Executor

_FETCHERS: Final = 4


class LiveImages:
    """Images that a job names, as far as they are there by now.

    Args:
        settings: of the service.
        executor: decodes them.
        bench: a folder that its workers write to.
        folder: theirs.
        warn: told of those that cannot be used.
    """

    def __init__(
        self, settings: Settings, executor: Executor, bench: Path, folder: Path, warn: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._executor = executor
        self._bench = bench
        self._folder = folder
        self._warn = warn
        self._places = Semaphore(_FETCHERS)
        self._coming: dict[str, Future[bytes]] = {}
        self._decoded: tuple[frozenset[ImageWatermark], Mapping[str, DecodedImage]] = frozenset(), {}
        self._sets = 0

    def of(self, marks: Sequence[ImageWatermark]) -> Mapping[str, DecodedImage]:
        """The images of ``marks`` by their source; those that are not fetched yet come later.

        Raises:
            MixError: the machine is short of what decoding takes.
        """
        for mark in marks:
            if mark.source not in self._coming:
                coming = self._coming[mark.source] = Future()
                # The process ends without waiting for it, as it would for one of a pool.
                Thread(target=self._fetch, args=(mark.source, coming), name="fetch", daemon=True).start()
        there = frozenset(mark for mark in marks if self._coming[mark.source].done())
        if there != self._decoded[0]:
            folder = self._folder / str(self._sets)
            self._sets += 1
            make_emptied(folder)
            ordered = [mark for mark in marks if mark in there]
            images = decode_images(
                ordered, self._read, self._settings.images, self._executor, self._bench, folder, self._warn
            )
            self._decoded = there, images
        return self._decoded[1]

    def _read(self, source: str) -> bytes:
        return self._coming[source].result()

    def _fetch(self, source: str, coming: Future[bytes]) -> None:
        with self._places:
            try:
                coming.set_result(self._fetched(source))
            except Exception as error:  # noqa: BLE001 - whoever reads it gets it
                coming.set_exception(error)

    def _fetched(self, source: str) -> bytes:
        if not source.startswith(("http://", "https://")):
            raise InputError("a live mix takes images from web servers only; composing the recordings takes it")
        # Imported here, since most mixes need not wait for the HTTP library to load.
        from owtmix.inputs.watermark_images import fetch_image  # noqa: PLC0415

        settings = self._settings
        try:
            return fetch_image(source, settings.images.timeout_s, settings.images.max_bytes, settings.network.allow)
        except MixError as error:
            raise InputError(str(error)) from None
