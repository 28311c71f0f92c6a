"""Open boto3 sessions that no environment variable and no file of the AWS tools configures."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, Final

import boto3.session  # type: ignore[import-untyped]  # boto3 has no types
import botocore.session  # type: ignore[import-untyped]  # botocore has no types
from botocore.credentials import CredentialResolver  # type: ignore[import-untyped]

_ISOLATED: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "csm_enabled": (None, None, False, None),  # client-side monitoring sends the key id to another host
}
"""Session variables: name in the configuration file, environment variable, default, conversion."""


def open_session(credential_providers: Sequence[Any] = ()) -> Any:
    """Return a new ``boto3.session.Session``.

    The session does not read ``~/.aws``. Its credential chain is ``credential_providers`` and nothing else: boto3's own
    chain also asks for credentials over the network and runs processes (instance metadata, single sign-on, assumed
    roles, ``credential_process``).

    Args:
        credential_providers: Providers of ``botocore.credentials``, tried in this order by ``get_credentials()``.
    """
    mute_library_logs()
    core = botocore.session.Session(session_vars=_ISOLATED)
    core.register_component("credential_provider", CredentialResolver(list(credential_providers)))
    return boto3.session.Session(botocore_session=core)


def mute_library_logs() -> None:
    """Log only warnings of boto3 and of what it uses: their debug messages contain session tokens and signatures."""
    for library in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)
