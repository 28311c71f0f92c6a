"""The mix of a room is put into its store before the recordings, at the key of ``owt-main``, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.recorder.live_folder import LiveFolder
from owtmix.recorder.room_folder import RoomFolder
from tests.e2e.stored import store_at
from tests.recorder.finishing import configure, lay_out, run_finish
from tests.recorder.senders import Sender
from tests.recorder.test_upload import KEYS, environment, puts
from tests.storage.conftest import Service
from tests.storage.fault_proxy import FaultProxy

ALICE: Final = Sender("alice_1", marks_ms=(1000,), length_ms=2000)
MIX: Final = b"the mix" * 1000


@pytest.fixture
def room(tmp_path: Path) -> RoomFolder:
    return lay_out(tmp_path / "room", [ALICE])


def mixed(room: RoomFolder, *files: Any) -> None:
    """Lay out what the mixer leaves."""
    live = room.root / "live"
    live.mkdir(exist_ok=True)
    for name in ("mix.mp4", "mix-2.mp4"):
        (live / name).write_bytes(MIX)
    told = {"files": files, "duration_s": 2.0, "frames": 30, "warnings": []}
    (live / "result.json").write_text(json.dumps(told))


def configured(room: RoomFolder, store: dict[str, Any]) -> None:
    configure(room.root, prefix="/mixes/$RoomId", mix="/mixes/$RoomId.mp4", store=store)


def test_the_mix_is_sent_once_and_the_recordings_beside_it(
    room: RoomFolder, service: Service, proxy: FaultProxy
) -> None:
    configured(room, store_at(service, proxy.endpoint))
    mixed(room, "live/mix.mp4")
    for _ in range(2):
        status, found, log = run_finish(room.root, "--mix", given=KEYS, **environment(room))
        assert status == 0, log
        assert [address.rpartition("/")[2] for address in found["uploaded"]] == ["room.mp4"]
    assert puts(proxy) == ["room.mp4"]
    assert service.get("mixes/room.mp4") == MIX
    assert run_finish(room.root, "--upload", given=KEYS, **environment(room))[0] == 0
    assert {*service.keys()} == {"mixes/room.mp4", *(f"mixes/room/{name}" for name in BESIDE)}


BESIDE: Final = ("alice_1-s0.webm", "job.json", "job.cfg.json")


def test_a_mix_in_a_folder(room: RoomFolder, tmp_path: Path) -> None:
    configured(room, {"Vendor": "local", "Bucket": str(tmp_path / "store")})
    mixed(room, "live/mix.mp4", "live/mix-2.mp4")
    for _ in range(2):
        status, found, log = run_finish(room.root, "--mix", **environment(room))
        assert status == 0, log
        assert [Path(address).name for address in found["uploaded"]] == ["room.mp4", "room-2.mp4"]
        assert Path(found["uploaded"][1]).read_bytes() == MIX


def test_nobody_came(room: RoomFolder, tmp_path: Path) -> None:
    configured(room, {"Vendor": "local", "Bucket": str(tmp_path / "store")})
    mixed(room)
    assert run_finish(room.root, "--mix", **environment(room))[:2] == (0, {"uploaded": []})


@pytest.mark.parametrize("file", ["../finish.json", "live/../finish.json", "/etc/hostname", "live/none.mp4", 7])
def test_only_a_mix_is_sent(room: RoomFolder, tmp_path: Path, file: Any) -> None:
    configured(room, {"Vendor": "local", "Bucket": str(tmp_path / "store")})
    mixed(room, file)
    status, found, _ = run_finish(room.root, "--mix", **environment(room))
    assert (status, "there is no mix" in found["error"]["message"]) == (3, True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"chunks": "x", "behind_s": NaN, "begun_us": true, "warnings": [1]}'])
def test_a_state_that_is_none_is_none(tmp_path: Path, text: str) -> None:
    folder = LiveFolder(tmp_path)
    folder.make()
    (folder.root / "state.json").write_text(text)
    state = folder.state()
    assert state is None or (state.chunks, state.behind_s, state.begun_us, state.warnings) == (0, 0.0, None, ())
