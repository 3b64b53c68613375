"""What drops into agents that exist: the planner as a tool."""

from langchain_linvit.agents.planner_tool import create_slinvit_tool

__all__ = ["create_slinvit_tool"]
