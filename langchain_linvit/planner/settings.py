"""The planner's settings, validated once, and the paper's own as named presets."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.planner.selection import Selection

DEFAULT_HORIZON = 20
"""Environment steps where neither the user nor the environment names a horizon."""


class SearchSettings(BaseModel):
    """What every SLINVIT search is set by (algorithm 2 of arXiv 2402.16181, with the names of its symbols)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int | None = Field(
        default=3, ge=1, description="m: proposals asked per node; None scores every admissible action."
    )
    breadth: int | None = Field(default=None, ge=1, description="k: children kept per node; None keeps all.")
    beam: int | None = Field(default=None, ge=1, description="Children kept per layer; None keeps all.")
    depth: int = Field(default=2, ge=1, description="N: layers of subgoals to look ahead.")
    kl_coef: float = Field(default=0.1, ge=0, description="lambda: the weight of log pi_LLM against values in [0, 1].")
    horizon: int | None = Field(
        default=None, ge=1, description="Real environment steps; None takes the environment's own, else 20."
    )
    selection: Selection = Field(default="hard", description="Hard score, soft backup, or a sample of the soft policy.")
    budget: Budget = Field(default_factory=Budget, description="Upper bounds on what a run may spend.")
    seed: int = Field(default=0, description="What every random choice and every call's seed derives from.")
    max_concurrency: int = Field(default=64, ge=1, description="Model calls under way at once in one run.")
    retries: int = Field(default=5, ge=0, description="How often a failing model call is tried again.")
    retry_delay: float = Field(default=0.5, ge=0, description="Seconds before the first retry; doubles each time.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.candidates is not None and self.breadth is not None and self.breadth > self.candidates:
            raise ValueError(f"breadth {self.breadth} can't exceed candidates {self.candidates}")
        return self

    @property
    def layerwise(self) -> bool:
        """Whether every layer is evaluated and pruned; else only the leaves are evaluated, as in the paper."""
        if self.beam is not None:
            return True
        return self.breadth is not None and (self.candidates is None or self.breadth < self.candidates)

    @classmethod
    def checked(cls, **settings: Any) -> Self:
        """Settings, or one `InvalidSettingError` that names what is wrong with them.

        Raises:
            InvalidSettingError: A setting is unknown, out of range, or contradicts another.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise InvalidSettingError(setting_errors(error)) from None


class PlannerSettings(SearchSettings):
    """How the planner searches and acts."""

    policy_rollouts: int = Field(
        default=0,
        ge=0,
        description="Episodes of the model alone tried in forks first; one that solves is taken.",
    )
    commit: Literal["first", "branch"] = Field(
        default="first",
        description="Carry out the first subgoal and plan again, or the whole branch. What solves the task in a fork "
        "is carried out whole anyway, unless the environment is persistent.",
    )
    actions_per_subgoal: int = Field(default=5, ge=1, description="M: most actions that carry out one text subgoal.")
    record_tree: bool = Field(default=True, description="Whether the result carries every node that was searched.")


def setting_errors(error: ValidationError) -> str:
    """A pydantic error as one line: each wrong setting, its value, and what it should be."""
    parts = []
    for item in error.errors(include_url=False):
        name = ".".join(map(str, item["loc"]))
        parts.append(f"{name}={item['input']!r}: {item['msg']}" if name else item["msg"])
    return "; ".join(parts)


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper-figure-2": {"candidates": 3, "breadth": 3, "depth": 2},
    "paper-alfworld": {"candidates": 8, "breadth": 2, "depth": 2, "kl_coef": 0.1, "value": "critic", "horizon": 50},
    "paper-intercode": {"candidates": 3, "breadth": 3, "depth": 2, "value": "oracle_rollouts", "horizon": 5},
    "paper-blocksworld-4": {
        "candidates": None, "breadth": 2, "depth": 5, "horizon": 4, "kl_coef": 0.0, "value": "rules",
    },
    "paper-blocksworld-6": {
        "candidates": None, "breadth": 2, "depth": 6, "horizon": 6, "kl_coef": 0.0, "value": "rules",
    },
}  # fmt: skip
"""The paper's settings by name: keyword arguments of `create_slinvit_planner`."""
