"""Value-based planning for LangChain agents: a chat model as a policy prior, not as the decision maker.

Source: "How Can LLM Guide RL? A Value-Based Approach" (arXiv 2402.16181).
"""

from typing import TYPE_CHECKING, Any

from langchain_linvit.accounting import Budget, Usage
from langchain_linvit.agents import EnvironmentToolkit
from langchain_linvit.environments.base import Environment, Outcome, ParsedAction, Task, Transition
from langchain_linvit.environments.imagined import ImaginedEnvironment
from langchain_linvit.errors import LinvitError
from langchain_linvit.planner import PRESETS, PlanResult, create_slinvit_planner
from langchain_linvit.priors import ChatPrior, CompletionScoringPrior, PolicyPrior, Proposal, UniformPrior
from langchain_linvit.regularised import kl_divergence, soft_policy, soft_value
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.rules import RuleValue
from langchain_linvit.values import (
    BlendValue,
    CriticValue,
    FunctionValue,
    OracleValue,
    Solution,
    ValueEstimate,
    ValueEstimator,
)

if TYPE_CHECKING:
    from langchain_linvit.agents.middleware import SLINVITMiddleware

__all__ = [
    "PRESETS",
    "BlendValue",
    "Budget",
    "ChatPrior",
    "CompletionScoringPrior",
    "CriticValue",
    "Environment",
    "EnvironmentToolkit",
    "FunctionValue",
    "ImaginedEnvironment",
    "LinvitError",
    "OracleValue",
    "Outcome",
    "ParsedAction",
    "PlanResult",
    "PolicyPrior",
    "Proposal",
    "RolloutValue",
    "RuleValue",
    "SLINVITMiddleware",
    "Solution",
    "Task",
    "Transition",
    "UniformPrior",
    "Usage",
    "ValueEstimate",
    "ValueEstimator",
    "create_slinvit_planner",
    "kl_divergence",
    "soft_policy",
    "soft_value",
]


def __getattr__(name: str) -> Any:
    if name != "SLINVITMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_linvit.agents import SLINVITMiddleware  # only now: it needs all of langchain.agents

    return SLINVITMiddleware
