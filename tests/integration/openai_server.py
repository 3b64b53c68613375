"""A local server that speaks OpenAI's HTTP interface, answers by a policy, and fails where a script says so.

Use it as a context manager, or by the fixture `openai_server`:

    with OpenAIServer(policy, faults=["rate_limit", None, "garbage"]) as server:
        ChatOpenAI(model="m", base_url=server.url, api_key="local", max_retries=0).invoke("Hello")
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import Policy, PolicyChatModel
from tests.integration import openai_wire as wire

Fault = Literal[
    "rate_limit",  # 429 with Retry-After
    "server_error",  # 500
    "hang",  # no answer until the client or the server gives up
    "truncated",  # a JSON body, or a stream, that breaks off in the middle
    "refusal",  # the model refuses: no content, but `refusal` (the completions interface knows none)
    "content_filter",  # the text is cut by the filter
    "no_logprobs",  # log-probabilities were asked for, and are missing
    "garbage",  # a text that no parser expects
]
GARBAGE = 'Ω<state>\x00{"a": [}} Action: Action:\n\n```'
REFUSAL = "I'm sorry, I can't assist with that."
RETRY_AFTER = 0.02


@dataclass(frozen=True)
class Recorded:
    """A request as it came in."""

    path: str
    body: dict[str, Any]


class OpenAIServer:
    """Serves on a free port of the loopback interface until it is closed.

    Args:
        policy: What answers.
        faults: What goes wrong with the first, second, ... request; None for nothing. Later ones go well.
    """

    def __init__(self, policy: Policy, faults: Sequence[Fault | None] = ()) -> None:
        self.model = PolicyChatModel(policy=policy)
        self.faults = deque(faults)
        self.requests: list[Recorded] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = _HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def record(self, path: str, body: dict[str, Any]) -> Fault | None:
        """Note one request; what goes wrong with it."""
        with self._lock:
            self.requests.append(Recorded(path, body))
            return self.faults.popleft() if self.faults else None


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # with the default of 5, a burst of connections waits a second for its second try


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.0"  # a connection per request: cached clients then keep no socket open
    timeout = 10
    routes: dict[str, Callable[[PolicyChatModel, wire.Body], wire.Body]] = {  # noqa: RUF012 - never changed
        "/v1/chat/completions": wire.chat_completion,
        "/v1/responses": wire.response,
        "/v1/completions": wire.completion,
    }

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.owner.record(self.path, body)
        if fault == "hang":
            self.owner.closing.wait(self.timeout)
        elif fault == "rate_limit":
            self._error(429, "Rate limit reached", "rate_limit_exceeded", {"Retry-After": str(RETRY_AFTER)})
        elif fault == "server_error":
            self._error(500, "The server had an error", "server_error")
        elif self.path not in self.routes:
            self._error(404, f"Unknown request URL: POST {self.path}", "invalid_request_error")
        else:
            self._answer(body, fault)

    def _answer(self, body: wire.Body, fault: Fault | None) -> None:
        try:
            answer = self.routes[self.path](self.owner.model, body)
        except (InvalidSettingError, wire.BadRequestError) as error:
            self._error(400, str(error), "invalid_request_error")
            return
        _spoil(answer, fault)
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            self._stream(list(wire.chat_chunks(answer, with_usage)), truncated=fault == "truncated")
            return
        payload = json.dumps(answer).encode()
        self._send(200, payload[: len(payload) // 2] if fault == "truncated" else payload)

    def _error(self, status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "type": kind, "param": None, "code": kind}
        self._send(status, json.dumps({"error": error}).encode(), headers)

    def _send(self, status: int, payload: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, events: Sequence[wire.Body], truncated: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        lines = lines[: len(lines) // 2] if truncated else [*lines, "data: [DONE]\n\n"]
        for line in lines:
            self.wfile.write(line.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _spoil(answer: wire.Body, fault: Fault | None) -> None:
    """Put a fault of the model, not of the transport, into the wire form of an answer."""
    for choice in answer.get("choices", []):
        _spoil_choice(choice, fault)
    for item in answer.get("output", []):
        if item["type"] == "message" and fault == "refusal":
            item["content"] = [{"type": "refusal", "refusal": REFUSAL}]
        elif item["type"] == "message" and fault in {"garbage", "content_filter"}:
            item["content"][0]["text"] = GARBAGE if fault == "garbage" else item["content"][0]["text"][:2]
    if "output" in answer and fault == "content_filter":
        answer |= {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}


def _spoil_choice(choice: wire.Body, fault: Fault | None) -> None:
    """One choice of the chat interface, whose text is in a message, or of the completions interface."""
    holder, text = (choice["message"], "content") if "message" in choice else (choice, "text")
    if fault == "refusal" and "message" in choice:
        holder |= {"content": None, "refusal": REFUSAL}
    elif fault == "content_filter":
        holder[text], choice["finish_reason"] = (holder[text] or "")[:2], "content_filter"
    elif fault == "garbage":
        holder[text] = GARBAGE
    if fault in {"no_logprobs", "refusal", "content_filter", "garbage"}:
        choice["logprobs"] = None
