"""Why there is no sandbox."""

from langchain_linvit.errors import MissingDependencyError


class SandboxUnavailable(MissingDependencyError, RuntimeError):  # noqa: N818 - the name says what is the matter
    """Commands can't be isolated on this machine; the message says what to install. They are never run without."""
