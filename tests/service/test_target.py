"""What of a request line counts, sent as bytes: servers and frameworks decode and tidy a path before it is routed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.real_redis import ScriptedRedis

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Process


def asked(port: int, target: bytes, method: bytes = b"GET") -> int:
    """Return the status that a request line with that target is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % (method, target))
        return int(connection.makefile("rb").readline().split()[1])


def test_only_the_root_counts(serve: Callable[..., Process]) -> None:
    """However it is spelled by the rules of RFC 9112, section 3.2; what only decodes to it is another path."""
    root = b"/ /? /?x=1 /?/%2f http://h/ HTTP://h:80/?x=1 https://h/ http://h http://h?x".split()
    other = (
        b"// /// /%2f /%2F%2f /%2f/ /. /./ /; /#x /%20 /%00 /\xff /%ff http://h// http://h/%2f http:/// //h/ * h ftp://h/"
        b" x:/ /%68ealthz //healthz /healthz/ /%72eadyz"
    ).split()
    with ScriptedRedis() as scripted:
        port = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(scripted.port)}).port
        counted = {target: asked(port, target) for target in root}
        refused = {target: asked(port, target) for target in other}
        heads = {target: asked(port, target, b"HEAD") for target in (b"/", b"/%2f")}

        assert len(root) == scripted.incremented
    assert dict.fromkeys(root, 200) == counted
    assert {} == {target: status for target, status in refused.items() if status not in {400, 404}}
    assert {b"/": 200, b"/%2f": 404} == heads
