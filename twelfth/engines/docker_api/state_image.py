"""The image of the containers that store a stack's state and hold its lock: one static program of 200 bytes.

It must exist before the first build and without a registry, and no image of the stack needs to have a shell or `cat`.
So it is made here and imported. The program reads its input until that is closed, and exits.
"""

from __future__ import annotations

import io
import struct
import tarfile
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import images
from twelfth.errors import EngineError

if TYPE_CHECKING:
    import docker

REPOSITORY, TAG = "twelfth-state", "1"
IMAGE = f"{REPOSITORY}:{TAG}"
WAIT = "/wait"
"""The path of the program in the image."""

_X86_64 = (
    "31c0"  # again: xor eax, eax    read(
    "31ff"  # xor edi, edi           stdin,
    "4889e6"  # mov rsi, rsp         the stack,
    "ba40000000"  # mov edx, 64      64)
    "0f05"  # syscall
    "4885c0"  # test rax, rax
    "7fee"  # jg again               until there is no more
    "b83c000000"  # mov eax, 60      exit(
    "31ff"  # xor edi, edi           0)
    "0f05"  # syscall
)
_AARCH64 = (
    "000080d2"  # again: mov x0, 0   read(stdin,
    "e1030091"  # mov x1, sp         the stack,
    "020880d2"  # mov x2, 64         64)
    "e80780d2"  # mov x8, 63
    "010000d4"  # svc 0
    "1f0000f1"  # cmp x0, 0
    "4cffff54"  # b.gt again         until there is no more
    "000080d2"  # mov x0, 0          exit(0)
    "a80b80d2"  # mov x8, 93
    "010000d4"  # svc 0
)
CODE = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}
"""The number of each machine in the ELF header, and its code."""

_LOADED_AT = 0x400000
_HEADERS = 64 + 56


def program(machine: str) -> bytes:
    """Return the program for a machine as `uname -m` names it: an ELF file with one segment."""
    number, code = CODE[machine][0], bytes.fromhex(CODE[machine][1])
    start, size = _LOADED_AT + _HEADERS, _HEADERS + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOADED_AT, _LOADED_AT, size, size, 0x1000)
    return identity + header + segment + code


def ensure(api: docker.APIClient) -> str:
    """Import the image if the daemon does not have it, and return its name; raises the errors of the SDK."""
    if images.inspect(api, IMAGE) is None:
        machine = api.info()["Architecture"]
        if machine not in CODE:
            raise EngineError(f"the daemon runs on {machine}; the state of a stack can be stored on {', '.join(CODE)}")
        _import(api, program(machine))
    return IMAGE


def _import(api: docker.APIClient, content: bytes) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(WAIT.lstrip("/"))
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    api.import_image_from_data(archive.getvalue(), REPOSITORY, TAG)
