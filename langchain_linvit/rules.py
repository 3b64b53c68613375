"""Rules that a chat model writes once per task, as validated data: the paper's "rule-based" value.

A rule is a weighted condition on the state text: literal containment, combined by and / or / not. There
is no code and no regular expression in it, so that what a model writes can do nothing but be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.priors import MAX_WEIGHT, PolicyPrior, json_object
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation
from langchain_linvit.values import Leaf, ValueEstimate, ValueEstimator

MAX_DEPTH = 8
"""How deep conditions may nest."""
MAX_RULES = 50
"""Rules in one set, and conditions in one combination."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contains(_Strict):
    """The state text contains this literal text, whatever the case."""

    contains: str = Field(min_length=1, max_length=500)

    def holds(self, text: str) -> bool:
        """Whether it does; `text` is in lower case."""
        return self.contains.lower() in text


class All(_Strict):
    """Every one of these conditions holds."""

    all: list[Condition] = Field(min_length=1, max_length=MAX_RULES)

    def holds(self, text: str) -> bool:
        """Whether they do; `text` is in lower case."""
        return all(condition.holds(text) for condition in self.all)


class Any_(_Strict):  # noqa: N801 - the builtin's name is what the data says
    """At least one of these conditions holds."""

    any: list[Condition] = Field(min_length=1, max_length=MAX_RULES)

    def holds(self, text: str) -> bool:
        """Whether one does; `text` is in lower case."""
        return any(condition.holds(text) for condition in self.any)


class Not(_Strict):
    """This condition does not hold."""

    negated: Condition = Field(alias="not")

    def holds(self, text: str) -> bool:
        """Whether it does not; `text` is in lower case."""
        return not self.negated.holds(text)


def _kind(value: Any) -> str | None:
    if isinstance(value, _Strict):
        value = value.__dict__
    keys = ["not" if key == "negated" else key for key in value] if isinstance(value, Mapping) else []
    return keys[0] if len(keys) == 1 else None


Condition = Annotated[
    Annotated[Contains, Tag("contains")]
    | Annotated[All, Tag("all")]
    | Annotated[Any_, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(_kind),
]


class Rule(_Strict):
    """A condition and how much it counts."""

    weight: float = Field(gt=0, le=MAX_WEIGHT)
    when: Condition


class RuleSet(_Strict):
    """Rules whose weighted share that holds is the value of a state."""

    rules: list[Rule] = Field(min_length=1, max_length=MAX_RULES)

    @classmethod
    def parse(cls, text: str) -> RuleSet:
        """The rules in a model's answer.

        Raises:
            ValueError: It holds no valid rules; the message says what is wrong, in one line.
        """
        data = json_object(text)
        if data is None:
            raise ValueError(f"no JSON object in the answer {shorten(text, 80)!r}")
        if _depth(data) > 3 + 2 * MAX_DEPTH:
            raise ValueError(f"conditions nest deeper than {MAX_DEPTH}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = shorten(".".join(map(str, first["loc"])), 120)
            raise ValueError(f"{where}: {shorten(first['msg'], 120)}") from None

    def value(self, state_text: str) -> float:
        """The weighted share of the rules that hold in a state, in [0, 1]."""
        text = state_text.lower()
        total = math.fsum(rule.weight for rule in self.rules)
        return math.fsum(rule.weight for rule in self.rules if rule.when.holds(text)) / total


def _depth(data: Any) -> int:
    """Nesting of lists and dicts, counted without recursion: the data is untrusted."""
    depth, level = 0, [data]
    while level:
        depth += 1
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
    return depth


@dataclass(frozen=True)
class RuleValue(ValueEstimator):
    """The share of rules that hold, written once per task by the chat model from the goal and first state.

    Args:
        model: Who writes them; None takes the planner's model.
        templates: The prompts.
    """

    model: BaseChatModel | Runnable[Any, Any] | str | None = None
    templates: PromptTemplates = DEFAULT_TEMPLATES
    name: str = "llm_rules"
    per_leaf: bool = False
    sampling: SamplingModel | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.sampling is None and self.model is not None:
            object.__setattr__(self, "sampling", SamplingModel.of(self.model))

    def bound_to(self, prior: PolicyPrior, model: Any) -> ValueEstimator:
        """With the planner's model, where it has none of its own."""
        del prior
        return self if self.sampling is not None or model is None else replace(self, model=model)

    async def prepare(self, situation: Situation, caller: Caller) -> dict[str, Any]:
        """The rules for this task; an unusable answer is asked for once more, then the error is kept."""
        if self.sampling is None:
            raise InvalidSettingError("rules have no model to write them; pass RuleValue(model=...)")
        messages = situation.messages(self.templates.rules)
        error = ""
        for attempt in range(2):
            answer = (await caller.complete(self.sampling, messages, path=["rules", attempt]))[0]
            try:
                return RuleSet.parse(answer.text).model_dump(by_alias=True)
            except ValueError as invalid:
                error = answer.fault or str(invalid)
        return {"error": f"the model wrote no usable rules: {error}"}

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The weighted share of the task's rules that hold in each leaf."""
        del caller
        if "rules" not in prepared:
            error = str(prepared.get("error", "no rules were prepared"))
            return [ValueEstimate(0.0, self.name, error=error) for _ in leaves]
        rules = RuleSet.model_validate(prepared)
        return [ValueEstimate(rules.value(leaf.situation.state), self.name) for leaf in leaves]
