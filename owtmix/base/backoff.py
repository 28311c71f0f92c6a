"""Exponential backoff with jitter: how long to wait between attempts at a service that may recover."""

from __future__ import annotations

import random
from typing import Final

_MAX_DOUBLINGS: Final = 64
"""Limits the exponent so that the float does not overflow; ``longest_s`` is reached long before."""


def pause_s(attempt: int, first_s: float, longest_s: float) -> float:
    """Return the seconds to wait before the next attempt.

    The upper bound starts at ``first_s``, doubles with every attempt and never exceeds ``longest_s``. The result is
    random within the second half of that bound, so that many clients do not return at the same moment.

    Args:
        attempt: Number of failed attempts so far, 1 or more.
        first_s: Upper bound of the first pause, in seconds, greater than 0.
        longest_s: Upper bound of every pause, in seconds, greater than 0.

    Returns:
        Seconds, between half of the bound and the bound.
    """
    bound_s = min(first_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS), longest_s)
    return bound_s * random.uniform(0.5, 1)  # noqa: S311 - not used for cryptography
