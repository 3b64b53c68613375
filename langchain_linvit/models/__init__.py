"""Chat models for offline use, and how any chat model is prepared for sampling."""

from langchain_linvit.models.policy import PolicyChatModel, SimulatedFailure
from langchain_linvit.models.replies import Policy, Reply, ToolReply

__all__ = ["Policy", "PolicyChatModel", "Reply", "SimulatedFailure", "ToolReply"]
