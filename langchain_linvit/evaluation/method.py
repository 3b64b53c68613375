"""One interface for the planner and every baseline: a task, a model, a budget and a seed in, a result out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar

from langchain_linvit.accounting import Account, Budget, Usage
from langchain_linvit.calls import IO, AsyncIO, Caller, Retry, SyncIO, drive
from langchain_linvit.environments.base import Environment, ParsedAction, Task, Transition
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.planner.graph import create_slinvit_planner, make_value
from langchain_linvit.planner.result import PlanOutcome, PlanResult, PlanStep, TreeNode
from langchain_linvit.planner.settings import DEFAULT_HORIZON, PRESETS, PlannerSettings
from langchain_linvit.priors import PolicyPrior
from langchain_linvit.prompts import Situation

UNLIMITED = Budget()
MAX_FAILURES = 3
"""Calls in a row that may fail for good before a method gives up asking."""
_ARGUMENTS = set(signature(create_slinvit_planner).parameters)
"""What a planner is made with, beside the fields of its settings."""


class Method(ABC):
    """A way to solve tasks. `solve` and `asolve` are the same algorithm, sync and async."""

    name: str
    """What tables call it."""

    uses_model: ClassVar[bool] = True
    """Whether it takes the chat model that it is given."""

    own_prior: ClassVar[str] = "none"
    """What tables call its prior where it takes no chat model."""

    def value_name(self) -> str:
        """The value estimator that the method uses; empty for none. Default: none."""
        return ""

    @abstractmethod
    def solve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Solve one task.

        Args:
            task: What to solve.
            model: The chat model; None for methods that need none.
            budget: Upper bounds on what the run may spend.
            seed: What every random choice derives from.
        """

    @abstractmethod
    async def asolve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """`solve` in an event loop."""


class SlinvitMethod(Method):
    """SLINVIT, made anew for every model, budget and seed (arXiv 2402.16181, algorithm 2).

    Args:
        environment: A prototype or a factory.
        name: What tables call it.
        **settings: Keyword arguments of `create_slinvit_planner`.

    Raises:
        InvalidSettingError: A setting is unknown, out of range, or contradicts another.
    """

    def __init__(
        self, environment: Environment | Callable[[], Environment], *, name: str = "slinvit", **settings: Any
    ) -> None:  # fmt: skip
        self.name = name
        self._environment = environment
        self._settings = settings
        preset = settings.get("preset")
        if preset is not None and preset not in PRESETS:
            raise InvalidSettingError(f"no preset {preset!r}; there are {', '.join(sorted(PRESETS))}")
        searching = {**PRESETS.get(preset or "", {}), **settings}
        PlannerSettings.checked(**{key: searching[key] for key in searching.keys() - _ARGUMENTS})

    def solve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Plan one task."""
        planner = create_slinvit_planner(model, self._environment, budget=budget, seed=seed, **self._settings)
        return self._named(planner.invoke({"task": task}))

    async def asolve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Plan one task in an event loop."""
        planner = create_slinvit_planner(model, self._environment, budget=budget, seed=seed, **self._settings)
        return self._named(await planner.ainvoke({"task": task}))

    def value_name(self) -> str:
        """The estimator of the planner's settings, or of its preset."""
        preset = PRESETS.get(self._settings.get("preset") or "", {})
        return make_value(self._settings.get("value") or preset.get("value") or "rollouts").name

    def _named(self, output: dict[str, Any]) -> PlanResult:
        result: PlanResult = output["result"]
        return result.model_copy(update={"method": self.name})


