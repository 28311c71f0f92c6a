"""Pages: who is shown when there are more people than tiles (docs/rooms.md, "Pages")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil, floor

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, overlapping
from owtmix.plan.speakers import Speaking


def page_edges(span: TimeRange, page_s: Fraction) -> Iterable[Fraction]:
    """The times in ``span`` at which a page ends and the next begins."""
    return (number * page_s for number in range(floor(span.start / page_s) + 1, ceil(span.end / page_s)))


class Pages:
    """Who is on which page, asked for at rising times: who was not shown for the longest time comes next.

    Args:
        speaking: who speaks when; those who do while a page is shown are on it.
        page_s: how long a page is shown, in seconds.
    """

    def __init__(self, speaking: Sequence[Speaking], page_s: Fraction) -> None:
        self._page_s = page_s
        self._latest: dict[StreamId, int] = {}
        self._speaking = speaking
        self._page = -1
        self._on_page: frozenset[StreamId] = frozenset()
        """Who speaks on the page that was asked for last."""

    def at(self, t: Fraction, shown: Sequence[StreamId], first: Sequence[StreamId], size: int) -> list[StreamId]:
        """Who is on the page at output time ``t``: ``first``, those who speak, and others, ``size`` in all.

        ``shown`` are all who could be, in order of joining.
        """
        page = floor(t / self._page_s)
        order = {stream: number for number, stream in enumerate(shown)}

        def turn_of(stream: StreamId) -> tuple[bool, int, int]:
            latest = self._latest.get(stream, -1)
            return latest != page, latest, order[stream]

        if page != self._page:
            span = TimeRange(page * self._page_s, (page + 1) * self._page_s)
            who = (some.streams for some in overlapping(self._speaking, span))
            self._page, self._on_page = page, frozenset[StreamId]().union(*who)
        speaking = sorted(self._on_page.intersection(shown), key=turn_of)
        chosen = list(dict.fromkeys((*first, *speaking)))[:size]
        others = sorted((stream for stream in shown if stream not in chosen), key=turn_of)[: size - len(chosen)]
        self._latest |= dict.fromkeys((*chosen, *others), page)
        return [*chosen, *sorted(others, key=order.__getitem__)]
