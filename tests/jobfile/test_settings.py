"""conf/owt.toml: what is shipped, what is accepted, where logs and work go."""

from __future__ import annotations

import re
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.errors import SpecError
from owtmix.jobfile.settings import INSTALLATION, SHIPPED, Settings, read_settings, settings_file
from owtmix.jobs.state import state_folder


def _read(folder: Path, text: str) -> Settings:
    path = folder / "owt.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_the_shipped_file_says_what_is_built_in() -> None:
    assert read_settings(SHIPPED) == Settings() == read_settings(None)


def test_the_shipped_file_has_every_key_with_a_comment_above_it() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    keys = [(i, line) for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(keys) == len(fields(Settings))
    assert all(lines[i - 1].startswith("# ") for i, _ in keys)


def test_times_are_exact(tmp_path: Path) -> None:
    settings = _read(tmp_path, "[timeline]\nabsence_s = 0.1\ngap_s = 4\n[text]\nheight = '1/30'\n")
    assert settings.absence_s == Fraction(1, 10)
    assert settings.gap_s == Fraction(4)
    assert settings.text_height == Fraction(1, 30)


def test_a_file_may_have_some_keys_only(tmp_path: Path) -> None:
    assert _read(tmp_path, "[video]\nx264_preset = 'slow'\n") == Settings(x264_preset="slow")


@pytest.mark.parametrize(
    ("text", "key", "accepted"),
    [
        ("[video]\nx264_preset = 'fastest'", "video.x264_preset", "veryfast"),
        ("[video]\nx264_preset = 3", "video.x264_preset", "veryfast"),
        ("[video]\nvp9_cpu_used = 9", "video.vp9_cpu_used", "from 0 to 8"),
        ("[video]\nvp9_cpu_used = true", "video.vp9_cpu_used", "whole number"),
        ("[video]\nvp9_cpu_used = 2.0", "video.vp9_cpu_used", "whole number"),
        ("[video]\npreset = 'slow'", "video.preset", "video.x264_preset"),
        ("x264_preset = 'slow'", "x264_preset", "no such setting"),
        ("[index]\nkeys = []", "index.keys", "a list of keys"),
        ("[index]\nkeys = ['../$JobId.json']", "index.keys", "climbing"),
        ("[index]\nkeys = ['/etc/$JobId.json']", "index.keys", "absolute"),
        ("[index]\ntime_unit = 'hours'", "index.time_unit", "epoch-seconds"),
        ("[timeline]\nabsence_s = -1", "timeline.absence_s", "from 0"),
        ("[timeline]\nabsence_s = nan", "timeline.absence_s", "a number"),
        ("[timeline]\nabsence_s = '1/0'", "timeline.absence_s", "a number"),
        ("[timeline]\nkeep_empty_gaps = 1", "timeline.keep_empty_gaps", "true or false"),
        ("[text]\ntime_zone = 'Beijing'", "text.time_zone", "Asia/Shanghai"),
        ("[text]\nfonts = '/usr'", "text.fonts", "a list of absolute paths"),
        ("[text]\nfonts = ['fonts']", "text.fonts", "absolute"),
        ("[text]\nfonts = ['/nowhere/fonts']", "text.fonts", "that exist"),
        ("[network]\nallow = '10.0.0.0/8'", "network.allow", "a list of networks"),
        ("[network]\nallow = ['10.0.0.1/8']", "network.allow", "a list of networks"),
        ("[network]\nallow = [10]", "network.allow", "a list of networks"),
        ("[callbacks]\nwait_s = -1", "callbacks.wait_s", "from 0"),
        ("[callbacks]\nsecret = 3", "callbacks.secret", "whsec_ and base64"),
        ("[logs]\ndays = 'all'", "logs.days", "whole number"),
        ("[video\n", "owt.toml", "not a TOML file"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(tmp_path: Path, text: str, key: str, accepted: str) -> None:
    with pytest.raises(SpecError) as caught:
        _read(tmp_path, text)
    assert key in str(caught.value)
    assert str(tmp_path / "owt.toml") in str(caught.value)
    assert accepted in str(caught.value)


def test_all_wrong_values_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        _read(tmp_path, "[video]\nvp9_cpu_used = 9\n[logs]\ndays = -1\n[text]\nsize = 3\n")
    assert len(caught.value.problems) == 3


def test_folders_with_fonts_are_read(tmp_path: Path) -> None:
    assert _read(tmp_path, f"[text]\nfonts = ['{tmp_path}']\n").font_folders == (tmp_path,)


def test_networks_are_read(tmp_path: Path) -> None:
    settings = _read(tmp_path, "[network]\nallow = ['10.1.0.0/16', 'fd00:1::/32']\n")
    assert list(map(str, settings.network_allow)) == ["10.1.0.0/16", "fd00:1::/32"]
    assert _read(tmp_path, "[network]\nallow = []\n").network_allow == ()


@pytest.mark.parametrize("secret", ["whsec_MDEyMzQ1Njc4OWFi", "MDEyMzQ1Njc4OWFi"])
def test_the_callback_secret_comes_from_the_file_or_the_environment(tmp_path: Path, secret: str) -> None:
    settings = _read(tmp_path, f"[callbacks]\nsecret = '{secret}'\n")
    assert settings.callback_key == b"0123456789ab"
    assert "0123456789ab" not in repr(settings)
    other = {"OWT_CALLBACK_SECRET": "whsec_b3RoZXI="}
    assert (
        read_settings(tmp_path / "owt.toml", other).callback_key == read_settings(None, other).callback_key == b"other"
    )


@pytest.mark.parametrize("secret", ["canary!", "whsec_", "whsec_canary", "canary-中文"])
def test_a_callback_secret_that_is_none_is_not_shown(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SpecError, match=r"callbacks\.secret: accepted is whsec_ and base64") as caught:
        _read(tmp_path, f"[callbacks]\nsecret = '{secret}'\n")
    assert "canary" not in str(caught.value)
    with pytest.raises(SpecError, match=r"OWT_CALLBACK_SECRET: accepted is whsec_ and base64") as caught:
        read_settings(None, {"OWT_CALLBACK_SECRET": secret})
    assert "canary" not in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    path = settings_file({"OWT_CONF": str(tmp_path / "missing.toml")})
    with pytest.raises(SpecError, match=r"missing\.toml.*No such file"):
        read_settings(path)
    assert settings_file({}) == SHIPPED


def test_logs_and_work_are_in_the_installation(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert state_folder(tmp_path, {}) == tmp_path
    assert (INSTALLATION / "bin" / "owt-main").exists()


def _read_only(folder: Path) -> Path:
    """An installation in which no folder can be made, not even by root."""
    (folder / "conf").mkdir(parents=True)
    (folder / "logs").write_text("")
    return folder


@pytest.mark.parametrize(("variable", "below"), [("XDG_STATE_HOME", "owtmix"), ("HOME", ".local/state/owtmix")])
def test_logs_go_to_the_users_folder_when_the_installation_is_read_only(
    tmp_path: Path, variable: str, below: str
) -> None:
    home = tmp_path / "home"
    folder = state_folder(_read_only(tmp_path / "installation"), {variable: str(home)})
    assert folder == home / below
    assert (folder / "logs").is_dir()


def test_logs_go_to_a_temporary_folder_of_the_user_when_nothing_else_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = tmp_path / "file"
    home.write_text("")
    installation = _read_only(tmp_path / "installation")
    folder = state_folder(installation, {"HOME": str(home)})
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = tmp_path / "file"
    home.write_text("")
    installation = _read_only(tmp_path / "installation")
    first = state_folder(installation, {"HOME": str(home)})
    monkeypatch.setattr("os.getuid", lambda: 4711)
    first.rename(tmp_path / "owtmix-4711")
    assert state_folder(installation, {"HOME": str(home)}) not in {first, tmp_path / "owtmix-4711"}
