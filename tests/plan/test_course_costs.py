"""What many updates cost: what stays as it was is not assembled, kept or told again."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from fractions import Fraction
from itertools import product
from typing import Any, Final
from unittest.mock import Mock, patch

import pytest

from owtmix.base.errors import SpecError
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.jobfile import assemble, assemble_video
from owtmix.jobfile.bounds import MAX_SHOWN, MAX_UPDATES
from owtmix.jobfile.reader import with_updates
from owtmix.plan import course
from owtmix.plan.course import StateSpan, course_of, where_not
from owtmix.plan.pages import Pages
from owtmix.plan.speakers import Speaking
from tests.plan.test_course import CLIPS, job, mixer
from tests.support.plans import index_of

UPDATES: Final = 200
ALL: Final = {"Left": "0", "Top": "0", "Width": "1", "Height": "1"}


class Watched(frozenset[StreamId]):
    """Counts what is looked at in lists of streams."""

    looked_at = 0

    def __iter__(self) -> Iterator[StreamId]:
        Watched.looked_at += len(self)
        return super().__iter__()

    def __sub__(self, other: AbstractSet[object]) -> frozenset[StreamId]:
        Watched.looked_at += len(self)
        return super().__sub__(other)


def lines(*data: dict[str, Any]) -> bytes:
    """A file of updates, each a second after the one before."""
    updates = ({"At": at, "Action": "job.update", "Data": one} for at, one in enumerate(data))
    return "\n".join(map(json.dumps, updates)).encode()


@pytest.mark.parametrize("section", ["SubscribeAudio", "UnsubscribeVideo"])
def test_what_is_wrong_is_looked_for_until_there_is_more_than_can_be_told(section: str) -> None:
    wrong = {"SubscribeConfig": {section: [1] * 60}}
    with pytest.raises(SpecError) as caught:
        with_updates(job(), lines(*[wrong] * UPDATES), "room-1.updates.jsonl")
    assert len(caught.value.problems) == MAX_SHOWN + 1
    assert caught.value.problems[-1].message == "and at least 20 more problems"
    assert "line 2: Data.SubscribeConfig" in caught.value.problems[MAX_SHOWN - 1].path


def test_a_replay_ends_when_there_is_more_than_can_be_told() -> None:
    """Each is right by itself, and wrong in the room."""
    wrong = {"SubscribeConfig": {"SubscribeAudio": ["a_1"], "UnsubscribeAudio": ["b_1"]}}
    spec = with_updates(job(), lines(*[wrong] * UPDATES), "room-1.updates.jsonl")
    with pytest.raises(SpecError) as caught:
        course_of(spec, index_of(CLIPS))
    assert caught.value.problems[-1].message == "and at least 1 more problems"


@pytest.mark.parametrize("is_first", [True, False], ids=["of the job", "of an update"])
def test_templates_are_assembled_once(monkeypatch: pytest.MonkeyPatch, *, is_first: bool) -> None:
    templates = mixer(LayoutConfig=[[{"Id": "a", "Area": ALL}]])
    turns = [mixer(MixedVideoLayout=number % 2) for number in range(UPDATES)]
    if is_first:
        spec = with_updates(job(MixerConfig=templates["MixerConfig"]), lines(*turns), "updates")
    else:
        spec = with_updates(job(), lines(mixer(MixedVideoLayout=1) | templates, *turns), "updates")
    area = Mock(wraps=assemble_video._area)
    monkeypatch.setattr(assemble_video, "_area", area)
    states = [*course_of(spec, index_of(CLIPS)).states]
    area.assert_called_once()
    assert {len(state.mixer.templates) for state in states[-2:]} == {0, 1}


def test_new_templates_are_assembled() -> None:
    half = {"Left": "0", "Top": "0", "Width": "1/2", "Height": "1"}
    updates = [mixer(MixedVideoLayout=0, LayoutConfig=[[{"Id": "a", "Area": area}]]) for area in (ALL, half, ALL)]
    course = course_of(with_updates(job(), lines(*updates), "updates"), index_of(CLIPS))
    areas = [state.mixer.templates[0][0].width for state in course.states if state.mixer.templates]
    assert areas == [1, Fraction(1, 2), 1]


@pytest.mark.parametrize("data", [mixer(Gap=2), {"SubscribeConfig": {"MaxSubscriptions": 7}}], ids=["mixer", "number"])
def test_lists_of_streams_are_kept_once(data: dict[str, Any]) -> None:
    streams = [f"u{number}_1" for number in range(1000)]
    spec = with_updates(job(SubscribeConfig={"SubscribeAudio": streams}), lines(*[data] * UPDATES), "updates")
    states = [*course_of(spec, index_of(CLIPS)).states]
    assert len(states) == UPDATES + 1
    assert len({id(state.subscription.audio.only) for state in states}) == 1
    assert states[-1].subscription.max_streams == (
        7 if "SubscribeConfig" in data else states[0].subscription.max_streams
    )


def test_a_list_of_streams_is_kept_where_another_one_changes() -> None:
    names = [f"{number}_1" for number in range(50)]
    updates = [{"SubscribeConfig": {"SubscribeVideo": [f"v{number}_1"]}} for number in range(UPDATES)]
    spec = with_updates(job(SubscribeConfig={"SubscribeAudio": names}), lines(*updates), "updates")
    states = [*course_of(spec, index_of(CLIPS)).states]
    assert len({id(state.subscription.audio.only) for state in states}) == 1
    assert len({state.subscription.video.only for state in states}) == UPDATES + 1


def test_names_that_stay_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each update names another stream; thousands of others stay named."""
    names = [f"{number}_1" for number in range(500)]
    updates = [mixer(MaxResolutionStream=f"x{number % 2}_1") for number in range(UPDATES)]
    lists = {"SubscribeAudio": names, "UnsubscribeVideo": names}
    monkeypatch.setattr(assemble, "frozenset", Watched, raising=False)
    course = course_of(with_updates(job(SubscribeConfig=lists), lines(*updates), "updates"), index_of(CLIPS))
    before = Watched.looked_at
    warnings = course.check()
    assert 2 * len(names) <= Watched.looked_at - before < 4 * len(names)
    assert warnings[-1] == f"and {2 * len(names) + UPDATES - MAX_SHOWN:,} more of these"


