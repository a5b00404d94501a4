"""The image of the containers that store a stack's state and hold its lock: two static programs of 200 bytes.

It must exist before the first build and without a registry, and no image of the stack needs to have a shell or `cat`.
So it is made here and imported. One program reads its input until that is closed. The other one copies files and keeps
their inodes, which the archive API of a daemon replaces: a container that mounts a file sees the new content.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import images
from twelfth.engines.docker_api.file_archive import File, pack
from twelfth.errors import EngineError

if TYPE_CHECKING:
    import docker

REPOSITORY, TAG = "twelfth-state", "2"
IMAGE = f"{REPOSITORY}:{TAG}"
WAIT = "/wait"
"""The path of the program that waits for the end of its input."""

COPY = "/copy"
"""The path of the program that copies files: its arguments are a source and a target, for any number of files."""

_WAIT_X86_64 = (
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
_WAIT_AARCH64 = (
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
_COPY_X86_64 = (
    "5858"  # pop rax; pop rax                      the number of arguments, the program
    "5f4885ff7451"  # next: pop rdi; test rdi, rdi; jz done
    "31f6b802000000"  # xor esi, esi; mov eax, 2    open(source, O_RDONLY)
    "0f0585c0783d89c3"  # syscall; test eax, eax; js fail; mov ebx, eax
    "5fbe01020000b802000000"  # pop rdi; mov esi, 0x201; mov eax, 2    open(target, O_WRONLY | O_TRUNC)
    "0f0585c0782a89c5"  # syscall; test eax, eax; js fail; mov ebp, eax
    "89df488db42400f0ffff"  # again: mov edi, ebx; lea rsi, [rsp - 0x1000]
    "ba0010000031c0"  # mov edx, 0x1000; xor eax, eax    read(source, below the stack, 4096)
    "0f0585c0781174bf"  # syscall; test eax, eax; js fail; jz next
    "89c289efb801000000"  # mov edx, eax; mov edi, ebp; mov eax, 1    write(target, the same, as many)
    "0f0539d074d8"  # syscall; cmp eax, edx; je again
    "bf01000000eb02"  # fail: mov edi, 1; jmp exit
    "31ff"  # done: xor edi, edi
    "b83c0000000f05"  # exit: mov eax, 60; syscall
)
_COPY_AARCH64 = (
    "f3430091"  # add x19, sp, 16                  skip the number of arguments and the program
    "618640f8810300b4"  # next: ldr x1, [x19], 8; cbz x1, done
    "020080d2600c8092080780d2"  # mov x2, 0; mov x0, -100; mov x8, 56    openat(AT_FDCWD, source, O_RDONLY)
    "010000d4a002f8b7f40300aa"  # svc 0; tbnz x0, 63, fail; mov x20, x0
    "618640f8224080d2600c8092"  # ldr x1, [x19], 8; mov x2, 0x201; mov x0, -100    the target, O_WRONLY | O_TRUNC
    "010000d4e001f8b7f50300aa"  # svc 0; tbnz x0, 63, fail; mov x21, x0
    "e00314aae10740d1020082d2"  # again: mov x0, x20; sub x1, sp, 0x1000; mov x2, 0x1000
    "e80780d2010000d4"  # mov x8, 63; svc 0        read(source, below the stack, 4096)
    "0001f8b780fdffb4"  # tbnz x0, 63, fail; cbz x0, next
    "e20300aae00315aa080880d2"  # mov x2, x0; mov x0, x21; mov x8, 64    write(target, the same, as many)
    "010000d41f0002eb80feff54"  # svc 0; cmp x0, x2; b.eq again
    "200080d202000014"  # fail: mov x0, 1; b exit
    "000080d2"  # done: mov x0, 0
    "a80b80d2010000d4"  # exit: mov x8, 93; svc 0
)
CODE = {
    "x86_64": {WAIT: _WAIT_X86_64, COPY: _COPY_X86_64},
    "aarch64": {WAIT: _WAIT_AARCH64, COPY: _COPY_AARCH64},
}
"""The code of each program, by machine as `uname -m` names it."""

_NUMBERS = {"x86_64": 62, "aarch64": 183}
"""The number of each machine in the ELF header."""

_LOADED_AT = 0x400000
_HEADERS = 64 + 56


def program(machine: str, path: str) -> bytes:
    """Return a program for a machine: an ELF file with one segment."""
    code = bytes.fromhex(CODE[machine][path])
    start, size = _LOADED_AT + _HEADERS, _HEADERS + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, _NUMBERS[machine], 1, start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOADED_AT, _LOADED_AT, size, size, 0x1000)
    return identity + header + segment + code


def ensure(api: docker.APIClient) -> str:
    """Import the image if the daemon does not have it, and return its name; raises the errors of the SDK."""
    if images.inspect(api, IMAGE) is None:
        machine = api.info()["Architecture"]
        if machine not in CODE:
            raise EngineError(f"the daemon runs on {machine}; the state of a stack can be stored on {', '.join(CODE)}")
        programs = {path.lstrip("/"): File(program(machine, path), mode=0o755) for path in CODE[machine]}
        api.import_image_from_data(pack(programs), REPOSITORY, TAG)
    return IMAGE
