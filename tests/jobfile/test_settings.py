"""conf/owt.toml: what is shipped, what is accepted, where logs and work go."""

from __future__ import annotations

import errno
import os
import re
import tomllib
import traceback
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from owtmix.base.errors import SettingsError
from owtmix.jobfile.settings import PlanSettings, Settings, VideoSettings
from owtmix.jobfile.settings_file import INSTALLATION, SHIPPED, is_checkout, read_settings, settings_file
from owtmix.jobs.state import state_folder


def _read(folder: Path, text: str) -> Settings:
    path = folder / "owt.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_the_shipped_file_says_what_is_built_in() -> None:
    assert read_settings(SHIPPED) == Settings() == read_settings(None)


def test_the_package_holds_the_settings_of_the_repository() -> None:
    assert SHIPPED.read_bytes() == (INSTALLATION / "conf" / "owt.toml").read_bytes(), "make schema copies them"


def test_the_shipped_file_has_every_key_with_a_comment_above_it() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    lines = text.splitlines()
    keys = [(i, line) for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert all(lines[i - 1].startswith("# ") for i, _ in keys)
    shipped = {table: set(values) for table, values in tomllib.loads(text).items()}
    assert shipped == {table: set(type(model).model_fields) for table, model in Settings()}
    assert len(keys) == sum(map(len, shipped.values()))


def test_times_are_exact(tmp_path: Path) -> None:
    settings = _read(tmp_path, "[timeline]\nabsence_s = 0.1\ngap_s = 4\n[text]\nheight = '1/30'\n")
    assert settings.timeline.absence_s == Fraction(1, 10)
    assert settings.timeline.gap_s == Fraction(4)
    assert settings.text.height == Fraction(1, 30)


def test_a_file_may_have_some_keys_only(tmp_path: Path) -> None:
    assert _read(tmp_path, "[video]\nx264_preset = 'slow'\n") == Settings(video=VideoSettings(x264_preset="slow"))


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
        ('[index]\nkeys = ["\\u0000"]', "index.keys", "a list of keys"),
        ('[index]\nkeys = ["$JobId.json", "a\\u001bb"]', "index.keys", "a list of keys"),
        (f"[index]\nkeys = ['{'k' * 1025}']", "index.keys", "a list of keys"),
        ("[index]\nkeys = ['./']", "index.keys", "a list of keys"),
        ("[index]\ntime_unit = 'hours'", "index.time_unit", "epoch-seconds"),
        ("[timeline]\nabsence_s = -1", "timeline.absence_s", "from 0"),
        ("[timeline]\nabsence_s = nan", "timeline.absence_s", "a number"),
        ("[timeline]\nabsence_s = '1/0'", "timeline.absence_s", "a number"),
        ("[timeline]\nkeep_empty_gaps = 1", "timeline.keep_empty_gaps", "true or false"),
        ("[text]\ntime_zone = 'Beijing'", "text.time_zone", "Asia/Shanghai"),
        ("[text]\nfonts = '/usr'", "text.fonts", "a list of absolute paths"),
        ("[text]\nfonts = ['fonts']", "text.fonts", "absolute"),
        ("[text]\nfonts = ['/nowhere/fonts']", "text.fonts", "that exist"),
        (f"[text]\nfonts = ['/{'n' * 300}']", "text.fonts", "that exist"),
        (f"[local]\nroots = ['/{'a/' * 3000}']", "local.roots", "that exist"),
        ('[local]\nroots = ["/tmp/\\u0000"]', "local.roots", "that exist"),
        ("[network]\nallow = '10.0.0.0/8'", "network.allow", "a list of networks"),
        ("[network]\nallow = ['10.0.0.1/8']", "network.allow", "a list of networks"),
        ("[network]\nallow = [10]", "network.allow", "a list of networks"),
        ("[callbacks]\nwait_s = -1", "callbacks.wait_s", "from 0"),
        ("[callbacks]\nsecret = 3", "callbacks.secret", "whsec_ and base64"),
        ("[logs]\ndays = 'all'", "logs.days", "found 'all', accepted is a whole number from 1 to 36500"),
        ("[timeline]\nabsence_s = inf", "timeline.absence_s", "found Infinity, accepted is a number from 0 to 3600"),
        ("[limits]\nworker_silence_s = 0.25", "limits.worker_silence_s", "found 0.25, accepted is a number from 1"),
        ("[network]\nallow = ['::1/128', '10.0.0.1/8']", "network.allow", "found ['::1/128', '10.0.0.1/8'], "),
        ("[gpu]\nmemory_mib = true", "gpu.memory_mib", "found true, "),
        ("[gpu]\nmemory_mib = {}", "gpu.memory_mib", "found {}, "),
        ("[disks]\nday = 1", "disks", "no such setting; there are video.x264_preset"),
        ("gpu = 1024", "gpu", "found 1024, accepted is a table with the keys memory_mib"),
        ("[[gpu]]\nmemory_mib = 1024", "gpu", "accepted is a table"),
        ("[video\n", "owt.toml", "not a TOML file"),
        ("[" * 60_000, "owt.toml", "not a TOML file"),
        ("#" * 65_537, "owt.toml", "the settings cannot have more than 65,536 bytes"),
        ("k" * 60_000 + " = 1", "kkk…", "no such setting"),
        ("[images]\ntimeout_s = '1e400'", "images.timeout_s", "found '1e400', accepted is a number"),
        ("[images]\ntimeout_s = 1e-999999999", "images.timeout_s", "accepted is a number"),
        ("[video]\nchunk_s = 1e999999999", "video.chunk_s", "accepted is a number from 2"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(tmp_path: Path, text: str, key: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, text)
    assert key in str(caught.value)
    assert str(tmp_path / "owt.toml") in str(caught.value)
    assert accepted in str(caught.value)


def test_all_wrong_values_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, "[video]\nvp9_cpu_used = 9\n[logs]\ndays = -1\n[text]\nsize = 3\n")
    assert len(caught.value.problems) == 3


def test_folders_with_fonts_are_read(tmp_path: Path) -> None:
    font = tmp_path / "a font.ttf"
    font.write_bytes(b"")
    assert _read(tmp_path, f"[text]\nfonts = ['{tmp_path}', '{font}']\n").text.fonts == (tmp_path, font)
    with pytest.raises(SettingsError, match=r"text\.fonts: found .*folders or font files that exist"):
        _read(tmp_path, f"[text]\nfonts = ['{tmp_path / 'none.ttf'}']\n")


def test_a_folder_that_may_not_be_entered_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked" / "fonts"
    locked.mkdir(parents=True)
    deny(monkeypatch, locked)
    with pytest.raises(SettingsError, match=r"local\.roots: found .*accepted is a list of absolute paths of folders"):
        _read(tmp_path, f"[local]\nroots = ['{locked}']")


def test_settings_that_may_not_be_seen_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, tmp_path / "conf" / "owt.toml")
    assert settings_file({}, tmp_path) == tmp_path / "conf" / "owt.toml"


