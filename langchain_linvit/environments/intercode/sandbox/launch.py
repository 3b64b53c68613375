"""Running one command in namespaces of its own, and stopping it at its limits.

The chain, each step dropping what the next doesn't need: an unprivileged user (`setpriv`, where this
program is root), a user and mount namespace (`unshare`) for the overlay mount, resource limits
(`prlimit`), then `bwrap`: new user, process, network, ipc and host name namespaces, no capabilities but
those over its own files, no further namespaces, a seccomp filter, an empty environment, and the file
system of the tree with the host's /usr for reading. The command is process 1: nothing it starts outlives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from langchain_linvit.environments.intercode.sandbox.errors import SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.limits import Completed, LimitBroken, SandboxLimits
from langchain_linvit.environments.intercode.sandbox.manifest import measure
from langchain_linvit.environments.intercode.sandbox.seccomp import seccomp_program
from langchain_linvit.environments.intercode.sandbox.workspace import Workspace

_TOOLS = {"bwrap": "bubblewrap", "unshare": "util-linux", "prlimit": "util-linux", "setpriv": "util-linux"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOOK_EVERY = 0.05
"""Seconds between two measurements of memory and disk."""

_KILL_SECONDS = 5.0
"""How long killed processes may take to vanish."""

_OVERLAY = 'cd "$1" && mount -t overlay "$2" -o "$3" "$4" && shift 4 && exec "$@"'
_PLAIN = 'cd "$1" && shift 4 && exec "$@"'


@dataclass(frozen=True)
class Mount:
    """What becomes the root of the sandbox.

    Attributes:
        lower: Folders of an overlay mount, the topmost first; empty for a plain folder.
        upper: Where changes go: the overlay's upper folder, or the plain folder itself.
        work: The overlay's working folder.
    """

    upper: Path
    lower: Sequence[Path] = ()
    work: Path | None = None


@dataclass(frozen=True)
class Command:
    """What is run.

    Attributes:
        argv: The program and its arguments.
        directory: Where it starts.
        stdin: What it reads.
        environment: Its environment variables, beside PATH and HOME.
    """

    argv: Sequence[str]
    directory: str = "/"
    stdin: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)


def run(space: Workspace, mount: Mount, command: Command, limits: SandboxLimits) -> Completed:
    """Run a command and wait for its end; a broken limit is in the result.

    Raises:
        SandboxUnavailable: The sandbox could not be set up; the command did not run.
    """
    with contextlib.ExitStack() as stack:
        arguments = stack.enter_context(_memory_file(_bwrap_arguments(space, mount, command)))
        seccomp = seccomp_program()
        filtered = stack.enter_context(_memory_file(seccomp)) if seccomp else None
        stdin = stack.enter_context(_memory_file(command.stdin))
        status_read, status_write = os.pipe()
        stack.callback(os.close, status_read)
        bwrap = ["bwrap", "--args", str(arguments), "--json-status-fd", str(status_write)]
        bwrap += ["--seccomp", str(filtered)] if filtered is not None else []
        descriptors = [arguments, status_write, *([filtered] if filtered is not None else [])]
        try:
            process = subprocess.Popen(  # noqa: S603 - nothing of this line is the agent's but argv inside of the sandbox
                _chain(space, mount, [*bwrap, "--", *command.argv], limits),
                stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=descriptors,
                env={"PATH": _PATH}, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(status_write)
        stack.enter_context(process)
        output, broken = _watch(process, mount, limits)
        started = _started(status_read)
    if not started and broken is None:
        raise SandboxUnavailable(f"the sandbox could not be set up: {output.decode(errors='replace').strip()[:500]}")
    return Completed(process.returncode if process.returncode >= 0 else 128 - process.returncode, output, broken)


def require_tools() -> None:
    """Raise `SandboxUnavailable` where a program that the sandbox is made of is missing."""
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=_PATH) is None})
    if os.uname().sysname != "Linux":
        raise SandboxUnavailable("the Bash sandbox needs Linux; elsewhere use backend='docker'")
    if missing:
        raise SandboxUnavailable(f"the Bash sandbox needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


def _chain(space: Workspace, mount: Mount, command: list[str], limits: SandboxLimits) -> list[str]:
    """The whole command line, from this program to bwrap."""
    drop = []
    if space.uid is not None:
        drop = ["setpriv", f"--reuid={space.uid}", f"--regid={space.uid}", "--clear-groups", "--no-new-privs"]
    resources = [
        "prlimit", f"--cpu={limits.cpu_seconds}", f"--fsize={limits.file_bytes}", f"--nproc={limits.processes}",
        f"--as={limits.memory_bytes}", f"--nofile={limits.open_files}", "--core=0", "--memlock=0", "--msgqueue=0",
    ]  # fmt: skip
    script, options = _PLAIN, ""
    if mount.lower:
        lower = ":".join(folder.name for folder in mount.lower)
        work = mount.work.name if mount.work else ""
        script, options = _OVERLAY, f"userxattr,lowerdir={lower},upperdir={mount.upper.name},workdir={work}"
    shell = ["sh", "-c", script, "sh", str(space.folder), space.name, options, space.mount_point]
    return [*drop, "unshare", "--user", "--map-root-user", "--mount", "--", *shell, *resources, *command]


def _bwrap_arguments(space: Workspace, mount: Mount, command: Command) -> bytes:
    root = space.folder / (space.mount_point if mount.lower else mount.upper.name)
    arguments = [
        "--bind",
        str(root),
        "/",
        *_system_folders(),
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--remount-ro",
        "/dev",
    ]
    arguments += [
        "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0", "--hostname", "intercode", "--disable-userns",
        "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
        "--cap-add", "CAP_DAC_OVERRIDE", "--cap-add", "CAP_FOWNER", "--chdir", command.directory, "--clearenv",
    ]  # fmt: skip
    for name, value in {"PATH": _PATH, "HOME": "/root", "HOSTNAME": "intercode", **command.environment}.items():
        arguments += ["--setenv", name, value]
    return b"\0".join(os.fsencode(argument) for argument in arguments) + b"\0"


@lru_cache(maxsize=1)
def _system_folders() -> tuple[str, ...]:
    """The host's programs and libraries, for reading only."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM_FOLDERS:
        path = Path("/") / name
        if path.is_dir() and not path.is_symlink():
            arguments += ["--ro-bind", str(path), str(path)]
    return (*arguments, "--ro-bind-try", "/etc/alternatives", "/etc/alternatives")


SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders of programs beside /usr: links into it on most systems."""


def _watch(process: subprocess.Popen[bytes], mount: Mount, limits: SandboxLimits) -> tuple[bytes, str | None]:
    """Read the output until the command's end, or until a limit is broken: then everything is killed."""
    output = bytearray()
    pipe = process.stdout
    assert pipe is not None  # noqa: S101 - it was asked for
    try:
        for _ in _looks(process, pipe, output, limits):
            _measure(process.pid, mount, limits)
    except LimitBroken as limit:
        _kill(process)
        return bytes(output[: limits.output_bytes]), str(limit)
    except BaseException:
        _kill(process)
        raise
    return bytes(output), None


def _looks(
    process: subprocess.Popen[bytes], pipe: IO[bytes], output: bytearray, limits: SandboxLimits
) -> Iterator[None]:
    """Read all there is; yields about every `_LOOK_EVERY` seconds until the process has ended."""
    deadline = time.monotonic() + limits.seconds
    looked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.get_map():  # the output is closed, though the command may go on
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_LOOK_EVERY)
                    return
            elif selector.select(timeout=_LOOK_EVERY):
                chunk = os.read(pipe.fileno(), 1 << 16)
                output += chunk
                if not chunk:
                    selector.unregister(pipe)
            if len(output) > limits.output_bytes:
                raise LimitBroken(f"it wrote more than {limits.output_bytes} bytes of output")
            now = time.monotonic()
            if now > deadline:
                raise LimitBroken(f"it ran for more than {limits.seconds:g} s")
            if now - looked > _LOOK_EVERY:
                looked = now
                yield


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill bwrap, and with it (it dies with its parent) process 1 and all others; wait until they are gone."""
    others = _descendants(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in others):
        time.sleep(0.002)


def _measure(pid: int, mount: Mount, limits: SandboxLimits) -> None:
    resident = sum(_resident_bytes(process) for process in _descendants(pid))
    if resident > limits.memory_bytes:
        raise LimitBroken(f"it used more than {limits.memory_bytes} bytes of memory")
    if mount.lower:
        measure(mount.upper, limits)


def _descendants(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        process = todo.pop()
        found.append(process)
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for thread in os.listdir(f"/proc/{process}/task"):
                todo += [int(child) for child in Path(f"/proc/{process}/task/{thread}/children").read_text().split()]
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _started(descriptor: int) -> bool:
    """Whether bwrap came as far as starting the command: it reports a child then."""
    report = os.read(descriptor, 4096).decode(errors="replace")
    first = report.splitlines()[0] if report else "{}"
    with contextlib.suppress(ValueError):
        return "child-pid" in json.loads(first)
    return False


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("linvit")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
