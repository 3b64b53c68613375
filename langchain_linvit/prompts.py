"""The prompts of every request that the library sends to a chat model, and the marks that structure them.

An environment brings a description, never a prompt. Each request is one `ChatPromptTemplate` of
`PromptTemplates`, and each can be replaced. All of them show the goal, the history and the current state
in marked blocks; where messages hold several `<state>` blocks, the latest is the current one. The last
human message names the request in its heading, so that a simulated model knows what it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from langchain_core.messages import BaseMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_linvit.environments.base import Environment, ParsedAction, extract_action
from langchain_linvit.errors import InvalidSettingError

RequestKind = Literal[
    "next action", "next subgoal", "carry out subgoal", "judge progress", "write rules",
    "weigh actions", "choose by number", "imagine", "imagine answer", "plan", "reflect",
]  # fmt: skip
"""What a request asks for; it stands in its heading, `## Request: KIND`."""

_HEADING = re.compile(r"^## Request: (.+?)\s*$", re.MULTILINE)


_MARK = re.compile(r"</?(?:state|goal|history)>")


def block(name: str, text: str) -> str:
    """`text` in a marked block, e.g. `block("state", ...)` gives `<state>...</state>`."""
    return f"<{name}>\n{text}\n</{name}>"


def without_state_marks(text: str) -> str:
    """`text` without the marks of a situation's blocks: what others wrote must not pass for a state or a goal."""
    return _MARK.sub("", text)


def last_block(messages: Sequence[BaseMessage], name: str) -> str | None:
    """The content of the latest block of that name in `messages`; None where there is none."""
    pattern = re.compile(rf"<{name}>\n?(.*?)\n?</{name}>", re.DOTALL)
    for message in reversed(messages):
        found = pattern.findall(message.text)
        if found:
            return str(found[-1])
    return None


def request_kind(messages: Sequence[BaseMessage]) -> str | None:
    """The kind of request that `messages` make; None for a conversation that is none of the library's."""
    for message in reversed(messages):
        if message.type == "human":
            found = _HEADING.findall(message.text)
            return found[-1] if found else None
    return None


def history_text(steps: Sequence[tuple[str, str]], limit: int = 40) -> str:
    """The last `limit` (action, observation) pairs, numbered, as the prompts show them."""
    if not steps:
        return "(nothing yet)"
    first = max(0, len(steps) - limit)
    lines = [f"({first} earlier steps not shown)"] if first else []
    for number, (action, observation) in enumerate(steps[first:], first + 1):
        lines.append(f"{number}. {action}\n   -> {observation}")
    return "\n".join(lines)


def numbered(items: Sequence[str]) -> str:
    """`items` as a list numbered from 1, one a line."""
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


_SITUATION = "<goal>\n{goal}\n</goal>\n\n<history>\n{history}\n</history>\n\n<state>\n{state}\n</state>\n\n"
_SYSTEM = "You plan in the world described here, one step at a time.\n\n{description}"


def _template(kind: RequestKind, request: str, extra: str = "") -> ChatPromptTemplate:
    human = f"{_SITUATION}{extra}## Request: {kind}\n{request}"
    return ChatPromptTemplate.from_messages([("system", _SYSTEM), ("human", human)])


