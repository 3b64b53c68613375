"""Checkers of the library's contracts, for its own parts and for those of its users."""

from langchain_linvit.testing.clauses import CLAUSES
from langchain_linvit.testing.environments import check_environment

__all__ = ["CLAUSES", "check_environment"]
