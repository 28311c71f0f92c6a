"""Two browsers in a room that is mixed live: their flashes and beeps in the file, and in what nginx-rtmp received."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest

from owtmix.recorder.clock import fixed_clock
from owtmix.recorder.fixed_clock import read_knots
from owtmix.recorder.journal import JournalReader
from owtmix.recorder.journal_scan import media_frames
from tests.live.conftest import Tell
from tests.live.test_browsers import COMPOSED_FPS, COMPOSED_MS, SENDERS, check, publish_from_browsers
from tests.notify.receiver import receiving
from tests.support.browser import CHROMIUM, NO_CHROMIUM
from tests.support.marks import LEFT_HALF, RIGHT_HALF, Marks, marks, read_track
from tests.support.pusher import address
from tests.support.rtmp import HAS_NGINX_RTMP, NO_NGINX_RTMP, free_address, recording_nginx
from tests.support.server import LiveJob, serving, wait_until

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM),
    pytest.mark.skipif(not HAS_NGINX_RTMP, reason=NO_NGINX_RTMP),
]

TOGETHER_S: Final = 14
CHUNK_S: Final = 2
MARGIN_S: Final = 5
"""Where machines are shared, what browsers send comes late."""
WRITTEN_S: Final = 1
"""Until a frame that came has been read in its journal."""
PATIENT: Final = f"min_free_mib = 64\n[live]\nmargin_s = {MARGIN_S}"
TONES: Final = [hz for _, hz, _ in SENDERS.values()]
PICTURE: Final = {"Codec": "h264", "Width": 640, "Height": 360, "Fps": COMPOSED_FPS, "BitRate": 1000}


def chunks(path: Path) -> list[list[bytes]]:
    """The packets of the picture of each chunk."""
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(file.streams.video[0]) if packet.size]
    each = CHUNK_S * COMPOSED_FPS
    return [packets[first : first + each] for first in range(0, len(packets), each)]


def seen(path: Path, begun_s: float) -> dict[str, Marks]:
    """The marks of both tiles of a mix that began at a time of the clock."""
    room = read_track(path, (LEFT_HALF, RIGHT_HALF))
    if path.suffix == ".flv":  # whole milliseconds, where FLV has frames, would tear tones
        with av.open(str(path)) as file:
            room = replace(room, samples=np.concatenate([one.to_ndarray() for one in file.decode(audio=0)], axis=1))
    return {f"tile {n}": marks(room, begun_s, hz, n) for n, hz in enumerate(TONES)}


def test_a_room_is_mixed_pushed_uploaded_and_composed_again(tmp_path: Path, tell: Tell) -> None:
    rtmp, written = free_address(), tmp_path / "nginx"
    with recording_nginx(written, rtmp), receiving() as receiver, serving(tmp_path, PATIENT) as server:
        job = server.record(
            "meeting",
            mode=1,
            notify=receiver.url,
            TranscodingConfig={"Video": PICTURE},
            MixerConfig={"MixedVideoLayout": 1, "ResizeMode": 1},
            LiveConfig={"Url": address(int(rtmp.split(":")[1]))},
        )
        publish_from_browsers(server, job, TOGETHER_S)
        state: dict[str, Any] = json.loads((job.folder / "live" / "state.json").read_bytes())
        late = late_chunks(job, state["begun_us"])
        job.stop()
        job.wait_for_end()
        mix = server.store / "meeting.mp4"
        assert mix.is_file(), job.logs()
        wait_until(lambda: events(receiver)[-1:] == [("ucloud_mixer_status_update", 2)], "all callbacks")
        told = [name for name, _ in events(receiver) if name.startswith("ucloud_mixer")]
        tell(f"{state}; told {told}")
        assert told[0] == "ucloud_mixer_status_update"
        assert told.count("ucloud_mixer_stream_update") == 4
        assert told[-2:] == ["ucloud_mixer_file_infos", "ucloud_mixer_status_update"]
        assert "ucloud_mixer_error" not in told
        check(tell, "the file", seen(mix, state["begun_us"] / 1e6), COMPOSED_MS)
        (pushed,) = written.glob("*.flv")
        begun_s = state["begun_us"] / 1e6 + begins_with(pushed, mix)
        check(tell, "by RTMP", seen(pushed, begun_s), COMPOSED_MS)
        again = chunks(job.compose("--chunk", str(CHUNK_S)))
        same = [one == other for one, other in zip(chunks(mix), again, strict=True)]
        tell(f"chunks that composing gives as well, bit by bit: {same}; with frames that came too late: {sorted(late)}")
        in_time = [same[number] for number in range(1, len(same) - 1) if number not in late]
        assert all(in_time), "in the first and last one somebody comes or vanishes"


def late_chunks(job: LiveJob, begun_us: int) -> set[int]:
    """The numbers of chunks of which a picture may have come too late, by the journals."""
    late = set()
    for path in (job.folder / "journals").glob("*.video.*.journal"):
        with JournalReader(path) as reader:
            clock = fixed_clock(reader.head.rate, read_knots(path))
            for frame in media_frames(reader):
                chunk = int((clock.time_us(frame) - begun_us) / 1e6 // CHUNK_S)
                made_us = begun_us + ((chunk + 1) * CHUNK_S + MARGIN_S - WRITTEN_S) * 1_000_000
                if frame.arrived_us > made_us:
                    late.add(chunk)
    return late


def begins_with(pushed: Path, mix: Path) -> float:
    """Where in a mix what was pushed begins, in seconds."""
    with av.open(str(pushed)) as file:
        first = next(frame for frame in file.decode(video=0)).to_ndarray().tobytes()
    with av.open(str(mix)) as file:
        for frame in file.decode(video=0):
            if frame.to_ndarray().tobytes() == first and frame.pts is not None and frame.time_base is not None:
                return float(frame.pts * frame.time_base)
    raise AssertionError("what was pushed is not in the mix")


def events(receiver: Any) -> list[tuple[str, Any]]:
    """The callbacks of the mix, once each, with their status."""
    found = {request.id: json.loads(request.body) for request in receiver.requests}
    return [(body["EventType"], body["Data"].get("Status")) for body in found.values()]
