"""SLINVIT: a KL-regularised tree search over a chat model's proposals, as a LangGraph state machine."""

from langchain_linvit.planner.graph import Planner, create_slinvit_planner
from langchain_linvit.planner.result import PlanResult, PlanStep, TreeNode
from langchain_linvit.planner.settings import PRESETS, PlannerSettings

__all__ = ["PRESETS", "PlanResult", "PlanStep", "Planner", "PlannerSettings", "TreeNode", "create_slinvit_planner"]
