"""Environments: the contract and what implements it."""

from langchain_linvit.environments.base import (
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
)
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment

__all__ = [
    "ActionTool",
    "BlocksWorldEnvironment",
    "Environment",
    "Outcome",
    "ParsedAction",
    "Snapshot",
    "Task",
    "Transition",
]
