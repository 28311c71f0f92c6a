"""Recordings are recognised by content; other files are refused, and nothing that they refer to is opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import pytest

from owtmix.base.errors import InputError
from owtmix.media.open import open_input, packets, select_stream
from owtmix.media.probe import probe
from tests.media.pictures import steady, write_film

HLS: Final = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
SCRIPTS: Final = {
    "ffconcat": "ffconcat version 1.0\nfile {target}\n",
    "m3u8": HLS,
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 VP8/90000\n",
    "html": '<!DOCTYPE html><html><body><video src="{target}"></video></body></html>\n',
    "dash": '<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>\n',
    "m3u8 with the magic bytes of MP4": "#EXTftyp\n" + HLS,
    "m3u8 with the magic bytes of Matroska": "\x1aE\xdf\xa3" + HLS,
    "m3u8 with the magic bytes of Ogg": "OggS" + HLS,
    "m3u8 with the magic bytes of WAV": "RIFF\0\0\0\0WAVE" + HLS,
}


@dataclass(frozen=True)
class Traps:
    """A listener on the loopback and a neighbour file; both detect access."""

    listener: socket.socket
    neighbour: Path
    pipe: int

    def targets(self) -> tuple[str, ...]:
        port = self.listener.getsockname()[1]
        return self.neighbour.name, str(self.neighbour), f"file:{self.neighbour}", f"http://127.0.0.1:{port}/a.mp4"

    def untouched(self) -> bool:
        """Nothing connected, and nothing read from the neighbour."""
        try:
            self.listener.accept()
        except BlockingIOError:
            return os.read(self.pipe, 100) == _LEFT and os.write(self.pipe, _LEFT) > 0
        return False


_LEFT: Final = b"left alone"


@pytest.fixture
def traps(tmp_path: Path) -> Iterator[Traps]:
    neighbour = tmp_path / "neighbour.mp4"
    os.mkfifo(neighbour)
    pipe = os.open(neighbour, os.O_RDWR | os.O_NONBLOCK)
    os.write(pipe, _LEFT)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Traps(listener, neighbour, pipe)
    os.close(pipe)


def test_the_traps_detect_a_demuxer_that_follows_a_playlist(tmp_path: Path, traps: Traps) -> None:
    """Otherwise the tests below would prove nothing."""
    script = tmp_path / "recording.m3u8"
    script.write_text(HLS.format(target=traps.targets()[-1]))
    with script.open("rb") as file, pytest.raises(av.error.FFmpegError):
        av.open(file, timeout=0.3)
    assert not traps.untouched()


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("name", ["recording.mp4", "recording.webm", "recording.m3u8"])
def test_a_script_is_refused_and_opens_neither_file_nor_connection(
    tmp_path: Path, traps: Traps, kind: str, name: str
) -> None:
    script = tmp_path / name
    for target in traps.targets():
        text = SCRIPTS[kind].format(target=target, port=traps.listener.getsockname()[1])
        script.write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"is not an MP4, WebM, Matroska, Ogg or WAV file|cannot be opened"):
            open_input(script)
        assert traps.untouched()


def test_a_name_that_looks_like_a_url_to_ffmpeg_is_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_film(tmp_path / "film.webm", steady(2)).read_bytes()
    for name in ("http:film.webm", "concat:a|b", "pipe:0", "%03d.webm", "-", "王 小明?.webm"):
        Path(name).write_bytes(data)
        with open_input(Path(name)) as container:
            assert container.format.name == "matroska"


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "film.mkv"])
def test_a_recording_is_recognised_by_content_under_any_name(tmp_path: Path, name: str) -> None:
    film = write_film(tmp_path / name, steady(3))
    for wrong in ("film.wav", "film.txt", "film"):
        assert probe(film.rename(tmp_path / wrong)).video
        (tmp_path / wrong).rename(film)


def test_the_reason_is_given_why_a_file_cannot_be_opened(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 256)
    hollow = tmp_path / "hollow.mp4"
    hollow.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
    for path, reason in (
        (tmp_path / "gone.mp4", "^cannot be read: No such file or directory$"),
        (tmp_path, "^cannot be read: Is a directory$"),
        (empty, "^is empty$"),
        (noise, "^is not an MP4, WebM, Matroska, Ogg or WAV file$"),
        (hollow, "^cannot be opened: Invalid data found when processing input$"),
    ):
        with pytest.raises(InputError, match=reason):
            open_input(path)


@pytest.mark.parametrize(("container", "name"), [("avi", "film.avi"), ("mpegts", "film.ts"), ("flv", "film.flv")])
def test_other_containers_are_refused_under_any_name(tmp_path: Path, container: str, name: str) -> None:
    film = write_film(tmp_path / name, steady(3), encoder="libx264")
    for path in (film, film.rename(tmp_path / "film.mp4")):
        with pytest.raises(InputError, match="is not an MP4"):
            open_input(path if path.exists() else tmp_path / "film.mp4")
    assert container


def test_only_the_chosen_stream_is_demuxed(tmp_path: Path) -> None:
    with open_input(write_film(tmp_path / "film.webm", steady(5))) as container:
        stream = select_stream(container, 0)
        assert [packet.size > 0 for packet in packets(container, stream)] == [True] * 5 + [False]
    with pytest.raises(InputError, match="no usable stream 7"):
        select_stream(open_input(tmp_path / "film.webm"), 7)