def test_a_new_list_of_streams_counts() -> None:
    updates = [{"SubscribeConfig": {"UnsubscribeVideo": streams}} for streams in (["a_1"], [], ["a_1", "b_1"])]
    course = course_of(with_updates(job(), lines(*updates), "updates"), index_of(CLIPS))
    hidden = [sorted(map(str, state.subscription.video.without)) for state in course.states]
    assert hidden == [[], ["a_1"], [], ["a_1", "b_1"]]


@pytest.mark.parametrize("count", [MAX_UPDATES + 1, MAX_UPDATES + 500])
def test_too_many_updates_are_told_without_a_look_at_them(count: int) -> None:
    wrong = {"SubscribeConfig": {"SubscribeAudio": [1] * 10}}
    with pytest.raises(SpecError) as caught:
        with_updates(job(), lines(*[wrong] * count), "room-1.updates.jsonl")
    assert [str(found) for found in caught.value.problems] == [
        "room-1.updates.jsonl has more than 5,000 updates (RetCode 1)"
    ]
    with pytest.raises(SpecError) as caught:
        job(*[(5, "update", wrong)] * count)
    (found,) = caught.value.problems
    assert str(found).startswith(f"Data.Updates: found a list of {count:,}; accepted: a list of at most 5,000")


def test_switched_streams_are_held_once() -> None:
    def switched(number: int, **keys: bool) -> dict[str, Any]:
        return {"StreamConfig": [{"RtcStreamId": f"u{number}_{n % 2 + 1}", **keys} for n in range(20)]}

    data = [switched(number, MuteVideo=True, MuteAudio=number % 2 == 0) for number in range(UPDATES)]
    spec = with_updates(job(), lines(*data, switched(7, MuteVideo=False)), "updates")
    course = course_of(spec, index_of(CLIPS))
    assert len({id(change.state.hidden.switches) for change in course.changes}) == 1
    for number, change in enumerate(course.changes[:-1]):
        for other in (0, 6, 7, UPDATES - 1):
            stream = StreamId(f"u{other}", 1)
            assert (stream in change.state.hidden) == (other <= number)
            assert (stream in change.state.muted) == (other <= number and other % 2 == 0)
    assert StreamId("u7", 1) not in course.changes[-1].state.hidden
    assert StreamId("u6", 2) in course.changes[-1].state.hidden
    warnings = course.check()
    assert len(warnings) == MAX_SHOWN + 1
    assert warnings[0] == "updates, line 1: u0_1 has no recording in the index"
    assert warnings[-1] == f"and {2 * UPDATES - MAX_SHOWN:,} more of these"