@dataclass(frozen=True)
class PromptTemplates:
    """One `ChatPromptTemplate` for each kind of request.

    Every template receives `description`, `goal`, `history` and `state`; the variables that a
    request has beside those are named with it below.
    """

    action: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "next action",
            "Which action should be taken next to reach the goal? Reply with one line:\nAction: <action>",
        )
    )
    subgoal: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "next subgoal",
            "What should be achieved next on the way to the goal? Name one small subgoal that a few actions "
            "can reach. Reply with one line:\nSubgoal: <subgoal>",
        )
    )
    carry_out: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "carry out subgoal",
            "Which action should be taken next to achieve the subgoal? Reply with one line:\n"
            "Action: <action>\nor, once the subgoal is achieved, with the line:\nDone",
            "<subgoal>\n{subgoal}\n</subgoal>\n\n",
        )
    )
    """Also receives `subgoal`."""
    critic: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "judge progress",
            "Break the goal down into the subgoals that it needs, and judge how many of them hold in the "
            "current state. Reply with one line:\nHolds: <number> of <number>",
        )
    )
    rules: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "write rules",
            "Write conditions on the text of a state that measure progress towards the goal. A condition is one of:\n"
            '{{"contains": "<literal text>"}}, {{"all": [conditions]}}, {{"any": [conditions]}}, {{"not": condition}}\n'
            "Reply with JSON only:\n"
            '{{"rules": [{{"weight": <positive number>, "when": <condition>}}, ...]}}',
        )
    )
    verbalise: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "weigh actions",
            "How likely is each of the numbered actions to be the best next one? Reply with JSON only, from the "
            'number to a probability; leave out what has none:\n{{"1": 0.6, "3": 0.4}}',
            "<actions>\n{actions}\n</actions>\n\n",
        )
    )
    """Also receives `actions`, a numbered list."""
    label: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "choose by number",
            "Which of the numbered actions should be taken next? Reply with its number only.",
            "<actions>\n{actions}\n</actions>\n\n",
        )
    )
    """Also receives `actions`, a numbered list."""
    imagine: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "imagine",
            "Predict what this action brings about: what is observed, and the whole state after it. An action "
            "that is not possible leaves the state as it is. Reply in this form and nothing else:\n"
            "Possible: yes or no\nSolved: yes or no\nObservation: what is observed\nState: the state after the action",
            "<action>\n{action}\n</action>\n\n",
        )
    )
    """Also receives `action`."""
    imagine_answer: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "imagine answer",
            "Predict what this tool call returns. Reply with JSON only, by the schema shown, where `succeeds` is the "
            "probability that the call ends without an error.",
            "<tool>\n{tool}\n</tool>\n\n<call>\n{call}\n</call>\n\n<schema>\n{schema}\n</schema>\n\n",
        )
    )
    """Also receives `tool` (its name and description), `call`, and `schema` (JSON schema of the reply)."""
    plan: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "plan",
            "First understand the goal. Then devise a plan that reaches it from the current state, step by step. "
            "Reply with the plan only, a numbered list with one step a line.",
        )
    )
    """What Plan-and-Solve asks for before it acts."""
    reflect: ChatPromptTemplate = field(
        default_factory=lambda: _template(
            "reflect",
            "This attempt ended here and did not reach the goal. What went wrong, and what should be done differently "
            "next time? Reply with one line:\nReflection: <reflection>",
        )
    )
    """What Reflexion and LATS ask for after an attempt that failed."""

    def with_note(self, name: str, text: str) -> PromptTemplates:
        """These templates with one more marked block in every request for an action, e.g. a plan to follow.

        Args:
            name: The block's name.
            text: What a model wrote; it is shown as it stands, but for the marks of other blocks.
        """
        shown = f"{block(name, without_state_marks(text))}\n\n".replace("{", "{{").replace("}", "}}")
        asked = ("action", "verbalise", "label")
        return replace(self, **{kind: _before_request(getattr(self, kind), shown) for kind in asked})


def with_request(template: ChatPromptTemplate, request: str) -> ChatPromptTemplate:
    """`template` with the words below the heading of its request replaced by `request`."""
    *before, last = template.messages
    situation, heading, words = _text_of(last).partition("## Request: ")
    kind = words.partition("\n")[0]
    return ChatPromptTemplate.from_messages([*before, ("human", f"{situation}{heading}{kind}\n{request}")])


def _before_request(template: ChatPromptTemplate, text: str) -> ChatPromptTemplate:
    """`template` with `text` above the heading of its request; at its end where it has none."""
    *before, last = template.messages
    situation, heading, request = _text_of(last).partition("## Request: ")
    return ChatPromptTemplate.from_messages([*before, ("human", situation + text + heading + request)])


def _text_of(message: object) -> str:
    """The text of the last message of a template.

    Raises:
        InvalidSettingError: It is no message template of plain text, so that nothing can be added to it.
    """
    text = getattr(getattr(message, "prompt", None), "template", None)
    if not isinstance(text, str):
        raise InvalidSettingError("the last message of a prompt template must be a plain text of a human message")
    return text


DEFAULT_TEMPLATES = PromptTemplates()


@dataclass(frozen=True, slots=True)
class Situation:
    """What a model is told of one state: all that a prior or a value estimator may know of it.

    Attributes:
        description: The environment's rules, action format and worked example.
        goal: What is to be reached.
        state: The current state as text.
        history: The (action, observation) pairs that led here, real ones first.
        admissible: Every action that can be taken, where the environment lists them.
        parse: The environment's `parse_action` for this state.
    """

    description: str
    goal: str
    state: str
    history: Sequence[tuple[str, str]] = ()
    admissible: Sequence[str] | None = None
    parse: Callable[[str], ParsedAction] = extract_action

    @classmethod
    def of(cls, environment: Environment, history: Sequence[tuple[str, str]]) -> Situation:
        """The situation of a live environment, reached by `history`."""
        return cls(
            environment.description,
            environment.goal,
            environment.state_text(),
            history,
            environment.admissible_actions(),
            environment.parse_action,
        )

    def messages(self, template: ChatPromptTemplate, **variables: str) -> list[BaseMessage]:
        """The prompt that `template` makes of this situation.

        What a model wrote before (`variables`) comes after the situation, and must not pass for one: the marks of
        the blocks that make up a situation are taken out of it.
        """
        return template.format_messages(
            description=self.description,
            goal=self.goal,
            history=history_text(self.history),
            state=self.state,
            **{name: without_state_marks(text) for name, text in variables.items()},
        )
