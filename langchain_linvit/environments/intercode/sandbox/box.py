"""The sandbox: commands that lead from one tree to the next, undone where they break a limit."""

from __future__ import annotations

import base64
import os
from functools import lru_cache
from typing import Any, Literal

from langchain_linvit.environments.intercode.sandbox.errors import SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.launch import Command, Mount, require_tools, run
from langchain_linvit.environments.intercode.sandbox.limits import Completed, LimitBroken, SandboxLimits
from langchain_linvit.environments.intercode.sandbox.manifest import overlaid, read_manifest
from langchain_linvit.environments.intercode.sandbox.trees import MOST_LAYERS, Layer, Tree, copy_tree, squash
from langchain_linvit.environments.intercode.sandbox.workspace import Workspace, remove_tree, workspace

Mode = Literal["overlay", "copy"]

_PACK = "cd / && tar --create --gzip --no-recursion --null --files-from=- --file=- 2>/dev/null"
_REMOVE = "cd / && xargs -0 -r rm -rf --"
_UNPACK = "cd / && tar --extract --no-same-owner --gzip --preserve-permissions --file=-"


class Sandbox:
    """Runs commands on trees, in the program's workspace.

    Args:
        mode: `overlay` (a state is a stack of layers; a fork is free), `copy` (each command runs on a copy of
            everything; for kernels without unprivileged overlay mounts), or `auto`: the first that works.
        limits: What one command may use.

    Raises:
        SandboxUnavailable: Neither works here; the message says what to install.
    """

    def __init__(self, mode: Literal["auto", "overlay", "copy"] = "auto", limits: SandboxLimits | None = None) -> None:
        self.limits = limits or SandboxLimits()
        self.mode: Mode = _working_mode(mode, os.getpid())
        self.space = workspace()

    def run(self, tree: Tree, command: Command) -> tuple[Completed, Tree]:
        """Run a command: how it ended, and the tree after it (the same one where a limit was broken)."""
        if self.mode == "copy":
            return self._run_on_copy(tree, command)
        upper, work = self.space.new_folder("u"), self.space.new_folder("w")
        lower = [*(layer.folder for layer in reversed(tree.layers)), tree.base.folder]
        try:
            completed = run(self.space, Mount(upper, lower, work), command, self.limits)
            if completed.broken is None:
                return completed, self._with_layer(tree, upper)
        except LimitBroken as limit:
            completed = Completed(completed.exit_code, completed.output, str(limit))
        except BaseException:
            remove_tree(upper)
            raise
        finally:
            remove_tree(work)
        remove_tree(upper)
        return completed, tree

    def pack(self, tree: Tree) -> dict[str, Any]:
        """What a tree changes on its base, as plain data; it is read inside of the sandbox."""
        gone = [path for path, entry in tree.changes.items() if entry.kind != "folder"]
        kept = [path for path, entry in self._all_changes(tree).items() if entry.kind != "deleted"]
        archive = b""
        if kept:
            generous = self.limits.model_copy(update={"output_bytes": 2 * self.limits.disk_bytes + 10_000_000})
            packing = Command(["bash", "-c", _PACK], stdin=_names(kept))
            archive = Sandbox(self.mode, generous).run(tree, packing)[0].output
        encoded = base64.b64encode(archive).decode()
        return {"gone": gone, "archive": encoded, "fingerprint": tree.fingerprint}

    def unpack(self, base: Layer, packed: dict[str, Any]) -> Tree:
        """The tree that `pack` was given, rebuilt on an equal base; it is written inside of the sandbox."""
        tree = Tree(base, copied=self.mode == "copy")
        if packed["gone"]:
            tree = self.run(tree, Command(["bash", "-c", _REMOVE], stdin=_names(packed["gone"])))[1]
        if packed["archive"]:
            archive = base64.b64decode(packed["archive"])
            tree = self.run(tree, Command(["bash", "-c", _UNPACK], stdin=archive))[1]
        return tree

    def _with_layer(self, tree: Tree, upper: Any) -> Tree:
        manifest = read_manifest(upper, self.limits)
        if not manifest:
            remove_tree(upper)
            return tree
        grown = [*tree.layers, Layer(upper, manifest)]
        entries = [entry for layer in grown for entry in layer.manifest.values()]
        if sum(entry.size for entry in entries) > self.limits.disk_bytes or len(entries) > self.limits.files:
            raise LimitBroken(
                f"the episode wrote more than {self.limits.disk_bytes} bytes or {self.limits.files} files in all"
            )
        if len(grown) > MOST_LAYERS:
            grown = [squash(self.space, grown, self.limits)]
        return Tree(tree.base, grown)

    def _run_on_copy(self, tree: Tree, command: Command) -> tuple[Completed, Tree]:
        before = (tree.layers[0] if tree.layers else tree.base).folder
        folder = copy_tree(self.space, before)
        try:
            completed = run(self.space, Mount(folder), command, self.limits)
            if completed.broken is None:
                changed = Layer(folder, read_manifest(folder, self.limits))
                return completed, Tree(tree.base, [changed], copied=True)
        except LimitBroken as limit:
            completed = Completed(completed.exit_code, completed.output, str(limit))
        except BaseException:
            remove_tree(folder)
            raise
        remove_tree(folder)
        return completed, tree

    def _all_changes(self, tree: Tree) -> dict[str, Any]:
        """As `Tree.changes`, with git's index."""
        if tree.copied:
            return dict(tree.changes)
        return overlaid(tree.base.manifest, [layer.manifest for layer in tree.layers])


def _names(paths: list[str]) -> bytes:
    return b"\0".join(os.fsencode(f"./{path}") for path in paths) + b"\0"


@lru_cache(maxsize=8)
def _working_mode(asked: str, _process: int) -> Mode:
    """The asked mode, or the first that works, tried once in a program."""
    require_tools()
    space = workspace()
    modes: tuple[Mode, ...] = ("overlay", "copy") if asked == "auto" else (asked,)  # type: ignore[assignment]
    reasons = []
    for mode in modes:
        reason = _failure(space, mode)
        if reason is None:
            return mode
        reasons.append(f"{mode}: {reason}")
    raise SandboxUnavailable(
        "commands can't be isolated on this machine (unprivileged user namespaces may be switched off: see "
        "/proc/sys/user/max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns; in a container "
        f"they need a seccomp profile that allows them). Tried {'; '.join(reasons)}. Else use backend='docker'."
    )


def _failure(space: Workspace, mode: Mode) -> str | None:
    from langchain_linvit.environments.intercode.sandbox.file_systems import skeleton

    root = skeleton(space)
    upper, work = space.new_folder("u"), space.new_folder("w")
    mount = Mount(upper, [root], work) if mode == "overlay" else Mount(root)
    try:
        completed = run(space, mount, Command(["sh", "-c", "echo ok > /tmp/probe && cat /tmp/probe"]), SandboxLimits())
        return None if completed.output == b"ok\n" else completed.output.decode(errors="replace")[:300] or "no output"
    except SandboxUnavailable as error:
        return str(error)
    finally:
        for folder in (root, upper, work):
            remove_tree(folder)
