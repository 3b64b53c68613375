"""Chat models for offline use, and how any chat model is prepared for sampling."""

from langchain_linvit.models.policy import PolicyChatModel, SimulatedFailure
from langchain_linvit.models.recorded import RecordedChatModel
from langchain_linvit.models.replies import Policy, Reply, ToolReply
from langchain_linvit.models.scripted import ScriptedChatModel, ScriptedReply, ScriptEndedError

__all__ = [
    "Policy",
    "PolicyChatModel",
    "RecordedChatModel",
    "Reply",
    "ScriptEndedError",
    "ScriptedChatModel",
    "ScriptedReply",
    "SimulatedFailure",
    "ToolReply",
]
