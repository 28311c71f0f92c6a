"""A real S3 service for tests: OpenStack Swift with its S3 interface, all of it in one process on loopback.

``SwiftServer`` starts this module as a program, which prints its port when it is ready.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

KEY_ID: Final = "mixer:test"
SECRET: Final = "swift-secret"
REGION: Final = "cn-bj"

_SERVERS: Final = ("account", "container", "object")

_SWIFT: Final = """
[swift-hash]
swift_hash_path_suffix = suffix
[storage-policy:0]
name = one
default = yes
[swift-constraints]
"""

_DEFAULT: Final = """
[DEFAULT]
swift_dir = {root}
devices = {root}/devices
recon_cache_path = {root}
mount_check = false
user = {user}
log_level = ERROR
"""

_SERVER: Final = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

_FILTERS: Final = ("catch_errors", "gatekeeper", "listing_formats", "s3api", "tempauth", "bulk", "slo", "dlo")

_PROXY: Final = """
[pipeline:main]
pipeline = {filters} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_{key} = {secret} .admin
[filter:s3api]
use = egg:swift#s3api
location = {region}
s3_acl = false
auth_pipeline_check = false
"""


class SwiftServer:
    """The service, running for as long as the ``with`` block. ``endpoint`` is its address.

    The file system of ``root`` has extended attributes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "ignore", "-m", __name__, str(self._root)]
        with (self._root / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout
        port = self._process.stdout.readline().decode().strip()
        assert port, (self._root / "log").read_text()
        self.port = int(port)
        self.endpoint = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _configure(root: Path, ports: dict[str, int]) -> None:
    """Write every file that Swift reads: one device, one replica, no background daemons."""
    from swift.common.ring import RingBuilder  # type: ignore[import-untyped] # noqa: PLC0415 - after monkey_patch

    default = _DEFAULT.format(root=root, user=os.environ.get("USER", "root"))
    for name in _SERVERS:
        builder = RingBuilder(4, 1, 1)
        where = {"ip": "127.0.0.1", "port": ports[name]}
        where |= {f"replication_{key}": value for key, value in where.items()}
        builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "one", "meta": "", **where})
        builder.rebalance()
        builder.get_ring().save(f"{root}/{name}.ring.gz")
        (root / f"{name}.conf").write_text(default + _SERVER.format(name=name))
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS if f"[filter:{name}]" not in _PROXY
    )
    key = KEY_ID.replace(":", "_")
    proxy = _PROXY.format(filters=" ".join(_FILTERS), key=key, secret=SECRET, region=REGION)
    (root / "proxy.conf").write_text(default + proxy + filters)


def _serve(root: Path) -> None:
    """Serve for ever; prints the port of the S3 interface when that answers."""
    import eventlet  # type: ignore[import-untyped] # noqa: PLC0415 - it patches whatever is imported later

    eventlet.monkey_patch()
    from eventlet import wsgi  # noqa: PLC0415 - as above
    from swift.common import constraints, storage_policy, utils  # type: ignore[import-untyped] # noqa: PLC0415 - as above
    from swift.common.wsgi import loadapp  # type: ignore[import-untyped] # noqa: PLC0415 - as above

    (root / "devices" / "one").mkdir(parents=True)
    (root / "swift.conf").write_text(_SWIFT)
    for module in (utils, utils.config, storage_policy, constraints):
        module.SWIFT_CONF_FILE = str(root / "swift.conf")
    storage_policy.reload_storage_policies()
    sockets: dict[str, Any] = {name: eventlet.listen(("127.0.0.1", 0)) for name in (*_SERVERS, "proxy")}
    ports = {name: socket.getsockname()[1] for name, socket in sockets.items()}
    _configure(root, ports)
    for name in _SERVERS:
        eventlet.spawn(wsgi.server, sockets[name], loadapp(f"{root}/{name}.conf"), log_output=False)
    app = loadapp(f"{root}/proxy.conf")
    sys.stdout.write(f"{ports['proxy']}\n")
    sys.stdout.flush()
    wsgi.server(sockets["proxy"], app, log_output=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
