"""What an agent reads of an environment: its task, the outcome of an action, and why one was not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from pydantic import ValidationError

from langchain_linvit.environments.base import Environment, Transition, printable, shorten
from langchain_linvit.prompts import block, without_state_marks


def task_text(environment: Environment, observation: str) -> str:
    """The rules, the first observation, and the goal and the current state in marked blocks."""
    state = environment.state_text()
    told = "Take actions by calling your tools, one action per message."
    parts = [environment.description, told, *_seen(observation, state), block("goal", environment.goal)]
    return "\n\n".join([*parts, block("state", state)]).strip()


def outcome_text(transition: Transition, state: str | None) -> str:
    """What an action brought about: the observation, the state after it where it is shown, and the episode's end."""
    parts = _seen(transition.observation, state or "")
    parts += [block("state", state)] if state is not None else []
    parts += [end_text(transition)] if transition.done else []
    return "\n\n".join(parts) or "Done."


def outcome_artifact(action: str, transition: Transition) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "action": action,
        "reward": transition.reward,
        "done": transition.done,
        "solved": transition.solved,
        "info": transition.info,
    }


def error_text(transition: Transition) -> str:
    """Why an action could not be taken."""
    return f"Error: {transition.error}\nThe state is unchanged."


def end_text(transition: Transition) -> str:
    """How the episode ended with its last action."""
    return f"The episode is over{': the task is solved' if transition.solved else ''}."


def validation_message(error: ValidationError) -> str:
    """What is wrong with arguments, on one line, without repeating what was given."""
    faults = error.errors(include_input=False)[:5]
    told = [f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in faults]
    return printable(shorten(f"bad arguments: {'; '.join(told)}", 400))


def call_before(state: Any, call_id: str | None, names: frozenset[str]) -> str | None:
    """The name of the environment call that goes before the call `call_id` in its AI message; None if it is first.

    A call that was answered by an error (a person said no to it, say) doesn't go before others.

    Args:
        state: The agent's state, or its messages.
        call_id: Id of the call in question.
        names: Names of the environment's tools.
    """
    messages = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", state)
    if not isinstance(messages, list):
        return None
    failed = {m.tool_call_id for m in messages if isinstance(m, ToolMessage) and m.status == "error"}
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(call["id"] == call_id for call in message.tool_calls):
            standing = [c for c in message.tool_calls if c["name"] in names and c["id"] not in failed - {call_id}]
            return None if standing[0]["id"] == call_id else standing[0]["name"]
    return None


def _seen(observation: str, state: str) -> list[str]:
    """An observation that says something beside the state; it must not pass for a state."""
    return [without_state_marks(observation).strip()] if observation.strip() not in ("", state.strip()) else []
