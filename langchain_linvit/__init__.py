"""Value-based planning for LangChain agents: a chat model as a policy prior, not as the decision maker.

Source: "How Can LLM Guide RL? A Value-Based Approach" (arXiv 2402.16181).
"""

from langchain_linvit.environments.base import Environment, Outcome, ParsedAction, Task, Transition
from langchain_linvit.errors import LinvitError
from langchain_linvit.regularised import kl_divergence, soft_policy, soft_value

__all__ = [
    "Environment",
    "LinvitError",
    "Outcome",
    "ParsedAction",
    "Task",
    "Transition",
    "kl_divergence",
    "soft_policy",
    "soft_value",
]
