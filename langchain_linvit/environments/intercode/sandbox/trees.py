"""States of the sandbox's file system, as immutable trees: a fork is another reference to one.

An overlay tree is a stack of layers, each what one command changed. A copied tree is one folder. Nothing changes
a layer or a folder after its command has ended; it is removed with the last tree that refers to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from langchain_linvit.environments.intercode.sandbox.limits import SandboxLimits
from langchain_linvit.environments.intercode.sandbox.manifest import (
    OPAQUE,
    Entry,
    Manifest,
    overlaid,
    read_manifest,
)
from langchain_linvit.environments.intercode.sandbox.workspace import Workspace, remove_tree

_UNTRACKED = (".git/index", ".git/index.lock")
"""Git's cache of file times, which every `git status` writes: no part of the state."""

MOST_LAYERS = 32
"""Layers of a tree before they are squashed into one; the kernel's limit on a mount is near 120."""


class Layer:
    """One folder of the workspace with its manifest; removed when nothing refers to it any more."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        weakref.finalize(self, _remove, folder, os.getpid()).atexit = False  # at exit all of the workspace goes


def _remove(folder: Path, owner: int) -> None:
    """Remove a layer's folder; a copy of the layer in a forked program doesn't."""
    if os.getpid() != owner:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        remove_tree(folder)
    else:  # a layer can be collected on an event loop, which must not wait for a disk
        loop.run_in_executor(None, remove_tree, folder)


class Tree:
    """A state of the file system: a base, and what was changed since.

    Attributes:
        base: The lowest layer: the file system at the start of an episode.
        layers: What commands changed, the earliest first; in copy mode one full copy, or none.
        copied: Whether `layers` holds a full copy.
    """

    def __init__(self, base: Layer, layers: Sequence[Layer] = (), *, copied: bool = False) -> None:
        self.base = base
        self.layers = tuple(layers)
        self.copied = copied

    @cached_property
    def changes(self) -> dict[str, Entry]:
        """What differs from the base, by path relative to the root."""
        if not self.copied:
            changed = overlaid(self.base.manifest, [layer.manifest for layer in self.layers])
        else:
            changed = _difference(self.base.manifest, self.layers[0].manifest) if self.layers else {}
        return {path: entry for path, entry in changed.items() if path not in _UNTRACKED}

    @cached_property
    def fingerprint(self) -> str:
        """Equal for equal contents of the file system, whatever the times."""
        lines = [f"{path}\0{entry.kind}\0{entry.mode}\0{entry.content}" for path, entry in self.changes.items()]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _difference(base: Manifest, current: Manifest) -> dict[str, Entry]:
    changed = {path: entry for path, entry in current.items() if base.get(path) != entry}
    changed.update({path: Entry("deleted", 0) for path in base if path not in current})
    return dict(sorted(changed.items()))


def squash(space: Workspace, layers: Sequence[Layer], limits: SandboxLimits) -> Layer:
    """One layer that changes what all of `layers` do, the earliest first."""
    target = space.new_folder("s")
    for layer in layers:
        for path, entry in layer.manifest.items():
            _apply(space, layer.folder / path, target / path, entry)
        for path, entry in reversed(list(layer.manifest.items())):
            if entry.kind == "folder":
                shutil.copystat(layer.folder / path, target / path, follow_symlinks=False)
    return Layer(target, read_manifest(target, limits))


def copy_tree(space: Workspace, source: Path) -> Path:
    """A full copy of a folder, with owners, permissions, times and links."""
    target = space.new_folder("c")
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_copy_file)
    if space.uid is not None:
        for folder, folders, files in os.walk(target):
            for name in folders + files:
                os.lchown(os.path.join(folder, name), space.uid, space.uid)
    return target


def _copy_file(source: str, target: str) -> str:
    """Copy one file as it is; pipes and sockets are left out."""
    if stat.S_ISREG(os.lstat(source).st_mode):
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def _apply(space: Workspace, source: Path, target: Path, entry: Entry) -> None:
    """Put one entry of a layer over what lower layers have put at its place."""
    is_folder = target.is_dir() and not target.is_symlink()
    if entry.kind == "folder" and is_folder and not entry.opaque:
        return
    if is_folder:
        remove_tree(target)
    else:
        target.unlink(missing_ok=True)
    if entry.kind == "folder":
        target.mkdir()
        if entry.opaque:
            os.setxattr(target, OPAQUE, b"y")
    elif entry.kind == "file":
        shutil.copy2(source, target, follow_symlinks=False)
    elif entry.kind == "link":
        target.symlink_to(entry.content)
    elif entry.kind == "deleted":
        os.mknod(target, stat.S_IFCHR, 0)
    elif stat.S_ISFIFO(os.lstat(source).st_mode):
        os.mkfifo(target, entry.mode)
    else:
        return
    space.hand_over(target)
