"""What providers' failures and incomplete answers say: whether to try again and when, and what an answer lacks."""

from __future__ import annotations

import math
from typing import Any

from langchain_core.messages import AIMessage

from langchain_linvit.errors import LinvitError

LONGEST_WAIT = 60.0
"""Seconds that a provider may ask to wait; more is taken for this much."""
PERMANENT = frozenset({400, 401, 403, 404, 413, 422})
"""HTTP status codes that another try won't change."""

_FILTERED = frozenset({
    "content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "guardrail_intervened",
})  # fmt: skip
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def is_transient(failure: Exception) -> bool:
    """Whether another try may help: not for a wrong key, a bad request, a bad setting or a programming error."""
    if isinstance(failure, LinvitError | TypeError | NotImplementedError):
        return False
    return getattr(failure, "status_code", None) not in PERMANENT


def retry_after(failure: Exception) -> float:
    """Seconds that the provider asks to wait, by the header `Retry-After`; 0 where it says nothing."""
    headers = getattr(getattr(failure, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after") or headers.get("Retry-After") or 0.0)
    except (TypeError, ValueError):  # a date: no provider of chat models sends one
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def answer_fault(message: AIMessage) -> str | None:
    """Why a message is no whole answer: refused, cut by a filter, or cut at its length; None for a whole one."""
    refusal = _refusal(message)
    if refusal is not None:
        return f"the model refused: {' '.join(refusal[:300].split())!r}"
    reason = _reason(message.response_metadata)
    if reason == "refusal":
        return "the model refused"
    if reason in _FILTERED:
        return f"the provider's content filter cut the answer ({reason})"
    if reason in _CUT:
        return f"the answer was cut at its longest ({reason}); raise the model's max_tokens"
    return None


def _refusal(message: AIMessage) -> str | None:
    """What the model said in place of an answer: beside the text (Chat Completions), or as a block (Responses)."""
    found: Any = message.additional_kwargs.get("refusal")
    if not found and isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "refusal"]
        found = blocks[0].get("refusal") or "no words" if blocks else None
    return str(found) if found else None


def _reason(metadata: dict[str, Any]) -> str:
    """Why the model stopped, in lower case, by whichever name the provider gives it."""
    incomplete = metadata.get("incomplete_details")
    stated = incomplete.get("reason") if isinstance(incomplete, dict) else None
    return str(stated or next((metadata[name] for name in _REASONS if metadata.get(name)), "")).lower()
