"""A pusher against servers that take, refuse, stall, cut and talk nonsense."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.live.pusher import Patience, Pusher
from owtmix.live.segments import MOST_SEGMENT_BYTES, Segments
from owtmix.live.sender import MOST_WAITING
from owtmix.live.target import Target
from owtmix.live.teller import Teller
from owtmix.net.addresses import LOOPBACK
from owtmix.rtmp.chunks import AUDIO, VIDEO, Message
from tests.support.pusher import KEY, TOKEN, address
from tests.support.rtmp_server import (
    ACCEPTS,
    CLOSES,
    CRAWLS,
    CUT_AFTER,
    CUTS,
    FLOODS,
    REFUSES_APP,
    REFUSES_NAME,
    SAYS_NOTHING,
    SENDS_LONG,
    STALLS,
    TALKS_HTTP,
    TALKS_NONSENSE,
    FakeServer,
    Session,
)
from tests.support.segments import Feeder, end, make_segments, put, to_segment, to_tag

SEGMENT_S: Final = 0.4
HASTY: Final = Patience(connect_s=2, silence_s=1, first_pause_s=0.1, longest_pause_s=0.2, slow_s=2, last_s=3)
STEP_MS: Final = 40
WITHIN_S: Final = 60


@dataclass
class Pushed:
    """How a pusher went."""

    told: list[dict[str, Any]]
    took_s: float

    def states(self) -> list[str]:
        return [one["state"] for one in self.told]


def push(
    folder: Path, port: int, until: Callable[[Pushed], object] | None = None, patience: Patience = HASTY
) -> Pushed:
    """Push a mix until it is over, or ``until`` holds."""
    reading, writing = os.pipe()
    pushed = Pushed([], 0)

    def hear() -> None:
        with os.fdopen(reading, "rb") as lines:
            pushed.told.extend(map(json.loads, iter(lines.readline, b"")))

    async def run() -> None:
        target = Target.parse(address(port))
        pusher = Pusher(target, {"width": 160.0}, folder, LOOPBACK, Teller(writing), patience)
        running = asyncio.create_task(pusher.run())
        began_s = time.monotonic()
        while not running.done() and not (until and until(pushed)):
            assert time.monotonic() - began_s < WITHIN_S, pushed.told
            await asyncio.sleep(0.02)
        stopped_s = time.monotonic()
        pusher.stop()
        await running
        pushed.took_s = time.monotonic() - stopped_s

    hearing = threading.Thread(target=hear, daemon=True)
    hearing.start()
    try:
        asyncio.run(run())
    finally:
        os.close(writing)
        hearing.join(10)
    return pushed


def times(session: Session, kind: int) -> list[int]:
    """Of pictures or sounds; not of configurations."""
    return [one.time_ms for _, one in session.media if one.kind == kind and one.data[1] == 1]


def fat_segment(number: int, bytes_each: int = 25_000, pictures: int = 10) -> bytes:
    """Pictures, of which the first is a key frame, with the number of the segment in each."""
    begin_ms = number * 400
    body = number.to_bytes(4, "big") + bytes(bytes_each)
    kinds = [b"\x17", *[b"\x27"] * (pictures - 1)]
    tags = [to_tag(VIDEO, begin_ms + at * 40, kind + b"\1\0\0\0" + body) for at, kind in enumerate(kinds)]
    return to_segment(to_tag(VIDEO, 0, b"\x17\0\0\0\0configuration"), *tags)


def number_in(message: Message) -> int:
    return int.from_bytes(message.data[5:9], "big")


def test_a_mix_is_sent_to_its_end(tmp_path: Path) -> None:
    segments = make_segments(2.4, SEGMENT_S, b_frames=2)
    with FakeServer() as server:
        Feeder(tmp_path, segments, SEGMENT_S)
        pushed = push(tmp_path, server.port)
        (session,) = server.sessions
    assert pushed.states() == ["living", "ended"]
    names = ["connect", "releaseStream", "FCPublish", "createStream", "publish", "FCUnpublish", "deleteStream"]
    assert session.names == names
    assert session.is_over
    assert session.commands[4][3:] == [f"{KEY}?{TOKEN}", "live"]
    assert session.described == {"width": 160.0}
    assert b"\0\7\0\0\0\x63" in session.told, "a ping is answered"
    assert [one.data[1] for _, one in session.media[:2]] == [0, 0], "configurations come first"
    assert sum(one.data[1] == 0 for _, one in session.media) == 2, "and once"
    assert all(one.data[:2] != b"\x17\2" for _, one in session.media), "no segment says that the pictures are over"
    pictures, sounds = times(session, VIDEO), times(session, AUDIO)
    first = pictures[0]
    assert pictures == [first + STEP_MS * number for number in range(60)]
    assert min(pictures[0], sounds[0]) == 0
    assert {b - a for a, b in itertools.pairwise(sounds)} <= {21, 22}
    assert sounds[-1] >= 2300


def test_it_is_sent_as_it_is_shown(tmp_path: Path) -> None:
    for number in (6, 7):
        put(tmp_path, number, fat_segment(number, 10))
    with FakeServer() as server:

        def has_come(_: Pushed) -> bool:
            if server.sessions and server.sessions[0].media and not (tmp_path / "flv" / "000008.flv").exists():
                for number in range(8, 8 + MOST_WAITING):
                    put(tmp_path, number, fat_segment(number, 10))
            return bool(server.sessions and len(times(server.sessions[0], VIDEO)) == 10 * (1 + MOST_WAITING))

        push(tmp_path, server.port, has_come)
        media = [(at, one) for at, one in server.sessions[0].media if one.data[1] == 1]
    assert {number_in(one) for _, one in media} == set(range(7, 8 + MOST_WAITING)), "it begins with the newest segment"
    at_s, first = media[0]
    assert first.time_ms == 0
    assert max(one.time_ms / 1000 - 1.3 * (at - at_s) for at, one in media) < 0.2, "no faster, though segments wait"
    assert media[-1][0] - at_s > 1.2


@pytest.mark.parametrize(
    ("manner", "state", "words"),
    [
        (CLOSES, "retrying", "does not speak RTMP"),
        (TALKS_HTTP, "retrying", "does not speak RTMP"),
        (SAYS_NOTHING, "retrying", "does not answer within 1 s"),
        (REFUSES_APP, "refused", "refuses the connection"),
        (REFUSES_NAME, "refused", "does not take it: correct the key"),
        (CUTS, "retrying", "ended the connection: see its log"),
        (STALLS, "retrying", "took nothing for 1 s"),
        (SENDS_LONG, "retrying", "messages that are too long"),
        (FLOODS, "retrying", "more than it has to say"),
        (TALKS_NONSENSE, "retrying", "no server of RTMP does"),
    ],
)
def test_a_bad_server_is_told_in_words_and_tried_again(tmp_path: Path, manner: str, state: str, words: str) -> None:
    with FakeServer(manner, manner, ACCEPTS) as server:
        feeder = Feeder(tmp_path, [fat_segment(number, 60_000) for number in range(100)], SEGMENT_S)
        pushed = push(tmp_path, server.port, lambda _: len(server.sessions) == 3 and len(server.sessions[2].media) > 1)
        feeder.stop()
        sessions = server.sessions
    told = [one for one in pushed.told if one["state"] == state]
    assert len(told) >= 2, pushed.told
    assert all(words in one["reason"] and 0 < one["pause_s"] <= 0.2 for one in told), told
    assert len(sessions) == 3
    assert not any(part in str(pushed.told) for part in (KEY, TOKEN, "127.0.0.1", "live/"))
    assert pushed.states()[-1] == "ended"
    first = sessions[2].media[1][1]
    assert (first.time_ms, first.data[0]) == (0, 0x17), "a connection begins with a key frame, at 0"
    assert manner != CUTS or number_in(first) >= number_in(sessions[0].media[-1][1])


@pytest.mark.parametrize("manner", [CLOSES, SAYS_NOTHING])
def test_pauses_grow_until_a_connection_lives(tmp_path: Path, manner: str) -> None:
    patience = Patience(silence_s=0.3, first_pause_s=0.1, longest_pause_s=0.4, steady_s=0.2)
    feeder = Feeder(tmp_path, [fat_segment(number) for number in range(100)], SEGMENT_S)
    with FakeServer(*[manner] * 4, CUTS, manner) as server:
        pushed = push(tmp_path, server.port, lambda _: len(server.sessions) == 7, patience=patience)
    feeder.stop()
    pauses = [one["pause_s"] for one in pushed.told if "pause_s" in one]
    assert pauses[0] <= 0.1
    assert all(0.2 <= pause <= 0.4 for pause in pauses[2:4])
    assert pauses[4] <= 0.1, "after a connection that lived"


def test_what_was_sent_whole_is_not_sent_again(tmp_path: Path) -> None:
    put(tmp_path, 0, fat_segment(0, 10, CUT_AFTER - 1))
    with FakeServer(CUTS, ACCEPTS) as server:
        coming = threading.Timer(1, lambda: put(tmp_path, 1, fat_segment(1, 10)))

        def has_gone_on(pushed: Pushed) -> bool:
            if "retrying" in pushed.states() and not coming.ident:
                coming.start()
            return len(server.sessions) == 2 and len(server.sessions[1].media) > 10

        push(tmp_path, server.port, has_gone_on)
        numbers = [{number_in(one) for _, one in session.media if one.data[1]} for session in server.sessions]
    assert numbers == [{0}, {1}]


def test_a_slow_server_misses_whole_segments_and_is_not_far_behind(tmp_path: Path) -> None:
    with FakeServer(CRAWLS, crawl_bytes=300_000) as server:
        feeder = Feeder(tmp_path, [fat_segment(number) for number in range(100)], SEGMENT_S)
        begin_s = time.monotonic()
        pushed = push(tmp_path, server.port, lambda pushed: pushed.states().count("slow") == 2)
        feeder.stop()
        media = [(at, one) for at, one in server.sessions[0].media if one.data[1] == 1]
    slow = [one["dropped_s"] for one in pushed.told if one["state"] == "slow"]
    assert len(server.sessions) == 1
    assert pushed.states()[0] == "living"
    jumps = [
        (after.time_ms - before.time_ms - STEP_MS, after)
        for (_, before), (_, after) in itertools.pairwise(media)
        if after.time_ms - before.time_ms != STEP_MS
    ]
    assert 0 < len(jumps) <= 2
    assert all(after.data[0] == 0x17 for _, after in jumps), "after what was dropped comes a key frame"
    assert abs(slow[0] - jumps[0][0] / 1000) < 0.1
    assert slow[1] > slow[0] > SEGMENT_S
    lags = [at - begin_s - number_in(one) * SEGMENT_S for at, one in media]
    assert max(lags) < (MOST_WAITING + 4) * SEGMENT_S


def test_a_server_that_is_fast_enough_again_is_told(tmp_path: Path) -> None:
    """The segments of a mixer that was down come all at once: what is old is dropped, once."""
    with FakeServer() as server:
        put(tmp_path, 0, fat_segment(0, 10))
        heard = threading.Event()

        def come_back(pushed: Pushed) -> bool:
            if "living" in pushed.states() and not heard.is_set():
                heard.set()
                for number in range(1, 10):
                    put(tmp_path, number, fat_segment(number, 10))
            return pushed.states() == ["living", "slow", "living"]

        pushed = push(tmp_path, server.port, come_back)
        numbers = {number_in(one) for _, one in server.sessions[0].media if one.data[1] == 1}
    assert numbers <= {0, 1, 9}
    assert 9 in numbers
    assert pushed.states() == ["living", "slow", "living", "ended"]


def test_damage_costs_the_rest_of_its_segment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, cut = fat_segment(0, 10), fat_segment(1, 10)[:-200]
    (tmp_path / "flv").mkdir()
    with FakeServer() as server:
        hostile = [good, cut, b"", to_segment(), b"FLV" + bytes(100), fat_segment(5, 10), fat_segment(6, 10)]
        Feeder(tmp_path, hostile, SEGMENT_S)
        pushed = push(tmp_path, server.port)
        numbers = [number_in(one) for _, one in server.sessions[0].media if one.data[1] == 1]
    assert pushed.states() == ["living", "ended"]
    assert [numbers.count(number) for number in (0, 5, 6)] == [10, 10, 10]
    assert 0 < numbers.count(1) < 10
    assert [record.getMessage()[:14] for record in caplog.records] == [f"segment 00000{n}" for n in (1, 2, 4)]


def test_links_and_pipes_in_place_of_segments_are_not_opened(tmp_path: Path) -> None:
    flv = tmp_path / "flv"
    flv.mkdir()
    (flv / "000000.flv").symlink_to("/etc/passwd")
    os.mkfifo(flv / "000001.flv")
    (flv / "000002.flv").mkdir()
    (flv / "notes.txt").touch()
    segments = Segments(tmp_path)
    assert segments.numbers() == [0, 1, 2]
    for number in range(3):
        with pytest.raises(OSError, match=r".*"):
            segments.open(number)


def test_a_segment_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    put(tmp_path, 0, b"FLV")
    segments = Segments(tmp_path)
    os.truncate(tmp_path / "flv" / "000000.flv", MOST_SEGMENT_BYTES)
    segments.open(0).close()
    os.truncate(tmp_path / "flv" / "000000.flv", MOST_SEGMENT_BYTES + 1)
    with pytest.raises(OSError, match="too large"):
        segments.open(0)


@pytest.mark.parametrize("manner", [ACCEPTS, SAYS_NOTHING, STALLS])
def test_it_ends_soon_when_it_is_told(tmp_path: Path, manner: str) -> None:
    put(tmp_path, 0, fat_segment(0, 200_000))
    with FakeServer(manner) as server:

        def is_there(_: Pushed) -> bool:
            return bool(server.sessions and (server.sessions[0].media or manner == SAYS_NOTHING))

        pushed = push(tmp_path, server.port, is_there)
        names = server.sessions[0].names
    assert pushed.took_s < 4
    assert pushed.states()[-1] == "ended"
    assert (names[-1:] == ["deleteStream"]) == (manner == ACCEPTS)


def test_it_ends_when_the_mix_is_over_though_nobody_listens(tmp_path: Path) -> None:
    put(tmp_path, 0, fat_segment(0))
    with FakeServer(CLOSES) as server:
        threading.Timer(0.5, lambda: end(tmp_path)).start()
        pushed = push(tmp_path, server.port)
    assert pushed.states()[-2:] == ["retrying", "ended"]


def test_states_wait_for_who_does_not_read_them() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    teller = Teller(writing)
    teller.tell("retrying", reason="one", pause_s=1)
    teller.tell("living")
    drained = b""
    while not drained.endswith(b"\n"):
        drained += os.read(reading, 1 << 20)
        teller.flush()
    assert json.loads(drained.strip(b"\0")) == {"state": "living"}
    assert not teller.is_alone
    os.close(reading)
    assert teller.is_alone
    teller.tell("ended")
    os.close(writing)


def test_a_state_is_told_once() -> None:
    reading, writing = os.pipe()
    teller = Teller(writing)
    told: Sequence[str] = ("living", "living", "ended")
    for state in told:
        teller.tell(state)
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert [json.loads(line)["state"] for line in lines] == ["living", "ended"]
