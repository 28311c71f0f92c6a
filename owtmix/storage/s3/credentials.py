"""Find the access key of a store: in the job file, in the environment, or in the files of the AWS tools.

The environment and the files are read by boto3's own credential providers. Only providers that read local data are
used: no credentials are requested over the network, and no process is started.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Final

from botocore.credentials import (  # type: ignore[import-untyped]  # botocore has no types
    ConfigProvider,
    EnvProvider,
    SharedCredentialProvider,
)
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from owtmix.base.errors import Problem, SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3.endpoint import Endpoint
from owtmix.storage.s3.session import open_session

_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_UCLOUD: Final = ("UCLOUD_PUBLIC_KEY", "UCLOUD_PRIVATE_KEY")
_UCLOUD_TOKEN: Final = "UCLOUD_SECURITY_TOKEN"  # noqa: S105 - the name of the variable
"""The names that the vendor's own tools use."""

_KEY_CHARACTERS: Final = re.compile("[!-~]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. The values are left out of ``repr``; ``source`` says where the key was found, for messages."""

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    source: str


def find_credentials(spec: StorageSpec, endpoint: Endpoint, at: str) -> Credentials:
    """Return the access key for a store of vendor ``ucloud`` or ``s3``.

    The first source that has a key is used:

    1. ``PublicKey`` and ``SecretKey`` of the job file;
    2. for ``ucloud``: ``UCLOUD_PUBLIC_KEY``, ``UCLOUD_PRIVATE_KEY`` and optionally ``UCLOUD_SECURITY_TOKEN``;
    3. ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and optionally ``AWS_SESSION_TOKEN``;
    4. ``~/.aws/credentials``, then ``~/.aws/config``, or the files named by ``AWS_SHARED_CREDENTIALS_FILE`` and
       ``AWS_CONFIG_FILE``, with the profile ``AWS_PROFILE``, else ``default``.

    Sources 2 to 4 are the operator's. They are used only where the settings name the service, or where it is a vendor's
    own: a job file must not have their keys, and with them a session token, sent elsewhere. Source 2 is not for AWS.

    Sources 3 and 4 are boto3's credential chain without the providers that use the network or start processes. The key
    is read once; it is not refreshed.

    Args:
        spec: The store.
        endpoint: Its service.
        at: The JSON path of its ``StorageConfig``, for messages.

    Raises:
        SpecError: There is no key, or a source has an incomplete, damaged or expired one, or the key contains
            characters that no key has. No message quotes a value or the content of a file.
    """
    found = _from_job(spec, at)
    if found is None and not (endpoint.is_own or endpoint.vendor):
        raise SpecError(
            Problem(
                f"{at}.PublicKey",
                f"write PublicKey and SecretKey for {endpoint.url}: keys of the environment and of ~/.aws are used "
                "only for UFile's and AWS's own addresses, by https, and for [storage] own_endpoints in conf/owt.toml",
            )
        )
    if found is None and spec.vendor == "ucloud" and endpoint.vendor != "aws":
        found = _from_ucloud_variables()
    found = found or _from_boto3()
    if found is None:
        id_name, secret_name = _UCLOUD if spec.vendor == "ucloud" else _AWS
        raise SpecError(
            Problem(
                f"{at}.PublicKey",
                f"there is no key for the store: write PublicKey and SecretKey, or set {id_name} and {secret_name}, "
                "or write them into ~/.aws/credentials",
            )
        )
    if not all(map(_KEY_CHARACTERS.fullmatch, (found.key_id, found.secret_key, found.session_token or "none"))):
        raise SpecError(
            Problem(f"{at}.PublicKey", f"the key in {found.source} holds a blank or another character that no key has")
        )
    return found


def _from_job(spec: StorageSpec, at: str) -> Credentials | None:
    if spec.public_key and spec.secret_key:
        return Credentials(spec.public_key, spec.secret_key, None, "the job file")
    if spec.public_key or spec.secret_key:
        given, missing = ("PublicKey", "SecretKey") if spec.public_key else ("SecretKey", "PublicKey")
        raise SpecError(Problem(f"{at}.{missing}", f"is missing beside {given}: write both, or none of them"))
    return None


def _from_ucloud_variables() -> Credentials | None:
    _check_pair(*_UCLOUD)
    key_id, secret_key = (os.environ.get(name) for name in _UCLOUD)
    if key_id and secret_key:
        return Credentials(key_id, secret_key, os.environ.get(_UCLOUD_TOKEN) or None, "the environment")
    return None


def _check_pair(id_name: str, secret_name: str) -> None:
    """Raise ``SpecError`` when one of two environment variables is set and the other is not.

    boto3 ignores a secret without a key id.
    """
    has_id, has_secret = bool(os.environ.get(id_name)), bool(os.environ.get(secret_name))
    if has_id != has_secret:
        given, missing = (id_name, secret_name) if has_id else (secret_name, id_name)
        raise SpecError(Problem("", f"{given} is set in the environment and {missing} is not: set both, or none"))


def _from_boto3() -> Credentials | None:
    """Return what boto3's local credential providers find."""
    _check_pair(*_AWS)
    named_profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    profile = named_profile or "default"
    credentials_file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config_file = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    session = open_session(
        [EnvProvider(), SharedCredentialProvider(credentials_file, profile), ConfigProvider(config_file, profile)]
    )
    key, method, problem = None, "", ""
    try:
        if found := session.get_credentials():
            key, method = found.get_frozen_credentials(), found.method
    except BotoCoreError as error:
        file = config_file if _is_about(error, config_file) else credentials_file
        problem = f"{file} is damaged, or has half a key for the profile {profile}: correct it"
    except (OverflowError, RuntimeError, ValueError):  # an expiry time that is past, or is not a time
        problem = "AWS_CREDENTIAL_EXPIRATION says that the key in the environment has expired: set a new key"
    if problem:  # raised outside of the handlers: the context of the error could quote the file
        raise SpecError(Problem("", problem))
    if key is not None:
        sources = {SharedCredentialProvider.METHOD: credentials_file, ConfigProvider.METHOD: config_file}
        return Credentials(key.access_key, key.secret_key, key.token or None, sources.get(method, "the environment"))
    if named_profile:
        message = f"AWS_PROFILE is {named_profile}, which has no key in {credentials_file} and {config_file}: add it"
        raise SpecError(Problem("", message))
    return None


def _is_about(error: BotoCoreError, file: str) -> bool:
    """Whether a provider failed because of ``file``, which is the configuration file."""
    path = os.path.expanduser(os.path.expandvars(file))  # noqa: PTH111 - as botocore does it
    return bool(error.kwargs.get("provider") == ConfigProvider.METHOD or error.kwargs.get("path") == path)
