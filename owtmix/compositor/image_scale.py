"""Images in another size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Size


def scaled(rgba: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """``rgba``, uint8 (height, width, 4) with straight alpha, in ``size``. What is transparent gives off no colour."""
    if (size.width, size.height) == rgba.shape[1::-1]:
        return rgba
    # Imported here: most watermarks have the size in which they are drawn.
    from PIL import Image  # noqa: PLC0415

    image = Image.fromarray(rgba, "RGBA").convert("RGBa")
    return np.asarray(image.resize((size.width, size.height), Image.Resampling.LANCZOS).convert("RGBA"))
