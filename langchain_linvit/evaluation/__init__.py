"""Experiments: methods on one interface, benchmarks as datasets, the benchmark's verdict, and rows for tables."""

from langchain_linvit.evaluation.baselines import BeamSearch, BestOfN, BreadthFirst, Greedy
from langchain_linvit.evaluation.budgets import budget_of, equal_budgets
from langchain_linvit.evaluation.comparison import Comparison, compare
from langchain_linvit.evaluation.curves import success_curves
from langchain_linvit.evaluation.datasets import load_dataset, to_examples, to_task
from langchain_linvit.evaluation.evaluators import METRICS, BenchmarkEvaluator
from langchain_linvit.evaluation.experiment import arun_experiment, run_experiment
from langchain_linvit.evaluation.lats import LATS
from langchain_linvit.evaluation.method import Method, SlinvitMethod
from langchain_linvit.evaluation.plan_and_solve import PlanAndSolve
from langchain_linvit.evaluation.rap import RAP
from langchain_linvit.evaluation.react import ReAct
from langchain_linvit.evaluation.reflexion import Reflexion
from langchain_linvit.evaluation.report import write_markdown, write_report
from langchain_linvit.evaluation.results import ExperimentInfo, ExperimentResults, ItemRecord
from langchain_linvit.evaluation.rows import Row, judged, summary_row
from langchain_linvit.evaluation.targets import METHODS, as_method
from langchain_linvit.evaluation.tree_of_thoughts import TreeOfThoughts
from langchain_linvit.evaluation.try_again import TryAgain
from langchain_linvit.evaluation.user_methods import FunctionMethod, RunnableMethod

__all__ = [
    "LATS",
    "METHODS",
    "METRICS",
    "RAP",
    "BeamSearch",
    "BenchmarkEvaluator",
    "BestOfN",
    "BreadthFirst",
    "Comparison",
    "ExperimentInfo",
    "ExperimentResults",
    "FunctionMethod",
    "Greedy",
    "ItemRecord",
    "Method",
    "PlanAndSolve",
    "ReAct",
    "Reflexion",
    "Row",
    "RunnableMethod",
    "SlinvitMethod",
    "TreeOfThoughts",
    "TryAgain",
    "arun_experiment",
    "as_method",
    "budget_of",
    "compare",
    "equal_budgets",
    "judged",
    "load_dataset",
    "run_experiment",
    "success_curves",
    "summary_row",
    "to_examples",
    "to_task",
    "write_markdown",
    "write_report",
]
