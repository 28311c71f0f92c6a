"""Where the key of a store comes from."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from owtmix.base.errors import SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.credentials import find_credentials as find_at
from owtmix.storage.s3.endpoint import find_endpoint
from owtmix.storage.s3.options import S3Options
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

Environ = Callable[[Mapping[str, str]], None]
WriteFile = Callable[[str, str], None]

OWN = S3Options(own_endpoints=("https://s3.example.com",))
"""Settings in which the operator names the service of ``S3``."""

KEY_VARIABLES = ("AWS_", "UCLOUD_")


def find_credentials(spec: StorageSpec, at: str, options: S3Options = OWN) -> Credentials:
    return find_at(spec, find_endpoint(spec, options, at), at)


@pytest.fixture(autouse=True)
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environ:
    """Sets environment variables, for a user who has no others of the kind and no ``~/.aws``."""
    for name in os.environ:
        if name.startswith(KEY_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def set_all(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Writes a file into ``~/.aws``."""

    def write(name: str, text: str) -> None:
        folder = tmp_path / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return write


def test_the_job_file_comes_first(environ: Environ, write_file: WriteFile) -> None:
    write_file("credentials", FILE)
    environ(AWS)
    assert find_credentials(WITH_KEY, AT) == Credentials("job-id", "job-secret", None, "the job file")


def test_then_the_environment(environ: Environ, write_file: WriteFile) -> None:
    write_file("credentials", FILE)
    environ(AWS)
    assert find_credentials(S3, AT) == Credentials("aws-id", "aws-secret", None, "the environment")
    environ({"AWS_SESSION_TOKEN": "aws-token"})
    assert find_credentials(S3, AT).session_token == "aws-token"


def test_ucloud_has_names_of_its_own_and_they_are_for_nobody_else(environ: Environ) -> None:
    environ(AWS)
    assert find_credentials(CLOUD, AT).key_id == "aws-id"
    environ(UCLOUD | {"UCLOUD_SECURITY_TOKEN": "ucloud-token"})
    assert find_credentials(CLOUD, AT) == Credentials("ucloud-id", "ucloud-secret", "ucloud-token", "the environment")
    assert find_credentials(S3, AT).key_id == "aws-id"


@pytest.mark.parametrize("damage", [{"AWS_PROFILE": "nobody"}, {}], ids=["profile", "file"])
def test_a_key_of_the_environment_needs_no_file(
    environ: Environ, write_file: WriteFile, damage: dict[str, str]
) -> None:
    write_file("config", "canary")
    environ(AWS | UCLOUD | damage)
    assert find_credentials(S3, AT).key_id == "aws-id"
    assert find_credentials(CLOUD, AT).key_id == "ucloud-id"


def test_then_the_files_of_s3_tools(environ: Environ, write_file: WriteFile) -> None:
    write_file("credentials", FILE)
    assert find_credentials(S3, AT) == Credentials("file-id", "file-secret", None, "~/.aws/credentials")
    environ({"AWS_PROFILE": "work"})
    assert find_credentials(S3, AT) == Credentials("work-id", "work-secret", "work-token", "~/.aws/credentials")


def test_the_other_file_of_s3_tools(environ: Environ, write_file: WriteFile) -> None:
    write_file("config", FILE.replace("[work]", "[profile work]"))
    assert find_credentials(S3, AT) == Credentials("file-id", "file-secret", None, "~/.aws/config")
    environ({"AWS_PROFILE": "work"})
    assert find_credentials(S3, AT).key_id == "work-id"


