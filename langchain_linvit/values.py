"""V^: estimates, in [0, 1], of the chance to solve a task from the leaf of a search.

A hand-written function, a critic, sibling agreement, the benchmark's own verdict (labelled as the oracle), and
weighted blends; `rollouts.py` has the default, Monte-Carlo rollouts, and `rules.py` the rules that a model writes.
Source: arXiv 2402.16181, section 4.2 (value estimation in SLINVIT).
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import Environment, shorten
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.priors import PolicyPrior
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node whose value is wanted.

    Attributes:
        id: The node, stable over processes: what seeds derive from.
        situation: What a model may know of it.
        environment: Live, at the leaf's state; fork it, never step it.
        remaining: Environment steps left until the horizon.
        parent: The node it was proposed from.
        log_prob: pi_LLM of it among its siblings.
        observation: What its last action brought to light.
        agreement: The prior's mass, in [0, 1], of its live siblings (itself included) that reached the same state.
    """

    id: str
    situation: Situation
    environment: Environment
    remaining: int
    parent: str = ""
    log_prob: float = 0.0
    observation: str = ""
    agreement: float = 1.0


@dataclass(frozen=True, slots=True)
class Solution:
    """A way from a leaf to a plainly solved end, found in a fork.

    Attributes:
        steps: (action, observation) pairs, those left out that changed nothing.
        state_key: Of the end; None where the environment knows none.
    """

    steps: Sequence[tuple[str, str]]
    state_key: str | None = None


@dataclass(frozen=True, slots=True)
class ValueEstimate:
    """An estimated chance to solve the task, with what it is based on.

    Attributes:
        value: In [0, 1].
        source: The estimator's name.
        detail: One line for a person, e.g. `3 of 4 rollouts solved`.
        error: Why there is no better estimate; `value` is 0 then.
        solution: A solution that was come upon; a search that forks may carry it out.
    """

    value: float
    source: str
    detail: str = ""
    error: str | None = None
    solution: Solution | None = None


def shortest(solutions: Iterable[Solution | None]) -> Solution | None:
    """The solution of the fewest steps; None where there is none."""
    found = [solution for solution in solutions if solution is not None]
    return min(found, key=lambda solution: len(solution.steps), default=None)


class ValueEstimator(ABC):
    """An estimator of V^. Subclass it to bring your own; `estimate` is all it needs."""

    name: str = "custom"
    """How tables and results label it."""
    per_leaf: bool = True
    """Whether leaves are evaluated one a unit, at once and resumable; else all of a layer together."""
    uses_horizon: bool = False
    """Whether an estimate depends on the remaining steps, and so is shared only between equal ones."""
    compares: bool = False
    """Whether an estimate depends on where the siblings lead, and so can be made only once all of them are known."""

    @abstractmethod
    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """One estimate for each leaf, in their order.

        Args:
            leaves: Distinct states of one layer (of one unit: a single leaf, where `per_leaf`).
            caller: What models and environments are called through.
            prepared: What `prepare` returned for this task.
        """

    async def prepare(self, situation: Situation, caller: Caller) -> dict[str, Any]:
        """Plain data made once per task from its first situation, e.g. rules. Default: none."""
        del situation, caller
        return {}

    def bound_to(self, prior: PolicyPrior, model: Any) -> ValueEstimator:
        """This estimator with the planner's prior and model where it has none of its own. Default: itself."""
        del prior, model
        return self


@dataclass(frozen=True)
class FunctionValue(ValueEstimator):
    """A hand-written function `(state_text, goal) -> value in [0, 1]`: the paper's rule-based estimator."""

    function: Callable[[str, str], float]
    name: str = "rules"
    per_leaf: bool = False

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The function's value of each leaf.

        Raises:
            InvalidSettingError: The function's value is outside of [0, 1].
        """
        del caller, prepared
        estimates = []
        for leaf in leaves:
            value = float(self.function(leaf.situation.state, leaf.situation.goal))
            if not 0 <= value <= 1:
                raise InvalidSettingError(f"the value function returned {value}; it must stay in [0, 1]")
            estimates.append(ValueEstimate(value, self.name))
        return estimates


_HOLDS = re.compile(r"(\d{1,6})\s*(?:of|/|out of)\s*(\d{1,6})", re.IGNORECASE)


@dataclass(frozen=True)
class CriticValue(ValueEstimator):
    """The chat model judges how many of the needed subgoals hold, of how many.

    Args:
        model: The critic; None takes the planner's model.
        samples: Judgements per leaf, averaged.
        templates: The prompts.
    """

    model: BaseChatModel | Runnable[Any, Any] | str | None = None
    samples: int = 1
    templates: PromptTemplates = DEFAULT_TEMPLATES
    name: str = "critic"
    sampling: SamplingModel | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InvalidSettingError(f"samples must be at least 1, not {self.samples}")
        if self.sampling is None and self.model is not None:
            object.__setattr__(self, "sampling", SamplingModel.of(self.model))

    def bound_to(self, prior: PolicyPrior, model: Any) -> ValueEstimator:
        """With the planner's model as the critic, where it has none of its own."""
        del prior
        return self if self.sampling is not None or model is None else replace(self, model=model)

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The critic's share of subgoals that hold, for each leaf."""
        del prepared
        return await caller.gather([lambda part, leaf=leaf: self._judge_leaf(leaf, part) for leaf in leaves])  # type: ignore[misc]

    async def _judge_leaf(self, leaf: Leaf, caller: Caller) -> ValueEstimate:
        return await self.judge(leaf.situation, caller, path=[leaf.id])

    async def judge(self, situation: Situation, caller: Caller, *, path: Sequence[object]) -> ValueEstimate:
        """The share of subgoals that hold in `situation`; an unreadable answer is asked for once more."""
        if self.sampling is None:
            raise InvalidSettingError("the critic has no model; pass CriticValue(model=...)")
        messages = situation.messages(self.templates.critic)
        answer = "nothing"
        for attempt in range(2):
            answers = await caller.complete(
                self.sampling, messages, path=[*path, "critic", attempt], n=self.samples
            )  # fmt: skip
            read = [held_share(answer.text) for answer in answers if not answer.fault]
            shares = [share for share in read if share is not None]
            if shares:
                return ValueEstimate(math.fsum(shares) / len(shares), self.name, shorten(answers[0].text, 80))
            answer = answers[0].fault or repr(shorten(answers[0].text, 80))
        return ValueEstimate(0.0, self.name, error=f"the critic's answer has no line `Holds: a of b`: {answer}")


