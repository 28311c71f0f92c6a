"""The options of a room survive JSON, and say what is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from owtmix.jobfile.spec import MediaChannel
from owtmix.recorder.options import JanusRoom, RoomOptions

OPTIONS = RoomOptions(
    "job-1",
    "app",
    "room/with spaces",
    media_channel=2,
    subscribe={"SubscribeVideo": ["alice_1"], "MaxSubscriptions": 3},
    ice_addresses=("127.0.0.1", "::1"),
    ice_ports=(40_000, 40_100),
    key_every_s=4.0,
    janus=JanusRoom("ws://127.0.0.1:8188", 1234),
    rtmp="rtmp://127.0.0.1:1935/live",
    require_confinement=("landlock", "seccomp"),
)


@pytest.mark.parametrize("options", [OPTIONS, RoomOptions("j", "a", "r")])
def test_options_survive_json(options: RoomOptions) -> None:
    assert RoomOptions.from_json(options.to_json()) == options


def test_options_are_written_without_indentation() -> None:
    """Lists in lists would grow beyond what is read."""
    deep: Any = [0] * 1000
    for _ in range(50):
        deep = [deep]
    options = replace(OPTIONS, subscribe={"unknown": deep})
    assert len(options.to_json()) < 4000
    assert RoomOptions.from_json(options.to_json()) == options


def test_options_say_what_is_recorded() -> None:
    subscription = OPTIONS.subscription()
    assert subscription.channel is MediaChannel.VIDEO
    assert subscription.subscription.max_streams == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job_id": "../x"}, "job_id"),
        ({"media_channel": 4}, "MediaChannel"),
        ({"subscribe": {"MaxSubscriptions": "many"}}, r"SubscribeConfig\.MaxSubscriptions"),
        ({"subscribe": {"SubscribeAudio": ["a_1"], "UnsubscribeAudio": ["b_1"]}}, "one of the two"),
        ({"key_every_s": 0.1}, "key_every_s"),
        ({"silence_s": 0}, "silence_s"),
        ({"ice_ports": (5, 4)}, "ice_ports"),
        ({"ice_ports": (1, 70_000)}, "ice_ports"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(OPTIONS, **changes)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b'"x"', b"[" * 100_000, json.dumps({"x": 1}).encode()])
def test_what_are_no_options_is_said(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        RoomOptions.from_json(data)


def test_the_server_loads_no_media_library() -> None:
    """Neither with the options nor with the socket's other end."""
    code = (
        "import sys, owtmix.recorder.options, owtmix.recorder.control;"
        "sys.exit(', '.join({'aiortc', 'av', 'numpy', 'PIL'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
