"""What drops into agents that exist: an environment's actions as tools, and the planner as one more tool."""

from langchain_linvit.agents.planner_tool import create_slinvit_tool
from langchain_linvit.agents.toolkit import EnvironmentToolkit

__all__ = ["EnvironmentToolkit", "create_slinvit_tool"]
