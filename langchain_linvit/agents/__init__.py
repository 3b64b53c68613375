"""What drops into agents that exist: an environment's actions as tools, the planner as one more tool, the middleware.

The middleware is imported when it is first asked for: it needs all of `langchain.agents`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_linvit.agents.planner_tool import create_slinvit_tool
from langchain_linvit.agents.toolkit import EnvironmentToolkit

if TYPE_CHECKING:
    from langchain_linvit.agents.middleware import SLINVITMiddleware
    from langchain_linvit.agents.settings import AgentSearchSettings
    from langchain_linvit.agents.state import LinvitState

__all__ = ["AgentSearchSettings", "EnvironmentToolkit", "LinvitState", "SLINVITMiddleware", "create_slinvit_tool"]

_LAZY = {"AgentSearchSettings": "settings", "LinvitState": "state", "SLINVITMiddleware": "middleware"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
