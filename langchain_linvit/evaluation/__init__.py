"""Methods that solve tasks on one interface, the benchmark's verdict on them, and rows for tables."""

from langchain_linvit.evaluation.baselines import BeamSearch, BestOfN, BreadthFirst, Greedy
from langchain_linvit.evaluation.comparison import Comparison, compare
from langchain_linvit.evaluation.method import Method, SlinvitMethod
from langchain_linvit.evaluation.react import ReAct
from langchain_linvit.evaluation.rows import Row, judged, summary_row

__all__ = [
    "BeamSearch",
    "BestOfN",
    "BreadthFirst",
    "Comparison",
    "Greedy",
    "Method",
    "ReAct",
    "Row",
    "SlinvitMethod",
    "compare",
    "judged",
    "summary_row",
]
