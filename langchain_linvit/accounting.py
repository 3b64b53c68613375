"""What a run may spend and what it has spent: budgets, usage, and the account of one unit of work.

A unit (one proposal request, one leaf's evaluation) gets a fixed share of what is left before it starts,
so that concurrent units never race for the last call and equal seeds give equal plans.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from langchain_linvit.errors import BudgetExhaustedError


class Budget(BaseModel):
    """Upper bounds on what one run may spend; None means no bound.

    When one runs out, the planner commits the best branch so far and reports `budget_exhausted`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    completions: int | None = Field(default=None, ge=0, description="Completions; k samples in one request are k.")
    tokens: int | None = Field(default=None, ge=0, description="Prompt and completion tokens together.")
    env_steps: int | None = Field(default=None, ge=0, description="Environment steps, simulated and real.")
    seconds: float | None = Field(default=None, ge=0, description="Wall time; a call still running then is given up.")


class Usage(BaseModel):
    """What a run has spent. `+` adds two of them."""

    model_config = ConfigDict(extra="forbid")

    llm_calls: int = Field(default=0, description="Completions asked for, failed ones included.")
    requests: int = Field(default=0, description="Requests to a model; one may carry several completions.")
    failed_requests: int = Field(default=0, description="Requests that raised, each attempt counted.")
    prompt_tokens: int = 0
    completion_tokens: int = 0
    env_steps_simulated: int = 0
    env_steps_real: int = 0
    forks: int = 0
    value_cache_hits: int = Field(default=0, description="Evaluations saved since an equal state had a value.")
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def env_steps(self) -> int:
        """Environment steps, simulated and real together."""
        return self.env_steps_simulated + self.env_steps_real

    def __add__(self, other: Usage) -> Usage:
        return Usage(**add_counts(self.model_dump(), other.model_dump()))


def add_counts(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """The sum of two dicts of counters, key by key: the reducer of a state's `usage`."""
    total = dict(left)
    for key, value in right.items():
        total[key] = total.get(key, 0) + value
    return total


def divide(total: int | None, shares: int) -> list[int | None]:
    """`total` in `shares` whole parts, the first ones larger by one; None is no bound for each."""
    if total is None:
        return [None] * shares
    each, rest = divmod(max(total, 0), shares)
    return [each + (index < rest) for index in range(shares)]


@dataclass(slots=True)
class Account:
    """The share of one unit of work: what it may still spend, and what it has spent.

    Attributes:
        completions, tokens, env_steps: What is left; None is no bound.
        deadline: `time.monotonic()` after which no call is made; None is no bound.
        spent: Counters by the names of `Usage`.
        refused: The first budget that turned a call down; None while none did.
    """

    completions: int | None = None
    tokens: int | None = None
    env_steps: int | None = None
    deadline: float | None = None
    spent: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None

    def split(self, shares: int) -> list[Account]:
        """Equal shares of what is left, for parts that run at once; `merge` brings them back."""
        parts = zip(
            divide(self.completions, shares), divide(self.tokens, shares), divide(self.env_steps, shares), strict=True
        )
        return [Account(calls, tokens, steps, self.deadline) for calls, tokens, steps in parts]

    def merge(self, parts: Sequence[Account]) -> None:
        """Take back what `parts` have spent and what they left."""
        for part in parts:
            self.count(part.spent)
            self.refused = self.refused or part.refused

    def count(self, counts: Mapping[str, Any]) -> None:
        """Add to what is spent, and take it from what is left."""
        self.spent = add_counts(self.spent, counts)
        if self.completions is not None:
            self.completions -= counts.get("llm_calls", 0)
        if self.tokens is not None:
            self.tokens -= counts.get("prompt_tokens", 0) + counts.get("completion_tokens", 0)
        if self.env_steps is not None:
            self.env_steps -= counts.get("env_steps_simulated", 0) + counts.get("env_steps_real", 0)

    def grant_completions(self, wanted: int) -> int:
        """How many of `wanted` completions may be asked for: at least one.

        Raises:
            BudgetExhaustedError: None is left, or the time is up.
        """
        self._check_time()
        if self.tokens is not None and self.tokens <= 0:
            raise self.refuse("tokens")
        if self.completions is None:
            return wanted
        if self.completions <= 0:
            raise self.refuse("completions")
        if self.completions < wanted:
            self.refused = self.refused or "completions"
        return min(wanted, self.completions)

    def grant_step(self) -> None:
        """Allow one environment step.

        Raises:
            BudgetExhaustedError: None is left, or the time is up.
        """
        self._check_time()
        if self.env_steps is not None and self.env_steps <= 0:
            raise self.refuse("env_steps")

    def left(self, what: str) -> float | None:
        """What is left of a budget, by the name of its field; None is no bound."""
        return {
            "completions": self.completions,
            "tokens": self.tokens,
            "env_steps": self.env_steps,
            "seconds": self.seconds_left(),
        }[what]

    def seconds_left(self) -> float | None:
        """Time until the deadline; None where there is none."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def _check_time(self) -> None:
        if self.seconds_left() == 0:
            raise self.refuse("seconds")

    def refuse(self, what: str) -> BudgetExhaustedError:
        """Note that the budget of `what` has run out, and return the error that says so."""
        self.refused = self.refused or what
        return BudgetExhaustedError(what)