def held_share(text: str) -> float | None:
    """`a / b` from the last `a of b` in a critic's answer; None where there is none or b is 0."""
    found = _HOLDS.findall(text[-2_000:])
    if not found or int(found[-1][1]) == 0:
        return None
    return min(int(found[-1][0]) / int(found[-1][1]), 1.0)


@dataclass(frozen=True)
class AgreementValue(ValueEstimator):
    """Sibling agreement: how much of the prior's mass leads to the same state (a query's rows, a command's effect).

    It needs no further model call and no oracle: several ways to one result speak for it. Source: execution-based
    self-consistency (Shi et al., arXiv 2204.11454, MBR-EXEC), with the prior's probabilities as the weights.
    """

    name: str = "agreement"
    per_leaf: bool = False
    compares: bool = True

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The mass that agrees with each leaf."""
        del caller, prepared
        return [ValueEstimate(leaf.agreement, self.name, f"{leaf.agreement:.0%} agree") for leaf in leaves]


@dataclass(frozen=True)
class OracleValue(ValueEstimator):
    """The benchmark's own verdict on the leaf, as the paper's InterCode search reads it: for study only.

    It sees what no agent may see; results label it `oracle` everywhere.
    """

    name: str = "oracle"

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The score that the benchmark gives to each leaf."""
        del prepared
        estimates = []
        for leaf in leaves:
            with closing(await caller.fork(leaf.environment)) as environment:
                outcome = await caller.io.run(environment, environment.evaluate)
            estimates.append(ValueEstimate(outcome.score, self.name))
        return estimates


@dataclass(frozen=True)
class BlendValue(ValueEstimator):
    """A weighted mean of several estimators.

    Args:
        parts: (weight, estimator) pairs; weights are positive and are normalised.
    """

    parts: Sequence[tuple[float, ValueEstimator]]

    def __post_init__(self) -> None:
        if not self.parts or any(not 0 < weight < math.inf for weight, _ in self.parts):
            raise InvalidSettingError("a blend needs at least one part, each with a positive finite weight")

    @property
    def name(self) -> str:  # type: ignore[override]
        """The parts' names, joined."""
        return "+".join(part.name for _, part in self.parts)

    @property
    def per_leaf(self) -> bool:  # type: ignore[override]
        """Whether every part may be asked leaf by leaf."""
        return all(part.per_leaf or isinstance(part, FunctionValue) for _, part in self.parts)

    @property
    def uses_horizon(self) -> bool:  # type: ignore[override]
        """Whether any part depends on the remaining steps."""
        return any(part.uses_horizon for _, part in self.parts)

    @property
    def compares(self) -> bool:  # type: ignore[override]
        """Whether any part depends on the siblings."""
        return any(part.compares for _, part in self.parts)

    def bound_to(self, prior: PolicyPrior, model: Any) -> ValueEstimator:
        """Every part bound to the planner's prior and model."""
        return replace(self, parts=[(weight, part.bound_to(prior, model)) for weight, part in self.parts])

    async def prepare(self, situation: Situation, caller: Caller) -> dict[str, Any]:
        """What every part prepares, by its place."""
        return {str(index): await part.prepare(situation, caller) for index, (_, part) in enumerate(self.parts)}

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The weighted mean of the parts' estimates for each leaf."""
        columns = await caller.gather(
            [
                lambda share, part=part, index=index: part.estimate(leaves, share, prepared.get(str(index), {}))  # type: ignore[misc]
                for index, (_, part) in enumerate(self.parts)
            ]
        )
        total = math.fsum(weight for weight, _ in self.parts)
        blended = []
        for row in zip(*columns, strict=True):
            value = math.fsum(weight * e.value for (weight, _), e in zip(self.parts, row, strict=True)) / total
            error = next((estimate.error for estimate in row if estimate.error), None)
            detail = ", ".join(f"{estimate.source} {estimate.value:.2f}" for estimate in row)
            solution = shortest(estimate.solution for estimate in row)
            blended.append(ValueEstimate(value, self.name, detail, error, solution))
        return blended