def test_who_is_on_a_page_is_found_once() -> None:
    people = [StreamId(f"u{number}", 1) for number in range(3)]
    found = Mock(return_value=[])
    with patch("owtmix.plan.pages.overlapping", found):
        pages = Pages([], Fraction(60))
        for t in range(100):
            pages.at(Fraction(t), people, (), 2)
    spans = [call.args[1] for call in found.call_args_list]
    assert spans == [TimeRange(Fraction(0), Fraction(60)), TimeRange(Fraction(60), Fraction(120))]


def test_a_day_of_speech_is_held_once_however_long_pages_are() -> None:
    people = [StreamId(f"u{number}", 1) for number in range(9)]
    spans = [TimeRange(Fraction(start), Fraction(start + 20)) for start in range(0, 86_400, 20)]
    speaking = [Speaking(span, frozenset({people[number % 9]})) for number, span in enumerate(spans)]
    tracemalloc.start()
    try:
        for number, t in product(range(100), (10, 40_010)):
            page_s = 1 + Fraction(number, 1000)
            pages = Pages(speaking, page_s)
            assert pages.at(Fraction(t), people, (), 1) == [people[t // 20 % 9]]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_updates_for_very_many_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked of each stream, which takes some microseconds."""
    spec = with_updates(job(), lines(*[mixer(Gap=number) for number in range(9)]), "updates")
    monkeypatch.setattr(course, "MAX_STATES_OF_STREAMS", 9 * len(CLIPS))
    assert len(course_of(spec, index_of(CLIPS)).changes) == 9
    monkeypatch.setattr(course, "MAX_STATES_OF_STREAMS", 9 * len(CLIPS) - 1)
    with pytest.raises(SpecError, match="9 updates for"):
        course_of(spec, index_of(CLIPS))


def test_a_file_of_very_many_lines_is_told_at_once() -> None:
    with pytest.raises(SpecError, match="100,000 lines"):
        with_updates(job(), b"\n" * (16 << 20), "updates")
    updates = with_updates(job(), b"\r" * (16 << 20), "updates").updates
    assert updates
    assert updates.updates == ()


def test_where_something_does_not_hold_is_asked_of_each_state_once() -> None:
    """Times are only compared where it begins or ceases to hold."""
    states = [StateSpan(TimeRange(Fraction(n), Fraction(n + 1)), Mock(), Mock()) for n in range(1000)]
    asked: list[Fraction] = []

    def holds(at: StateSpan) -> bool:
        asked.append(at.span.start)
        return 100 <= at.span.start < 200

    within = TimeRange(Fraction(5, 2), Fraction(900))
    with patch.object(TimeRange, "common", autospec=True, side_effect=TimeRange.common) as compared:
        found = where_not(states, within, holds)
    assert found == (TimeRange(Fraction(5, 2), Fraction(100)), TimeRange(Fraction(200), Fraction(900)))
    assert asked == [*range(2, 900)]
    assert compared.call_count == 2
