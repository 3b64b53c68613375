"""A headless Chromium for tests, driven over a pipe by its DevTools protocol: no driver, no port, no network."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds to wait for an answer before the browser counts as stuck."""
_WIRE = """
import os, sys
commands, answers = (os.dup(int(number)) for number in sys.argv[1:3])
for here, there in ((commands, 3), (answers, 4)):
    os.dup2(here, there)
    os.set_inheritable(there, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes the browser, with the protocol's pipes where it looks for them: 3 for commands, 4 for answers."""
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip


def browser_path() -> str | None:
    """The browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(RuntimeError):
    """The browser refused a command, or a script in the page threw."""


class Page:
    """The one page of a browser, and what it has reported so far.

    Attributes:
        logged: Console messages, violations of the page's policy and exceptions, as text.
        requested: Addresses that the page asked for, by request; what its own policy stopped is not among them.
    """

    def __init__(self, command: int, answer: int) -> None:
        self._command, self._answer = command, answer
        self._number, self._buffer = 0, b""
        self._session: str | None = None
        self._loaded = False
        self.logged: list[str] = []
        self.requested: dict[str, str] = {}
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, path: Path, fragment: str = "", *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file, and wait until it is loaded."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._go("about:blank")
        self.logged.clear()
        self.requested.clear()
        self._go(path.as_uri() + fragment)

    def _go(self, address: str) -> None:
        self._loaded = False
        self._send("Page.navigate", url=address)
        while not self._loaded:
            self._take_in(self._read())

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        found = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise BrowserError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key as a person does: `Tab`, `Enter` or ` `."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        named = {"key": key, "windowsVirtualKeyCode": codes[key]}
        self._send("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self._send("Input.dispatchKeyEvent", type="keyUp", **named)

    def picture(self, *, whole: bool = False) -> bytes:
        """A PNG of what is in view, or of the whole page."""
        return base64.b64decode(self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._command, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._take_in(answer)

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answer], [], [], max(deadline - time.monotonic(), 0))
            chunk = os.read(self._answer, 1 << 16) if ready else b""
            if not chunk:
                raise BrowserError("the browser has ended" if ready else f"the browser was silent for {PATIENCE} s")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def _take_in(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Log.entryAdded":
                self.logged.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.logged.append(str([argument.get("value") for argument in parameters["args"]]))
            case "Runtime.exceptionThrown":
                self.logged.append(json.dumps(parameters["exceptionDetails"]))
            case "Network.requestWillBeSent":
                self.requested[parameters["requestId"]] = parameters["request"]["url"]
            case "Network.loadingFailed" if parameters.get("blockedReason") == "csp":
                self.requested.pop(parameters["requestId"], None)


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with a fresh profile in the folder `profile`; it ends with the block.

    Raises:
        BrowserError: There is no browser, or it doesn't answer.
    """
    program = browser_path()
    if program is None:
        raise BrowserError("no Chromium is installed")
    (their_read, our_write), (our_read, their_write) = os.pipe(), os.pipe()

    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _WIRE,
            str(their_read),
            str(their_write),
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(their_read, their_write),
        start_new_session=True,
    )
    os.close(their_read)
    os.close(their_write)
    try:
        yield Page(our_write, our_read)
    finally:
        os.close(our_write)  # it ends when nobody can command it any more
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(our_read)
