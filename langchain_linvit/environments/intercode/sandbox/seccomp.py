"""A seccomp filter for the sandbox: system calls that no shell task needs, and that limits don't reach.

Memory in System V segments and in memory files belongs to no process that could be measured; io_uring, bpf,
perf, userfaultfd and keyrings are large attack surfaces of the kernel. They fail with "not permitted".
"""

from __future__ import annotations

import errno
import platform
import struct

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4

_X86_64 = {
    "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64, "ptrace": 101, "quotactl": 179, "add_key": 248,
    "request_key": 249, "keyctl": 250, "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319, "bpf": 321, "userfaultfd": 323,
    "mq_open": 240, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "memfd_secret": 447,
}  # fmt: skip
_AARCH64 = {
    "shmget": 194, "shmat": 196, "msgget": 186, "semget": 190, "ptrace": 117, "quotactl": 60, "add_key": 217,
    "request_key": 218, "keyctl": 219, "perf_event_open": 241, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "process_vm_readv": 270, "process_vm_writev": 271, "memfd_create": 279, "bpf": 280, "userfaultfd": 282,
    "mq_open": 180, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "memfd_secret": 447,
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
_X32_BIT = 0x40000000
"""Set in the numbers of x86-64's 32-bit variants, which would go round the list."""


def seccomp_program(machine: str | None = None) -> bytes | None:
    """The filter as the kernel takes it (classic BPF); None for a processor that isn't known here."""
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, calls = known
    denied = sorted(calls.values())
    lines = [
        (_LOAD | 0, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD | 0, 0, 0, _NUMBER_OFFSET),
        (_JUMP_GREATER, len(denied) + 1, 0, _X32_BIT),
        *((_JUMP_EQUAL, len(denied) - index, 0, number) for index, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)
