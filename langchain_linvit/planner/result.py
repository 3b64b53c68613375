"""What a run of the planner, or of any other method, comes to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from langchain_linvit.accounting import Usage
from langchain_linvit.environments.base import Outcome, printable, shorten

PlanOutcome = Literal["solved", "done", "failed", "horizon", "budget_exhausted", "no_candidates"]
"""How a run ended: `solved`; `done` (over, and the agent can't see whether solved); `failed` (over, and plainly
not solved); `horizon` (out of steps); `budget_exhausted`; `no_candidates` (the model proposed nothing usable)."""


class PlanStep(BaseModel):
    """One action taken in the real environment."""

    model_config = ConfigDict(extra="forbid")

    action: str
    observation: str
    reward: float = 0.0
    error: str | None = None
    subgoal: str = Field(default="", description="The proposal that this action carried out.")
    log_prob: float | None = Field(default=None, description="log pi_LLM of that proposal.")
    provenance: str = Field(default="", description="Where that probability came from.")
    value: float | None = Field(default=None, description="V of the state that it led to, where it was estimated.")
    decision: int = Field(default=0, description="The decision that chose it, from 0.")


class TreeNode(BaseModel):
    """One node of the search, as it stood when its decision was taken."""

    model_config = ConfigDict(extra="forbid")

    id: str
    parent: str | None
    text: str
    decision: int
    status: Literal["root", "open", "kept", "pruned", "linked", "dead", "chosen"]
    log_prob: float | None = None
    provenance: str = ""
    value: float | None = None
    score: float | None = None
    reward: float = 0.0
    solved: bool | None = None
    error: str | None = None
    observation: str = ""


class PlanResult(BaseModel):
    """The outcome of one run, with all that is needed to see why.

    `success` and `verdict` are the benchmark's own and are set by evaluations only; the planner never asks.
    """

    model_config = ConfigDict(extra="forbid")

    task_id: str
    goal: str
    method: str = "slinvit"
    outcome: PlanOutcome
    reason: str = Field(default="", description="One line that explains the outcome.")
    plan: list[str] = Field(description="The actions taken, in order, illegal ones left out.")
    trajectory: list[PlanStep]
    tree: list[TreeNode] = Field(default_factory=list, description="Every node searched, parents before children.")
    usage: Usage
    unique_states: int = Field(default=0, description="Distinct states that the search simulated.")
    prior: dict[str, int] = Field(default_factory=dict, description="Proposals by provenance.")
    value: str = Field(default="", description="The value estimator's name; `oracle` where it saw the verdict.")
    budget_exhausted: str | None = Field(default=None, description="The first budget that ran out.")
    notes: list[str] = Field(default_factory=list, description="What went wrong on the way without stopping the run.")
    verdict: Outcome | None = Field(default=None, description="The benchmark's verdict, where one was asked for.")

    @property
    def solved(self) -> bool:
        """Whether the task is plainly solved, as the agent saw it."""
        return self.outcome == "solved"

    def __str__(self) -> str:
        lines = [f"{self.outcome}: {shorten(self.goal, 500)}" + (f" ({self.reason})" if self.reason else "")]
        lines += [f"  {number}. {shorten(step.action)}" for number, step in enumerate(self.trajectory, 1)]
        usage = self.usage
        lines.append(
            f"  {usage.llm_calls} completions in {usage.requests} requests, {usage.tokens} tokens, "
            f"{self.unique_states} states, {usage.env_steps} environment steps, {usage.seconds:.2f} s"
        )
        return "\n".join(printable(line) for line in lines)

    def __rich__(self) -> Any:
        """The outcome, plan, search tree and accounting, where `rich.print(result)` asks for them."""
        from langchain_linvit.display import result_view

        return result_view(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `PlanResult.model_validate` reads it back."""
        return self.model_dump(mode="json")
