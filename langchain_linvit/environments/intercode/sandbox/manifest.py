"""What a folder holds: kinds, permissions and contents of its files, never through a link.

Times are left out: equal contents are equal states, whenever they were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from langchain_linvit.environments.intercode.sandbox.limits import LimitBroken, SandboxLimits

_LONGEST_PATH = 3_000
"""Characters of a path: the kernel takes 4096, and the host's own folder comes first."""

OPAQUE = "user.overlay.opaque"
"""The attribute of a folder that hides what lower layers have under it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link.

    Attributes:
        kind: `file`, `folder`, `link`, `deleted` (an overlay's whiteout) or `other` (a pipe, a socket).
        mode: Its permission bits.
        content: Hash of a file's content, or a link's target.
        size: Bytes of a file.
        opaque: A folder that hides what lower layers have under it.
    """

    kind: str
    mode: int
    content: str = ""
    size: int = 0
    opaque: bool = False


Manifest = Mapping[str, Entry]
"""Entries by path relative to the root, parents before their children."""


def read_manifest(root: Path, limits: SandboxLimits) -> dict[str, Entry]:
    """All entries under a folder; `LimitBroken` where they are too many, too large or too deep."""
    found: dict[str, Entry] = {}
    for path, status in _walk(root, limits):
        found[os.path.relpath(path, root)] = _entry(path, status)
    return found


def measure(root: Path, limits: SandboxLimits) -> None:
    """Raise `LimitBroken` where the files under a folder are too many or too large; contents aren't read."""
    for _ in _walk(root, limits):
        pass


def _walk(root: Path, limits: SandboxLimits) -> Iterator[tuple[str, os.stat_result]]:
    folders, count, size = [str(root)], 0, 0
    with _Opened() as opened:
        while folders:
            folder = folders.pop()
            for name in opened.names(folder):
                path = f"{folder}/{name}"
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue  # measured while the command is running
                count += 1
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
                _check(count, size, path, limits)
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    folders.append(path)


def _check(count: int, size: int, path: str, limits: SandboxLimits) -> None:
    if count > limits.files:
        raise LimitBroken(f"it changed more than {limits.files} files")
    if size > limits.disk_bytes:
        raise LimitBroken(f"it wrote more than {limits.disk_bytes} bytes to the disk")
    if len(path) > _LONGEST_PATH:
        raise LimitBroken(f"it made a path of more than {_LONGEST_PATH} characters")


class _Opened:
    """Folders whose own permissions keep their owner out, opened for the time of a walk."""

    def __init__(self) -> None:
        self._modes: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path, mode in reversed(self._modes):
            with contextlib.suppress(OSError):
                os.chmod(path, mode)

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where it has vanished."""
        try:
            if not os.access(folder, os.R_OK | os.X_OK):
                self._modes.append((folder, stat.S_IMODE(os.lstat(folder).st_mode)))
                os.chmod(folder, 0o700)
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []


def _entry(path: str, status: os.stat_result) -> Entry:
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return Entry("folder", mode, opaque=_is_opaque(path))
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", 0, os.readlink(path))
    if stat.S_ISREG(status.st_mode):
        return Entry("file", mode, _content_hash(path, mode), status.st_size)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return Entry("deleted", 0)
    return Entry("other", mode, oct(stat.S_IFMT(status.st_mode)))


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _content_hash(path: str, mode: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with _readable(path, mode), open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        while chunk := file.read(1 << 18):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _readable(path: str, mode: int) -> Iterator[None]:
    """A file that its owner may not read, made readable for a moment; root needs nothing."""
    if mode & stat.S_IRUSR or os.geteuid() == 0:
        yield
        return
    os.chmod(path, mode | stat.S_IRUSR)
    try:
        yield
    finally:
        os.chmod(path, mode)


def overlaid(base: Manifest, layers: Sequence[Manifest]) -> dict[str, Entry]:
    """What layers change on top of a base: entries that differ from the base's, `deleted` where they are gone.

    Args:
        base: Everything below.
        layers: Manifests of overlay layers, the lowest first.
    """
    changed: dict[str, Entry] = {}
    for layer in layers:
        for path, entry in layer.items():
            if entry.kind != "folder" or entry.opaque:
                _hide(path, base, changed)
            changed[path] = replace(entry, opaque=False)
    return {path: entry for path, entry in sorted(changed.items()) if base.get(path, _DELETED) != entry}


_DELETED = Entry("deleted", 0)


def _hide(path: str, base: Manifest, changed: dict[str, Entry]) -> None:
    """Everything under `path` is gone."""
    below = f"{path}/"
    for known in [known for known in changed if known.startswith(below)]:
        del changed[known]
    changed.update({known: _DELETED for known in base if known.startswith(below)})
