"""The watermark images of a job: each content is decoded once, in a worker, into a file that all workers map.

An image that is to blame is left out with a warning. One that the machine could not decode fails the job: without it
the output would have other bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owtmix.base.errors import InputError, ShortageError, StoreError
from owtmix.base.geometry import Size
from owtmix.base.shortage import raise_if_short
from owtmix.inputs.tasks import CHANNELS, WatermarkImageTask
from owtmix.storage import disk_error
from owtmix.workers.alone import do_alone, patiently
from owtmix.workers.base import Executor
from owtmix.workers.limits import require_value
from owtmix.workers.made_files import take_made

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from owtmix.jobfile.settings import ImageSettings
    from owtmix.jobfile.spec import ImageWatermark


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image: the file ``rgba`` has uint8 (height, width, 4), straight alpha. ``size`` is in pixels.

    ``pixels`` is the digest of the file.
    """

    rgba: Path
    size: Size
    pixels: str

    def digest(self) -> str:
        """A hash of size and pixels."""
        return hashlib.sha256(f"{self.size} {self.pixels}".encode()).hexdigest()


class MappedImages(Mapping[str, "NDArray[np.uint8]"]):
    """Decoded images by their source, RGBA, uint8 (height, width, 4). Nothing is read before it is looked at."""

    def __init__(self, images: Mapping[str, DecodedImage]) -> None:
        self._images = images

    def __getitem__(self, source: str) -> NDArray[np.uint8]:
        import numpy as np  # noqa: PLC0415 - only workers look at pixels

        image = self._images[source]
        return np.memmap(image.rgba, np.uint8, "r", shape=(image.size.height, image.size.width, CHANNELS))

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def decode_images(
    marks: Iterable[ImageWatermark],
    read: Callable[[str], bytes],
    settings: ImageSettings,
    executor: Executor,
    bench: Path,
    folder: Path,
    on_missing: Callable[[str], None],
) -> dict[str, DecodedImage]:
    """The images of ``marks`` by their source, in ``folder``. Sources with the same bytes share one.

    They are decoded into ``bench``, where workers write, and moved from there.
    ``read`` gives the bytes of a source; ``on_missing`` gets a message for each image that cannot be used.

    Raises:
        StoreError: the store cannot be used.
        DestinationError: the disk takes no more.
        ShortageError: the machine is short of what it takes, also after several attempts.
    """
    images: dict[str, DecodedImage] = {}
    widest = _widest(marks := list(marks))
    by_content: dict[bytes, DecodedImage | InputError] = {}
    for mark in {mark.source: mark for mark in marks}.values():
        found = _bytes_or_error(mark, read)
        if isinstance(found, bytes):
            content = hashlib.sha256(found).digest()
            if content not in by_content:
                drawn = (image.size for image in by_content.values() if isinstance(image, DecodedImage))
                left_px = settings.max_total_pixels - sum(size.width * size.height for size in drawn)
                rgba = f"image-{len(by_content)}.rgba"
                task = WatermarkImageTask(f"the image {mark.shown}", found, settings.max_pixels, left_px, bench / rgba)
                by_content[content] = _decode(executor, task, folder / rgba)
            found = by_content[content]
        if isinstance(found, DecodedImage):
            found = _if_it_fits(found, widest[mark.source], settings.max_pixels)
        if isinstance(found, InputError):
            on_missing(f"the watermark image {mark.shown} is left out: {found}")
        else:
            images[mark.source] = found
    return images


def _widest(marks: Iterable[ImageWatermark]) -> dict[str, ImageWatermark]:
    """Of each source the mark that draws it largest."""
    found: dict[str, ImageWatermark] = {}
    for mark in marks:
        before = found.setdefault(mark.source, mark)
        if (mark.width or 0) > (before.width or 0):
            found[mark.source] = mark
    return found


def _if_it_fits(image: DecodedImage, mark: ImageWatermark, max_pixels: int) -> DecodedImage | InputError:
    """The image, if it has no more than ``max_pixels`` when it is scaled for ``mark``."""
    scaled = mark.size(image.size)
    if scaled.width * scaled.height <= max_pixels:
        return image
    limit = f"images.max_pixels in conf/owt.toml, which is {max_pixels:,}"
    return InputError(f"it is {image.size}, and {scaled} with Width {mark.width}, more than {limit}")


def _bytes_or_error(mark: ImageWatermark, read: Callable[[str], bytes]) -> bytes | DecodedImage | InputError:
    def attempt() -> bytes | InputError:
        try:
            return read(mark.source)
        except StoreError:
            raise
        except InputError as error:
            raise_if_short(error)
            return error

    return patiently(f"reading the watermark image {mark.shown}", attempt)


def _decode(executor: Executor, task: WatermarkImageTask, rgba: Path) -> DecodedImage | InputError:
    outcome = do_alone(executor, task)
    if outcome.death:
        return InputError(f"decoding it {outcome.death}")
    if isinstance(outcome.error, InputError):
        return outcome.error
    if outcome.error and not isinstance(outcome.error, ShortageError):
        outcome = do_alone(executor, task)  # it may have been the image that said so
    size: Size = require_value(outcome).value
    try:
        return DecodedImage(rgba, size, take_made(task.rgba, rgba, size.width * size.height * CHANNELS))
    except ValueError as error:
        return InputError(f"decoding it {error}")
    except OSError as error:
        raise disk_error(rgba, error) from None
