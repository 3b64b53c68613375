"""The file systems that tasks start from: built once, inside of the sandbox, by whatever the user names."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import weakref
from pathlib import Path

from langchain_linvit.environments.intercode.official import package_folder
from langchain_linvit.environments.intercode.sandbox.box import Sandbox
from langchain_linvit.environments.intercode.sandbox.launch import SYSTEM_FOLDERS, Command, Mount, run
from langchain_linvit.environments.intercode.sandbox.limits import SandboxLimits
from langchain_linvit.environments.intercode.sandbox.manifest import read_manifest
from langchain_linvit.environments.intercode.sandbox.trees import Layer
from langchain_linvit.environments.intercode.sandbox.workspace import Workspace, remove_tree
from langchain_linvit.errors import InvalidTaskError

_LIMITS = SandboxLimits(
    seconds=120,
    cpu_seconds=120,
    disk_bytes=2_000_000_000,
    file_bytes=500_000_000,
    files=200_000,
    output_bytes=10_000_000,
)
"""Limits of setting up: the user's own scripts, and larger than a command's."""

_FOLDERS = (
    "boot", "dev", "etc", "etc/alternatives", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp",
    "usr", "var", "var/log", "var/tmp",
)  # fmt: skip
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hostname": "intercode\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tintercode\n",
    "etc/networks": "default\t\t0.0.0.0\nloopback\t127.0.0.0\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n",
    "etc/resolv.conf": "",
    "etc/shells": "/bin/sh\n/bin/bash\n",
    "tmp/.keep": "",  # git cleans empty folders away, and programs need this one
}
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")

# As InterCode's Dockerfile does it: git keeps track of what a command changes. And as its `reset` does it:
# what git doesn't track is cleaned away, which are the empty folders.
_TRACK = """\
git config --global user.email intercode@pnlp.org && git config --global user.name intercode &&
git config --global init.defaultBranch master && git config --global gc.auto 0 &&
git init -q && git add -A && git commit -q -m 'initial commit' && git reset -q --hard && git clean -qfd"""


class FileSystems:
    """Builds file systems, and keeps those that are in use.

    Args:
        sandbox: Where set-up scripts are run.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._built: weakref.WeakValueDictionary[str, Layer] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def base(self, source: str) -> Layer:
        """The base layer of a set-up script, a folder or a tarball (their contents become the root's).

        Raises:
            InvalidTaskError: There is no such source, or it fails.
        """
        with self._lock:
            layer = self._built.get(source)
            if layer is None:
                layer = self._built[source] = _build(self._sandbox.space, Path(source))
            return layer


def skeleton(space: Workspace) -> Path:
    """A new folder with what every root has: system folders, and the few files of /etc that programs read."""
    root = space.new_folder("b")
    for name in _FOLDERS:
        (root / name).mkdir(exist_ok=True)
    for name, content in _FILES.items():
        (root / name).write_text(content)
    for name in SYSTEM_FOLDERS:
        host = Path("/") / name
        if host.is_symlink():
            (root / name).symlink_to(os.readlink(host))
        elif host.is_dir():
            (root / name).mkdir()
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            space.hand_over(Path(folder) / name)
    (root / "tmp").chmod(0o1777)
    return root


def _build(space: Workspace, source: Path) -> Layer:
    root = skeleton(space)
    try:
        if source.is_dir():
            _run(space, root, "tar --extract --no-same-owner --file=- --directory=/", source, _tarball(source))
        elif source.name.endswith(_ARCHIVES):
            _run(space, root, "tar --extract --no-same-owner --file=- --directory=/", source, _unpacked(source))
        else:
            _add_file(space, root / source.name, _read(source))
            _run(space, root, f"cd / && bash ./{_quoted(source.name)}", source)
        _add_file(space, root / ".gitignore", _read(package_folder() / "assets" / "docker" / "docker.gitignore"))
        _run(space, root, f"cd / && {_TRACK}", source)
        return Layer(root, read_manifest(root, _LIMITS))
    except BaseException:
        remove_tree(root)
        raise


def _run(space: Workspace, root: Path, script: str, source: Path, stdin: bytes = b"") -> None:
    completed = run(space, Mount(root), Command(["bash", "-c", script], stdin=stdin), _LIMITS)
    if completed.exit_code or completed.broken:
        said = completed.broken or completed.output.decode(errors="replace").strip()[-500:]
        raise InvalidTaskError(f"setting up the file system of {source.name} failed ({completed.exit_code}): {said}")


def _add_file(space: Workspace, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755 if path.suffix == ".sh" else 0o644)
    space.hand_over(path)


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise InvalidTaskError(f"can't read {source}, which should set up a file system: {error}") from error


def _tarball(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(folder, arcname=".")
    return content.getvalue()


def _unpacked(source: Path) -> bytes:
    """The tar inside of a compressed one; tar can't tell the compression of what it reads from a pipe."""
    content = _read(source)
    if source.name.endswith(".tar"):
        return content
    import bz2
    import gzip
    import lzma

    decompress = {"gz": gzip.decompress, "tgz": gzip.decompress, "xz": lzma.decompress, "bz2": bz2.decompress}
    return decompress[source.name.rsplit(".", 1)[1]](content)


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "'\\''") + "'"
