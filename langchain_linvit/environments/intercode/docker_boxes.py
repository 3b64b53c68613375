"""InterCode-Bash in Docker containers, where there are no Linux namespaces to use.

Not tested by this project, whose machines have no Docker engine. A state is an image: each command runs in a new
container of it without a network, and is committed as the next image where it changed anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from typing import Any, Self

from langchain_linvit.environments.intercode.bash_boxes import Box
from langchain_linvit.environments.intercode.sandbox.errors import SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.limits import Completed, SandboxLimits
from langchain_linvit.errors import EnvironmentStateError

_KINDS = {0: "modified", 1: "added", 2: "deleted"}


class DockerBoxes:
    """Boxes on a Docker image with bash and git, prepared as InterCode's Dockerfiles do it.

    Args:
        image: The image, e.g. `intercode-nl2bash`, as InterCode's `setup.sh` builds it.
        limits: What one command may use; the limits on files and disk are Docker's own.

    Raises:
        SandboxUnavailable: No Docker engine can be reached, or it doesn't have the image.
    """

    def __init__(self, image: str, limits: SandboxLimits) -> None:
        self._limits = limits
        try:
            self._client = importlib.import_module("docker").from_env()
            self._image = self._client.images.get(image).id
        except Exception as error:
            raise SandboxUnavailable(
                f"no Docker engine with the image {image!r} (InterCode's setup.sh builds it): {error}"
            ) from error

    def open(self, file_system: str) -> Box:
        """A box on the image: its file system was built with it, whatever the task names."""
        del file_system
        return DockerBox(self._client, self._image, self._image, self._limits)


class DockerBox:
    """A box whose state is a Docker image."""

    def __init__(self, client: Any, base: str, image: str, limits: SandboxLimits) -> None:
        self._client, self._base, self._image, self._limits = client, base, image, limits
        self._changes: dict[str, str] = {}

    def run(self, argv: list[str], directory: str) -> Completed:
        """Run a command in a new container, and commit it where it changed a file."""
        container = self._client.containers.run(
            self._image, argv, working_dir=directory, detach=True, network_disabled=True, entrypoint="",
            mem_limit=self._limits.memory_bytes, pids_limit=self._limits.processes, cap_drop=["ALL"],
            cap_add=["DAC_OVERRIDE", "FOWNER"], security_opt=["no-new-privileges"],
        )  # fmt: skip
        try:
            return self._finished(container)
        finally:
            with contextlib.suppress(Exception):
                container.remove(force=True)

    def _finished(self, container: Any) -> Completed:
        try:
            status = int(container.wait(timeout=self._limits.seconds)["StatusCode"])
        except Exception:  # docker-py raises what its HTTP library does
            return Completed(137, b"", f"it ran for more than {self._limits.seconds:g} s")
        output = b"".join(container.logs(stdout=True, stderr=True, stream=True))
        if len(output) > self._limits.output_bytes:
            return Completed(status, b"", f"it wrote more than {self._limits.output_bytes} bytes of output")
        changed = {change["Path"]: _KINDS.get(change["Kind"], "modified") for change in container.diff() or ()}
        if changed:
            self._image = container.commit().id
            self._changes = {**self._changes, **changed}
        return Completed(status, output)

    def fork(self) -> Self:
        """Another box on the same image."""
        clone = type(self)(self._client, self._base, self._image, self._limits)
        clone._changes = dict(self._changes)
        return clone

    def pristine(self) -> Self:
        """A box on the image of the beginning."""
        return type(self)(self._client, self._base, self._base, self._limits)

    def changes(self) -> dict[str, str]:
        """What `docker diff` said of every command, without git's own files."""
        return {path: kind for path, kind in sorted(self._changes.items()) if not path.startswith("/.git")}

    def differences(self, other: Self) -> list[str]:
        """Paths that were changed in one of the boxes only, or otherwise; contents are not compared."""
        ours, theirs = self.changes(), other.changes()
        return sorted(path for path in set(ours) | set(theirs) if ours.get(path) != theirs.get(path))

    def fingerprint(self) -> str:
        """The image's id: equal contents reached in two ways have two."""
        return hashlib.sha256(self._image.encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """The image's id; it must not be removed meanwhile."""
        return {"image": self._image, "changes": self._changes, "fingerprint": self.fingerprint()}

    def load(self, state: dict[str, Any]) -> Self:
        """A box on the image of `dump`."""
        if "image" not in state:
            raise EnvironmentStateError("not a state of a Docker box: it has no image")
        box = type(self)(self._client, self._base, state["image"], self._limits)
        box._changes = dict(state["changes"])
        return box

    def close(self) -> None:
        """Images are shared by forks and stay; `docker image prune` removes them."""
