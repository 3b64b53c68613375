"""Where Bash commands run: a box holds a file system and forks. One class for each backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

from langchain_linvit.environments.intercode.sandbox import Command, Completed, FileSystems, Sandbox, Tree


class Box(Protocol):
    """A file system that commands change."""

    def run(self, argv: list[str], directory: str) -> Completed:
        """Run a command. Where it breaks a limit, nothing is changed and the result says so."""
        ...

    def fork(self) -> Self:
        """An independent box at the same state."""
        ...

    def pristine(self) -> Self:
        """An independent box at the state in which the episode began."""
        ...

    def changes(self) -> dict[str, str]:
        """What differs from the beginning: `added`, `modified` or `deleted`, by absolute path."""
        ...

    def differences(self, other: Self) -> list[str]:
        """Paths whose kind, permissions or content differ between two boxes of one episode."""
        ...

    def fingerprint(self) -> str:
        """Equal for equal contents."""
        ...

    def dump(self) -> dict[str, Any]:
        """The state as plain data."""
        ...

    def load(self, state: dict[str, Any]) -> Self:
        """A box at a state that `dump` gave, on the same beginning."""
        ...

    def close(self) -> None:
        """Give back what this box alone holds."""
        ...


class BoxMaker(Protocol):
    """Makes boxes."""

    def open(self, file_system: str) -> Box:
        """A box on a file system: a set-up script, a folder or a tarball."""
        ...


class SandboxBoxes:
    """Boxes in the namespaces sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._systems = FileSystems(sandbox)

    def open(self, file_system: str) -> Box:
        """A box on a file system, built when it is first needed."""
        base = self._systems.base(file_system)
        return SandboxBox(self._sandbox, Tree(base, copied=self._sandbox.mode == "copy"))


class SandboxBox:
    """A box in the namespaces sandbox: a reference to an immutable tree."""

    def __init__(self, sandbox: Sandbox, tree: Tree) -> None:
        self._sandbox = sandbox
        self._tree = tree

    def run(self, argv: list[str], directory: str) -> Completed:
        """Run a command on the tree; the box refers to the tree after it."""
        completed, self._tree = self._sandbox.run(self._tree, Command(argv, directory))
        return completed

    def fork(self) -> Self:
        """Another reference to the same tree."""
        return type(self)(self._sandbox, self._tree)

    def pristine(self) -> Self:
        """A box on the base."""
        return type(self)(self._sandbox, Tree(self._tree.base, copied=self._sandbox.mode == "copy"))

    def changes(self) -> dict[str, str]:
        """What differs from the base, without git's own files."""
        known = self._tree.base.manifest
        found = {}
        for path, entry in self._tree.changes.items():
            if not path.startswith(".git/"):
                kind = "deleted" if entry.kind == "deleted" else "modified" if path in known else "added"
                found[f"/{path}"] = kind
        return found

    def differences(self, other: Self) -> list[str]:
        """Paths that differ, without git's own files."""
        ours, theirs = self._tree.changes, other._tree.changes
        paths = sorted(set(ours) | set(theirs))
        return [f"/{path}" for path in paths if ours.get(path) != theirs.get(path) and not path.startswith(".git/")]

    def fingerprint(self) -> str:
        """The tree's."""
        return self._tree.fingerprint

    def dump(self) -> dict[str, Any]:
        """What the tree changes, packed."""
        return self._sandbox.pack(self._tree)

    def load(self, state: dict[str, Any]) -> Self:
        """A box on the unpacked tree."""
        return type(self)(self._sandbox, self._sandbox.unpack(self._tree.base, state))

    def close(self) -> None:
        """Nothing to do: layers vanish with the last tree that refers to them."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What docker-py returns from `exec_run`; it unpacks as the pair."""

    exit_code: int
    output: bytes

    def __iter__(self) -> Any:
        return iter((self.exit_code, self.output))


class BoxContainer:
    """A box with the one method of a docker container that InterCode's reward code calls."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def exec_run(self, command: str, workdir: str | None = None) -> ExecResult:
        """Run a command line, split into words as docker-py does it."""
        import shlex

        completed = self._box.run(shlex.split(command), workdir or "/")
        return ExecResult(completed.exit_code, completed.output)
