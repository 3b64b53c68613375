"""The settings of a search inside of an agent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from langchain_linvit.planner.settings import SearchSettings

OnBudget = Literal["best", "pass_through", "error"]
"""What happens once the budget is spent: the best candidate so far is taken, the model's own message is, or the run
fails with `BudgetExhaustedError`. Later model calls of the run are not searched any more in any case."""
LookaheadOver = Literal["actions", "messages"]
"""What follows a simulated environment action: the likeliest actions by the model's prior, with one request a state
where the environment lists its admissible ones; or messages of the agent, sampled as at the real state. What follows a
call of another tool is always messages."""


class AgentSearchSettings(SearchSettings):
    """How `SLINVITMiddleware` searches; the names that the planner has mean the same here."""

    candidates: int | None = Field(
        default=4, ge=1, description="k: messages sampled per model call; None scores every admissible action instead."
    )
    depth: int = Field(default=1, ge=1, description="N: messages to look ahead.")
    lookahead: LookaheadOver = Field(default="actions", description="What follows a simulated environment action.")
    temperature: float | None = Field(default=None, ge=0, description="Of the samples; None leaves the model's own.")
    smoothing: float = Field(default=0.5, ge=0, description="Pseudo-count of the samples' frequencies.")
    on_budget: OnBudget = Field(default="best", description="What happens once the budget is spent.")
    record_tree: bool = Field(default=True, description="Whether the trace carries what lies below the candidates.")
