"""The folder on the host where a program keeps the layers of its sandboxes, and nothing else.

A program locks its folder for as long as it lives: a folder without a lock belonged to a program that
was killed, and the next one to start removes it, with every process that still runs in it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import itertools
import os
import random
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

from langchain_linvit.environments.intercode.sandbox.errors import SandboxUnavailable

_UIDS = range(2_000_000, 3_000_000)
"""Numbers without an account, one of which runs the commands of a program that is root itself."""


class Workspace:
    """One program's folder. Layers in it belong to the user that commands run as.

    Attributes:
        folder: Where it is.
        name: A name that no other workspace has, and that the mounts of its sandboxes carry.
        uid: The user that runs commands where this program is root; None where it is not.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or _parent()
        _private_folder(parent)
        _sweep(parent)
        self.name = f"run-{os.getpid()}-{secrets.token_hex(6)}"
        self.folder = parent / self.name
        self.uid = random.SystemRandom().choice(_UIDS) if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._owner = os.getpid()
        self.folder.mkdir(mode=0o711)
        self.folder.chmod(0o711)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.mount_point = self.new_folder("m").name
        atexit.register(self.close)

    def new_folder(self, prefix: str) -> Path:
        """A new empty folder of the user that commands run as; its name is short, since mounts list them."""
        folder = self.folder / f"{prefix}{next(self._numbers)}"
        folder.mkdir(mode=0o755)
        self.hand_over(folder)
        return folder

    def hand_over(self, path: Path) -> None:
        """Make the user that commands run as the owner of one file or folder."""
        if self.uid is not None:
            os.lchown(path, self.uid, self.uid)

    def close(self) -> None:
        """Remove everything; may be called twice. Copies of this object in forked programs do nothing."""
        if os.getpid() != self._owner or self._lock < 0:
            return
        remove_tree(self.folder)
        os.close(self._lock)
        self._lock = -1
        atexit.unregister(self.close)


_workspace_lock = threading.Lock()


def workspace() -> Workspace:
    """The workspace of this program, made when it is first needed."""
    with _workspace_lock:
        return _workspace_of(os.getpid())


@lru_cache(maxsize=1)
def _workspace_of(_: int) -> Workspace:
    return Workspace()


def remove_tree(folder: Path) -> None:
    """Remove a folder that a command may have filled: deep, large, or with permissions taken away."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)
        return
    # rm walks trees that are too deep for paths and for recursion; chmod lets an owner in again.
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        subprocess.run([*command, "--", str(folder)], check=False, capture_output=True)  # noqa: S603


def _parent() -> Path:
    named = os.environ.get("LINVIT_SANDBOX_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"linvit-sandbox-{os.geteuid()}"


def _private_folder(folder: Path) -> None:
    """The parent of all workspaces must be ours: others could put links into it."""
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise SandboxUnavailable(f"can't make the folder {folder} for sandboxes: {error}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SandboxUnavailable(
            f"{folder} is not a folder that only this user may write to; remove it, or set LINVIT_SANDBOX_DIR"
        )


def _sweep(parent: Path) -> None:
    """Remove what programs that were killed have left: their processes first, then their layers."""
    for folder in parent.glob("run-*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # just being made, or just being removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _kill_processes(folder.name)
            remove_tree(folder)
        finally:
            os.close(lock)


def _kill_processes(name: str) -> None:
    """Kill every process that has a mount of the workspace `name`, until none is left."""
    for _ in range(50):
        found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/mountinfo") if _mentions(path, name)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _mentions(path: Path, name: str) -> bool:
    try:
        return name in path.read_text(errors="replace")
    except OSError:
        return False
