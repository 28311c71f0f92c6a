"""Where the key of a store comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.errors import SpecError
from owtmix.spec.job import StorageSpec
from owtmix.storage.s3.credentials import Credentials, find_credentials
from tests.storage.conftest import AT

AWS = {"AWS_ACCESS_KEY_ID": "aws-id", "AWS_SECRET_ACCESS_KEY": "aws-secret"}
UCLOUD = {"UCLOUD_PUBLIC_KEY": "ucloud-id", "UCLOUD_PRIVATE_KEY": "ucloud-secret"}

FILE = """
[default]
aws_access_key_id = file-id
aws_secret_access_key = file-secret

[work]
aws_access_key_id = work-id
aws_secret_access_key = work-secret
aws_session_token = work-token
"""

S3 = StorageSpec("s3", "room", None, "https://s3.example.com", None, None)
CLOUD = StorageSpec("ucloud", "room", "cn-bj", None, None, None)
WITH_KEY = StorageSpec("s3", "room", None, "https://s3.example.com", "job-id", "job-secret")


@pytest.fixture
def write_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Writes a file into ``~/.aws`` of a user who has none otherwise."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(name: str, text: str) -> None:
        folder = tmp_path / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return write


def test_the_job_file_comes_first(write_file: Callable[[str, str], None]) -> None:
    write_file("credentials", FILE)
    assert find_credentials(WITH_KEY, AT, AWS) == Credentials("job-id", "job-secret", None, "the job file")


def test_then_the_environment(write_file: Callable[[str, str], None]) -> None:
    write_file("credentials", FILE)
    token = {"AWS_SESSION_TOKEN": "aws-token"}
    assert find_credentials(S3, AT, AWS) == Credentials("aws-id", "aws-secret", None, "the environment")
    assert find_credentials(S3, AT, AWS | token).session_token == "aws-token"


def test_ucloud_has_names_of_its_own_and_they_are_for_nobody_else() -> None:
    assert find_credentials(CLOUD, AT, AWS | UCLOUD).key_id == "ucloud-id"
    assert find_credentials(CLOUD, AT, AWS).key_id == "aws-id"
    assert find_credentials(S3, AT, AWS | UCLOUD).key_id == "aws-id"


def test_then_the_files_of_s3_tools(write_file: Callable[[str, str], None]) -> None:
    write_file("credentials", FILE)
    assert find_credentials(S3, AT, {}) == Credentials("file-id", "file-secret", None, "~/.aws/credentials")
    work = Credentials("work-id", "work-secret", "work-token", "~/.aws/credentials")
    assert find_credentials(S3, AT, {"AWS_PROFILE": "work"}) == work


def test_the_other_file_of_s3_tools(write_file: Callable[[str, str], None]) -> None:
    write_file("config", FILE.replace("[work]", "[profile work]"))
    assert find_credentials(S3, AT, {}).key_id == "file-id"
    assert find_credentials(S3, AT, {"AWS_PROFILE": "work"}).key_id == "work-id"


def test_files_elsewhere(write_file: Callable[[str, str], None], tmp_path: Path) -> None:
    write_file("credentials", FILE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(FILE.replace("file-id", "elsewhere-id"))
    assert find_credentials(S3, AT, {"AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)}).key_id == "elsewhere-id"


@pytest.mark.usefixtures("write_file")
@pytest.mark.parametrize(("spec", "names"), [(S3, "AWS_ACCESS_KEY_ID"), (CLOUD, "UCLOUD_PUBLIC_KEY")])
def test_no_key_anywhere(spec: StorageSpec, names: str) -> None:
    with pytest.raises(SpecError, match=rf"PublicKey: there is no key for the store: write .* or set {names} and"):
        find_credentials(spec, AT, {})


def test_half_a_key_is_an_error_wherever_it_is(write_file: Callable[[str, str], None]) -> None:
    only_id = StorageSpec("s3", "room", None, None, "canary", None)
    with pytest.raises(SpecError, match=r"SecretKey: is missing beside PublicKey: write both") as in_job:
        find_credentials(only_id, AT, AWS)
    with pytest.raises(
        SpecError, match=r"AWS_SECRET_ACCESS_KEY is set .* and AWS_ACCESS_KEY_ID is not"
    ) as in_variables:
        find_credentials(S3, AT, {"AWS_SECRET_ACCESS_KEY": "canary"})
    write_file("credentials", "[default]\naws_access_key_id = canary\n")
    with pytest.raises(SpecError, match="credentials is damaged, or has half a key for the profile default") as in_file:
        find_credentials(S3, AT, {})
    for caught in (in_job, in_variables, in_file):
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_damaged_file(write_file: Callable[[str, str], None]) -> None:
    write_file("credentials", "canary")
    with pytest.raises(SpecError, match=r"~/\.aws/credentials is damaged") as caught:
        find_credentials(S3, AT, {})
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_profile_that_no_file_has(write_file: Callable[[str, str], None]) -> None:
    write_file("credentials", FILE)
    with pytest.raises(SpecError, match="AWS_PROFILE is home, which has no key in"):
        find_credentials(S3, AT, {"AWS_PROFILE": "home"})


@pytest.mark.parametrize("value", ["can ary", "canary\n", "cänary", "canary\r\nX-Header: 1"])
@pytest.mark.parametrize("field", ["key_id", "secret_key"])
def test_a_key_with_characters_that_no_key_has(field: str, value: str) -> None:
    key_id, secret_key = (value, "secret") if field == "key_id" else ("id", value)
    with pytest.raises(SpecError, match="the key in the job file holds a blank or another character") as caught:
        find_credentials(StorageSpec("s3", "room", None, None, key_id, secret_key), AT, {})
    assert "nary" not in str(caught.value)
