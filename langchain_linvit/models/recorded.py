"""What a real model said on recorded tasks, replayed as a chat model: experiments with real proposals, offline."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_linvit.environments.base import shorten
from langchain_linvit.environments.intercode.answers import extract_code
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.policy import PolicyChatModel
from langchain_linvit.models.replies import Reply, ToolReply, ToolSchema, tool_name, tool_parameters
from langchain_linvit.prompts import last_block, request_kind

NOTHING_RECORDED = "(nothing was recorded)"
"""The answer where a plan or a reflection is asked for: methods that want one go on without."""

_LONGEST_ACTION = 20_000
_ACTION_WORDS = ("query", "command", "action")
"""Parameters by which a tool takes a whole action."""
_SUBMIT = "submit"
_QUERY_LOOKS = re.compile(r"\s*(show|desc|describe|explain|use)\b|.*\binformation_schema\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Recording:
    """The actions of a recorded model by question, with their counts.

    It holds what the model wrote and nothing of what came of it: no observation, no reward, no gold.
    """

    actions: Mapping[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, paths: Iterable[str | Path], keep: Callable[[str], bool] | None = None) -> Self:
        """Read InterCode logs, `.json` or `.json.xz`; logs of the same questions add up.

        Args:
            paths: Files of one of InterCode's formats (`{"0": {"query", "turn_history"}}`, the same under
                `logs`), or lists of `{"query", "actions"}`.
            keep: Which actions count; all by default.

        Raises:
            InvalidSettingError: A file can't be read or is not of that shape.
        """
        found: dict[str, Counter[str]] = {}
        for path in paths:
            for question, written in _episodes(Path(path)):
                counts = found.setdefault(_folded(question), Counter())
                counts.update(
                    action for text in written if (action := _action(text)) and (keep is None or keep(action))
                )
        return cls(found)

    def of(self, question: str) -> Counter[str]:
        """The actions that were recorded for a question; none where it was not asked."""
        return self.actions.get(_folded(question), Counter())


@dataclass(frozen=True)
class RecordedPolicy:
    """A policy for `PolicyChatModel`: the recorded actions of the prompt's question, by their shares."""

    recording: Recording

    def __call__(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSchema]) -> Mapping[Any, float]:
        """Replies of the form `Action: ...`; in an agent's conversation, tool calls.

        There, an action that worked is submitted, where there is a tool for it, and a word ends the run.

        Raises:
            InvalidSettingError: The request is not for an action, its question was not recorded, or no tool takes
                such an action.
        """
        kind = request_kind(messages)
        if kind in {"plan", "reflect"}:
            return {NOTHING_RECORDED: 1.0}
        if kind not in (None, "next action"):
            raise InvalidSettingError(f"a recorded model can only propose actions; it can't answer {kind!r} requests")
        question = last_block(messages, "goal") or next((m.text for m in reversed(messages) if m.type == "human"), "")
        counts = self.recording.of(question)
        if not counts:
            raise InvalidSettingError(f"no action was recorded for the question {shorten(question)!r}")
        if tools and kind is None:
            return _in_conversation(counts, messages, tools)
        return {f"Action: {action}": float(count) for action, count in counts.items()}


def _in_conversation(
    counts: Counter[str], messages: Sequence[BaseMessage], tools: Sequence[ToolSchema]
) -> dict[Reply, float]:
    parameters = {tool_name(tool): list(tool_parameters(tool)) for tool in tools}
    taking = next((name for name, names in parameters.items() if names in ([word] for word in _ACTION_WORDS)), None)
    if taking is None:
        raise InvalidSettingError(f"none of the tools {sorted(parameters)} takes one of {', '.join(_ACTION_WORDS)}")
    last = messages[-1]
    if not isinstance(last, ToolMessage) or (last.status == "error" and last.name == taking):
        return {ToolReply(taking, {parameters[taking][0]: action}): float(n) for action, n in counts.items()}
    over = last.name == _SUBMIT or _SUBMIT not in parameters
    return {"That is my answer.": 1.0} if over else {ToolReply(_SUBMIT): 1.0}


class RecordedChatModel(PolicyChatModel):
    """A chat model that proposes what a real model wrote on the same question, with its empirical shares.

    It reads the question from the prompt (the `<goal>` block, else the last human message), and knows nothing
    of golds, rewards and states: it proposes the same at every step.

    Example:
        .. code-block:: python

            model = RecordedChatModel.from_logs("ic_sql_react_10_turns.json", keep=answers_only)
            planner = create_slinvit_planner(model, SqlEnvironment(), value="agreement", horizon=1, depth=1)
    """

    @classmethod
    def from_logs(
        cls, *paths: str | Path, keep: Callable[[str], bool] | None = None, **fields: Any
    ) -> RecordedChatModel:  # fmt: skip
        """A model from InterCode logs; see `Recording.load`, and `PolicyChatModel` for the fields."""
        return cls(**{"policy": RecordedPolicy(Recording.load(paths, keep)), "model": "recorded", **fields})


def answers_only(action: str) -> bool:
    """Whether an SQL action may answer a question: a query of data, not a look at the schema, no `submit`."""
    return action != "submit" and not _QUERY_LOOKS.match(action)


def _episodes(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        content = json.loads(raw)
        content = content.get("logs", content) if isinstance(content, dict) else content
        episodes = list(content.values()) if isinstance(content, dict) else content
        for episode in episodes:
            history = episode.get("turn_history", episode)
            yield str(episode["query"]), [str(action) for action in history["actions"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, lzma.LZMAError) as error:
        raise InvalidSettingError(f"{path} is no InterCode log: {error!r}") from error


def _action(text: str) -> str | None:
    return extract_code(text, limit=_LONGEST_ACTION, submit="submit").action


def _folded(question: str) -> str:
    return " ".join(question.split()).lower()
