"""`langgraph dev` on a free port of the loopback interface, for as long as a test runs."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("langgraph")
PATIENCE = 120.0
"""Seconds that the server may take to start; it takes five on a quiet machine."""
WITHOUT_NETWORK = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}
PR_SET_PDEATHSIG = 1


class LangGraphServer:
    """Serves the repository's `langgraph.json` from a folder of its own, where it leaves what it stores.

    Its processes end with the context, and with this process, however that ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "LangGraphServer":
        (self.folder / "graphs").symlink_to(ROOT / "graphs")
        shutil.copy(ROOT / "langgraph.json", self.folder)
        keys = {name for name in os.environ if name.startswith(("LANGSMITH", "LANGCHAIN", "LANGGRAPH"))}
        environment = {name: value for name, value in os.environ.items() if name not in keys} | WITHOUT_NETWORK
        options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [str(COMMAND), "dev", *options],
                cwd=self.folder,
                env=environment | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it stores nothing that is worth a clean end
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urlopen(f"{self.url}/ok", timeout=1):
                    return
            except (URLError, TimeoutError, ConnectionError):
                time.sleep(0.2)
        raise RuntimeError(f"the server didn't start:\n{self.log.read_text()[-4_000:]}")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