def deny(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Nobody may see ``path``, not even root."""
    stat = Path.stat

    def denied(asked: Path, **options: bool) -> os.stat_result:
        if asked == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(asked, **options)

    monkeypatch.setattr(Path, "stat", denied)


def test_networks_are_read(tmp_path: Path) -> None:
    settings = _read(tmp_path, "[network]\nallow = ['10.1.0.0/16', 'fd00:1::/32']\n")
    assert list(map(str, settings.network.allow)) == ["10.1.0.0/16", "fd00:1::/32"]
    assert _read(tmp_path, "[network]\nallow = []\n").network.allow == ()


@pytest.mark.parametrize("secret", ["whsec_MDEyMzQ1Njc4OWFi", "MDEyMzQ1Njc4OWFi"])
def test_the_callback_secret_comes_from_the_file_or_the_environment(tmp_path: Path, secret: str) -> None:
    settings = _read(tmp_path, f"[callbacks]\nsecret = '{secret}'\n")
    assert settings.callbacks.signing_key == b"0123456789ab"
    assert "0123456789ab" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    other = {"OWT_CALLBACK_SECRET": "whsec_b3RoZXI="}
    assert read_settings(tmp_path / "owt.toml", other).callbacks.signing_key == b"other"
    assert read_settings(None, other).callbacks.signing_key == b"other"
    assert read_settings(None, {"OWT_CALLBACK_SECRET": ""}).callbacks.signing_key is None


@pytest.mark.parametrize("secret", ["canary!", "whsec_", "whsec_canary", "canary-中文"])
def test_a_callback_secret_that_is_none_is_not_shown(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match=r"callbacks\.secret: accepted is whsec_ and base64") as caught:
        _read(tmp_path, f"[callbacks]\nsecret = '{secret}'\n")
    assert "canary" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"OWT_CALLBACK_SECRET: accepted is whsec_ and base64") as caught:
        read_settings(None, {"OWT_CALLBACK_SECRET": secret})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("callbacks = 'canary'", "callbacks"),
        ("[[callbacks]]\nsecret = 'canary'", "callbacks"),
        ("[callbacks]\nsecret = {canary = 1}", "callbacks.secret"),
        ("[callbacks]\nsecrets = 'canary'", "callbacks.secrets"),
        ("[callbacks]\nsecret = 'whsec_canary", "owt.toml"),
    ],
)
def test_a_callback_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, text)
    assert f"{key}: " in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "[storage]\nown_endpoints = ['https://h.example.com', 'https://user:canary@host']",
        "[storage]\nown_endpoints = ['https://user:ca/canary@host']",
        "[storage]\nown_endpoints = ['https://user:c@canary@host']",
        "[storage]\nown_endpoints = ['https://user:c canary@host']",
        '[storage]\nown_endpoints = ["https://user:c\\ncanary@host"]',
        "[storage]\nown_endpoints = ['user:canary@host']",
        "[storage]\nown_endpoints = 'user:canary@host'",
        "storage = 'https://user:ca/canary@host'",
        "[text]\ntime_zone = 'https://user:ca/canary@host'",
        "[logs]\ndays = 'whsec_canary/+='",
        "[local]\nroots = ['/tmp', 'whsec_canary']",
        "[logs]\nwhsec_canary = 1",
    ],
)
def test_a_password_or_signing_key_in_any_place_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, text)
    assert "***" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().video.chunk_s = Fraction(2)  # type: ignore[misc]
    longer = Settings().with_chunk_s(Fraction(60))
    assert longer == Settings(video=VideoSettings(chunk_s=Fraction(60)))


def test_planning_gets_no_secret_and_no_store() -> None:
    planning = read_settings(None, {"OWT_CALLBACK_SECRET": "whsec_b3RoZXI="}).planning
    assert planning == PlanSettings()
    assert {field.name for field in fields(planning)} == {"video", "timeline", "text", "speakers", "limits"}


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    path = settings_file({"OWT_CONF": str(tmp_path / "missing.toml")})
    with pytest.raises(SettingsError, match=r"missing\.toml.*No such file"):
        read_settings(path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "pipe", "folder", "large", "n" * 300], ids=range(6))
def test_a_named_file_must_be_a_file_of_a_bounded_size(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 10 << 30)
    with pytest.raises(SettingsError, match="the settings cannot"):
        read_settings(tmp_path / name)


def test_settings_are_those_of_the_checkout_or_else_of_the_package(tmp_path: Path) -> None:
    assert settings_file({}) == INSTALLATION / "conf" / "owt.toml"
    assert settings_file({}, tmp_path) == SHIPPED
    own = _checkout(tmp_path) / "conf" / "owt.toml"
    own.write_text("")
    assert settings_file({}, tmp_path) == own


def test_logs_and_work_are_in_the_checkout(tmp_path: Path) -> None:
    assert state_folder(_checkout(tmp_path), {}) == tmp_path
    assert is_checkout(INSTALLATION)


@pytest.mark.parametrize("beside", ["", "conf", "bin"])
def test_nothing_is_written_beside_an_installed_package(tmp_path: Path, beside: str) -> None:
    """Other packages may put a folder of such a name there."""
    packages = tmp_path / "site-packages"
    (packages / beside).mkdir(parents=True)
    assert state_folder(packages, {"HOME": str(tmp_path / "home")}) == tmp_path / "home" / ".local/state/owtmix"
    assert list(packages.iterdir()) == ([packages / beside] if beside else [])


def _checkout(folder: Path) -> Path:
    (folder / "conf").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "owt-main").write_text("")
    return folder


def _read_only(folder: Path) -> Path:
    """A checkout in which no folder can be made, not even by root."""
    _checkout(folder)
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


@pytest.mark.parametrize("value", ["", "rtmp://127.0.0.1/live", "rtmp://[::1]:1936/live-1"])
def test_a_place_of_rtmp_is_an_application(tmp_path: Path, value: str) -> None:
    assert _read(tmp_path, f'[service]\nrtmp = "{value}"\n').service.rtmp == value


@pytest.mark.parametrize(
    "value",
    [
        "live",
        "http://h/live",
        "rtmp://h",
        "rtmp://h/",
        "rtmp://h/a/b",
        "rtmp://u:p@h/live",
        "rtmp://h:0/live",
        "rtmp://h:99999/live",
        "rtmp://h/live?x=y",
        "rtmp:///live",
    ],
)
def test_another_place_of_rtmp_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="application of nginx-rtmp"):
        _read(tmp_path, f'[service]\nrtmp = "{value}"\n')
