"""What drops into agents that exist: an environment's actions as tools."""

from langchain_linvit.agents.toolkit import EnvironmentToolkit

__all__ = ["EnvironmentToolkit"]
