"""The key that a store asks for: from the job file, the environment, or the files that S3 tools share.

Nothing is ever asked over the network: no instance metadata, no single sign-on, no helper processes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from botocore.credentials import (  # type: ignore[import-untyped]  # botocore has no types
    ConfigProvider,
    SharedCredentialProvider,
)
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from owtmix.errors import Problem, SpecError
from owtmix.spec.job import StorageSpec

_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_UCLOUD: Final = ("UCLOUD_PUBLIC_KEY", "UCLOUD_PRIVATE_KEY", "UCLOUD_SECURITY_TOKEN")
"""As the vendor's own tools call them."""

_NAMES: Final = {"ucloud": (_UCLOUD, _AWS), "s3": (_AWS,)}
"""The variables in which a vendor's key id, secret and session token are looked for, first match first."""

_VALUE: Final = re.compile("[!-~]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key, kept out of every repr. ``source`` says where it was found."""

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    source: str


def find_credentials(spec: StorageSpec, at: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """The key for a store of vendor ``ucloud`` or ``s3``.

    Looked for in this order, always the whole key at one place:

    1. ``PublicKey`` and ``SecretKey`` of the job file;
    2. for ``ucloud``: ``UCLOUD_PUBLIC_KEY``, ``UCLOUD_PRIVATE_KEY`` and, where there is one, ``UCLOUD_SECURITY_TOKEN``;
    3. ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and, where there is one, ``AWS_SESSION_TOKEN``;
    4. ``~/.aws/credentials``, then ``~/.aws/config``, or the files that ``AWS_SHARED_CREDENTIALS_FILE`` and
       ``AWS_CONFIG_FILE`` name; the profile is ``AWS_PROFILE``, else ``default``.

    Args:
        spec: The store.
        at: The JSON path of its ``StorageConfig``, for messages.
        environment: The environment's variables.

    Raises:
        SpecError: There is none, or only half of one, or it holds characters that no key has.
    """
    found = _in_job(spec, at)
    for names in _NAMES.get(spec.vendor, ()):
        found = found or _in_environment(names, environment)
    found = found or _in_files(environment)
    if found is None:
        id_name, secret_name, _ = _NAMES[spec.vendor][0]
        raise SpecError(
            Problem(
                f"{at}.PublicKey",
                f"there is no key for the store: write PublicKey and SecretKey, or set {id_name} and {secret_name}, "
                "or write them into ~/.aws/credentials",
            )
        )
    if not all(map(_VALUE.fullmatch, (found.key_id, found.secret_key, found.session_token or "none"))):
        raise SpecError(
            Problem(f"{at}.PublicKey", f"the key in {found.source} holds a blank or another character that no key has")
        )
    return found


def _in_job(spec: StorageSpec, at: str) -> Credentials | None:
    if spec.public_key and spec.secret_key:
        return Credentials(spec.public_key, spec.secret_key, None, "the job file")
    if spec.public_key or spec.secret_key:
        given, missing = ("PublicKey", "SecretKey") if spec.public_key else ("SecretKey", "PublicKey")
        raise SpecError(Problem(f"{at}.{missing}", f"is missing beside {given}: write both, or none of them"))
    return None


def _in_environment(names: tuple[str, str, str], environment: Mapping[str, str]) -> Credentials | None:
    key_id, secret_key, session_token = (environment.get(name) for name in names)
    if key_id and secret_key:
        return Credentials(key_id, secret_key, session_token or None, "the environment")
    if key_id or secret_key:
        given, missing = names[:2] if key_id else names[1::-1]
        raise SpecError(Problem("", f"{given} is set in the environment and {missing} is not: set both, or none"))
    return None


def _in_files(environment: Mapping[str, str]) -> Credentials | None:
    named = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    profile = named or "default"
    credentials_file = environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config_file = environment.get("AWS_CONFIG_FILE") or "~/.aws/config"
    for file, provider in (
        (credentials_file, SharedCredentialProvider(credentials_file, profile)),
        (config_file, ConfigProvider(config_file, profile)),
    ):
        try:
            found = provider.load()
        except BotoCoreError:
            found, broken = None, True
        else:
            broken = False
        if broken:  # raised out here: the error's context could quote the file
            raise SpecError(Problem("", f"{file} is damaged, or has half a key for the profile {profile}: correct it"))
        if found is not None:
            return Credentials(found.access_key, found.secret_key, found.token or None, file)
    if named:
        raise SpecError(
            Problem("", f"AWS_PROFILE is {named}, which has no key in {credentials_file} and {config_file}: add it")
        )
    return None