@dataclass
class Episode:
    """One real episode of a baseline: what was done, and what it cost.

    Attributes:
        environment: The real environment, at its current state.
        caller: What models and environments are called through.
        horizon: Steps that may be taken.
        history: (action, observation) pairs so far, as prompts show them.
        steps: The same for the result.
        last: The last transition.
        seen: Keys of the states that were simulated.
        notes: What went wrong on the way.
        tree: The nodes of the method's search, where it has one.
        prior: Proposals by provenance.
        failures: Calls in a row that failed for good.
    """

    environment: Environment
    caller: Caller
    horizon: int
    history: list[tuple[str, str]] = field(default_factory=list)
    steps: list[PlanStep] = field(default_factory=list)
    last: Transition = field(default_factory=lambda: Transition(""))
    seen: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    tree: list[TreeNode] = field(default_factory=list)
    prior: dict[str, int] = field(default_factory=dict)
    failures: int = 0

    def failed(self, failure: ModelCallError) -> None:
        """Note a call that failed for good; a method may go on, but not after `MAX_FAILURES` in a row.

        Raises:
            ModelCallError: `failure`, where there were too many.
        """
        self.notes.append(str(failure))
        self.failures += 1
        if self.failures >= MAX_FAILURES:
            raise failure

    @property
    def over(self) -> bool:
        """Whether nothing more can be done."""
        return self.last.done or bool(self.environment.solved) or len(self.steps) >= self.horizon

    async def act(self, parsed: ParsedAction | None) -> None:
        """Carry out what a model answered; what can't be read costs a step like any illegal action."""
        if parsed is None or parsed.action is None:
            error = (parsed.error if parsed else None) or "no action"
            self.last = Transition("", error=error)
            action = "(no action)"
        else:
            action = parsed.action
            self.last = await self.caller.step(self.environment, action, real=True)
        observation = self.last.error or self.last.observation
        self.history.append((action, observation))
        self.steps.append(
            PlanStep(action=action, observation=observation, reward=self.last.reward, error=self.last.error)
        )

    def outcome(self) -> tuple[PlanOutcome, str]:
        """How the episode ended, and why."""
        if self.environment.solved:
            return "solved", f"in {len(self.steps)} steps"
        if self.last.done:
            return ("done", "the episode is over") if self.environment.solved is None else ("failed", "not solved")
        if self.caller.account.refused:
            return "budget_exhausted", f"the budget of {self.caller.account.refused} ran out"
        if self.notes and len(self.steps) < self.horizon:
            return "no_candidates", "; ".join(self.notes[-2:])
        return "horizon", f"not solved within {self.horizon} steps"


class EpisodeMethod(Method):
    """A baseline whose algorithm is one coroutine over an `Episode`.

    Args:
        environment: A prototype or a factory.
        horizon: Real steps; None takes the environment's own.
        value: The estimator or function that rates ends, where the method needs one.
        retries, retry_delay: How failing model calls are tried again.
    """

    def __init__(
        self,
        environment: Environment | Callable[[], Environment],
        *,
        horizon: int | None = None,
        value: Any = "critic",
        retries: int = 5,
        retry_delay: float = 0.5,
    ) -> None:
        self._spawn = environment.spawn if isinstance(environment, Environment) else environment
        self._horizon = horizon
        self._value = make_value(value)
        self._retry = Retry(retries + 1, retry_delay)

    def solve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Solve one task."""
        return drive(self._solve(task, model, budget, seed, SyncIO()))

    async def asolve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Solve one task in an event loop."""
        return await self._solve(task, model, budget, seed, AsyncIO())

    @abstractmethod
    async def run(self, episode: Episode, model: Any) -> None:
        """Act in the episode until it is over; a spent budget may raise through."""

    async def _solve(self, task: Task, model: Any, budget: Budget, seed: int, io: IO) -> PlanResult:
        started = time.monotonic()
        deadline = None if budget.seconds is None else started + budget.seconds
        account = Account(budget.completions, budget.tokens, budget.env_steps, deadline)
        with closing(self._spawn()) as environment:
            await io.run(environment, lambda: environment.reset(task))
            horizon = self._horizon or environment.horizon or DEFAULT_HORIZON
            episode = Episode(environment, Caller(io, account, seed, self._retry), horizon)
            try:
                if not episode.over:
                    await self.run(episode, model)
            except (BudgetExhaustedError, ModelCallError):
                pass  # the episode knows why: a refused budget, or notes of what failed
            return self._result(task, episode, time.monotonic() - started)

    def _result(self, task: Task, episode: Episode, seconds: float) -> PlanResult:
        outcome, reason = episode.outcome()
        return PlanResult(
            task_id=task.id,
            goal=episode.environment.goal,
            method=self.name,
            outcome=outcome,
            reason=reason,
            plan=[step.action for step in episode.steps if step.error is None],
            trajectory=episode.steps,
            usage=Usage(**{**episode.caller.account.spent, "seconds": seconds}),
            tree=episode.tree,
            prior=episode.prior,
            unique_states=len(episode.seen),
            value=self.value_name(),
            budget_exhausted=episode.caller.account.refused,
            notes=list(dict.fromkeys(episode.notes)),
        )


async def commit(episode: Episode, actions: Sequence[str]) -> None:
    """Carry out a plan that was found in forks."""
    for action in actions:
        if episode.over:
            return
        await episode.act(ParsedAction(action))


async def act_greedily(episode: Episode, policy: PolicyPrior, name: str) -> None:
    """Ask `policy` for an action, take it, and so on until the episode is over; a failed call is asked for again.

    Raises:
        BudgetExhaustedError: A budget has run out.
        ModelCallError: `MAX_FAILURES` calls in a row failed for good.
    """
    while not episode.over:
        situation = Situation.of(episode.environment, episode.history)
        try:
            parsed = await policy.act(situation, None, episode.caller, path=[name, len(episode.steps)])
        except ModelCallError as failure:
            episode.failed(failure)
            continue
        episode.failures = 0
        await episode.act(parsed)
