"""BlocksWorld: the environment, its problems and a value of its states."""

from langchain_linvit.environments.blocksworld.environment import BlocksWorldEnvironment
from langchain_linvit.environments.blocksworld.problems import (
    generate_problems,
    load_problem,
    load_problem_list,
    solve_optimally,
)
from langchain_linvit.environments.blocksworld.validator import PlanVerdict, validate_plan
from langchain_linvit.environments.blocksworld.values import blocks_in_place

__all__ = [
    "BlocksWorldEnvironment",
    "PlanVerdict",
    "blocks_in_place",
    "generate_problems",
    "load_problem",
    "load_problem_list",
    "solve_optimally",
    "validate_plan",
]