def test_files_elsewhere(environ: Environ, write_file: WriteFile, tmp_path: Path) -> None:
    write_file("credentials", FILE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(FILE.replace("file-id", "elsewhere-id"))
    environ({"AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)})
    assert find_credentials(S3, AT).key_id == "elsewhere-id"


@pytest.mark.parametrize(("spec", "names"), [(S3, "AWS_ACCESS_KEY_ID"), (CLOUD, "UCLOUD_PUBLIC_KEY")])
def test_no_key_anywhere(spec: StorageSpec, names: str) -> None:
    with pytest.raises(SpecError, match=rf"PublicKey: there is no key for the store: write .* or set {names} and"):
        find_credentials(spec, AT)


def test_half_a_key_in_the_job_file() -> None:
    only_id = StorageSpec("s3", "room", None, "https://s3.example.com", "canary", None)
    with pytest.raises(SpecError, match=r"SecretKey: is missing beside PublicKey: write both") as caught:
        find_credentials(only_id, AT)
    assert_silent(caught.value)


@pytest.mark.parametrize(
    ("spec", "given", "missing"),
    [
        (S3, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        (S3, "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        (CLOUD, "UCLOUD_PUBLIC_KEY", "UCLOUD_PRIVATE_KEY"),
        (CLOUD, "UCLOUD_PRIVATE_KEY", "UCLOUD_PUBLIC_KEY"),
    ],
)
def test_half_a_key_in_the_environment(environ: Environ, spec: StorageSpec, given: str, missing: str) -> None:
    environ({given: "canary"})
    with pytest.raises(SpecError, match=rf"{given} is set .* and {missing} is not") as caught:
        find_credentials(spec, AT)
    assert_silent(caught.value)


@pytest.mark.parametrize("name", ["credentials", "config"])
@pytest.mark.parametrize(
    "text", ["canary", "[default]\naws_access_key_id = canary\n", "[default]\naws_access_key_id\n = canary\n  canary"]
)
def test_a_file_that_is_damaged_or_has_half_a_key(write_file: WriteFile, name: str, text: str) -> None:
    write_file(name, text)
    expected = rf"~/\.aws/{name} is damaged, or has half a key for the profile default: correct it"
    with pytest.raises(SpecError, match=expected) as caught:
        find_credentials(S3, AT)
    assert_silent(caught.value)


def test_a_profile_that_no_file_has(environ: Environ, write_file: WriteFile) -> None:
    write_file("credentials", FILE)
    environ({"AWS_PROFILE": "home"})
    with pytest.raises(SpecError, match="AWS_PROFILE is home, which has no key in"):
        find_credentials(S3, AT)


@pytest.mark.parametrize("time", ["2020-01-01T00:00:00Z", "canary"])
def test_a_key_that_has_expired(environ: Environ, time: str) -> None:
    environ(AWS | {"AWS_CREDENTIAL_EXPIRATION": time})
    with pytest.raises(SpecError, match=r"AWS_CREDENTIAL_EXPIRATION says that the key .* has expired") as caught:
        find_credentials(S3, AT)
    assert_silent(caught.value)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[object]]]:
    """The URL of a server, and the connections to it."""
    connections: list[object] = []

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, address = server.accept()
                connections.append(address)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=accept, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", connections
        server.shutdown(socket.SHUT_RDWR)


REMOTE = {
    "process": "credential_process = touch {marker}",
    "role": "role_arn = arn:aws:iam::1:role/x\nsource_profile = other",
    "role of the machine": "role_arn = arn:aws:iam::1:role/x\ncredential_source = Ec2InstanceMetadata",
    "web identity": "role_arn = arn:aws:iam::1:role/x\nweb_identity_token_file = {marker}",
    "single sign-on": "sso_start_url = {url}\nsso_region = x\nsso_account_id = 1\nsso_role_name = x",
    "login": "login_session = arn:aws:iam::1:user/x",
    "nothing": "",
}
"""What a profile may say of a key that is not in it."""


@pytest.mark.parametrize("name", REMOTE)
def test_no_process_and_no_request_for_a_key(
    name: str, environ: Environ, write_file: WriteFile, listener: tuple[str, list[object]], tmp_path: Path
) -> None:
    url, connections = listener
    marker = tmp_path / "marker"
    profile = REMOTE[name].format(marker=marker, url=url)
    other = "[profile other]\naws_access_key_id = other-id\naws_secret_access_key = other-secret\n"
    write_file("config", f"[default]\nregion = x\n{profile}\n{other}")
    environ(
        {
            "AWS_ENDPOINT_URL": url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / ".aws" / "config"),
        }
    )
    with pytest.raises(SpecError, match="there is no key for the store"):
        find_credentials(S3, AT)
    assert not marker.exists()
    assert not connections


@pytest.mark.parametrize("value", ["can ary", "canary\n", "cänary", "canary\r\nX-Header: 1"])
@pytest.mark.parametrize("field", ["key_id", "secret_key"])
def test_a_key_with_characters_that_no_key_has(field: str, value: str) -> None:
    key_id, secret_key = (value, "secret") if field == "key_id" else ("id", value)
    with pytest.raises(SpecError, match="the key in the job file holds a blank or another character") as caught:
        find_credentials(StorageSpec("s3", "room", None, "https://s3.example.com", key_id, secret_key), AT)
    assert "nary" not in str(caught.value)


def assert_silent(error: SpecError) -> None:
    """Neither the message nor the context of an error quotes what was found."""
    assert "canary" not in str(error)
    assert error.__context__ is None
