"""Success against what it costs, and by group of items: plain data for a figure (the paper's figures 4 and 5).

for curve in success_curves([a, b], against="env_steps"):
    plt.step([point.x for point in curve.points], [point.y for point in curve.points], where="post")
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.results import ExperimentResults
from langchain_linvit.evaluation.statistics import Interval
from langchain_linvit.evaluation.summary import COSTS, cost, group_of, in_order, labels, success_interval

_BUDGETS = {"llm_calls": "completions", "tokens": "tokens", "env_steps": "env_steps", "seconds": "seconds"}
"""The field of `Budget` that bounds a cost."""
Family = tuple[str, str, str, str | None]
"""Benchmark, method, prior and value: experiments that share these differ in their budgets only."""


class CurvePoint(BaseModel):
    """Share of the runs that were solved for at most `x`, with bounds where it was measured at that budget."""

    model_config = ConfigDict(frozen=True)

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Curve(BaseModel):
    """Success of one method against a cost.

    Two kinds: with `by_budget`, each point is an experiment of its own at that budget; otherwise one experiment's
    runs are counted as solved from what they have cost on, and the curve rises in steps.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    against: str
    by_budget: bool
    n: int = Field(description="Runs behind every point.")
    points: list[CurvePoint]
    unplaced: int = Field(default=0, description="Solved runs whose cost isn't known; the curve leaves them out.")


class GroupRates(BaseModel):
    """Success of one experiment in each group of items."""

    model_config = ConfigDict(frozen=True)

    label: str
    rates: dict[str, Interval]
    n: dict[str, int]


def success_curves(results: Sequence[ExperimentResults], *, against: str = "llm_calls") -> list[Curve]:
    """One curve per method: by budget where it ran at several, and within its runs where it ran once.

    Args:
        results: Experiments on the same benchmark.
        against: `llm_calls`, `tokens`, `env_steps` or `seconds`.

    Raises:
        InvalidSettingError: There is no such cost.
    """
    if against not in COSTS:
        raise InvalidSettingError(f"against must be one of {', '.join(COSTS)}, not {against!r}")
    by_family: dict[Family, list[ExperimentResults]] = defaultdict(list)
    for each in results:
        if each.records:
            by_family[family(each)].append(each)
    names = labels([widest(members) for members in by_family.values()])
    return [_curve(name, members, against) for name, members in zip(names, by_family.values(), strict=True)]


def group_rates(results: Sequence[ExperimentResults], by: str) -> list[GroupRates]:
    """Success by group, one entry per experiment.

    Args:
        results: Experiments.
        by: The metadata key of the groups, such as `hardness`.
    """
    found = []
    for label, each in zip(labels(results), results, strict=True):
        groups: dict[str, ExperimentResults] = {}
        for record in each.records:
            groups.setdefault(group_of(record, by), ExperimentResults(each.info, [])).records.append(record)
        ordered = in_order(groups)
        rates = {group: success_interval(groups[group]) for group in ordered}
        found.append(GroupRates(label=label, rates=rates, n={group: len(groups[group].records) for group in ordered}))
    return found


def family(results: ExperimentResults) -> Family:
    """What an experiment shares with the same method's experiments at other budgets."""
    info = results.info
    return info.benchmark, info.method, info.prior, info.value


def widest(members: Sequence[ExperimentResults]) -> ExperimentResults:
    """The experiment with the largest budget; no bound is larger than any."""

    def size(budget: Budget) -> list[float]:
        return [float("inf") if bound is None else bound for bound in budget.model_dump().values()]

    return max(members, key=lambda each: size(each.info.budget))


def _curve(label: str, members: Sequence[ExperimentResults], against: str) -> Curve:
    budgets = {getattr(each.info.budget, _BUDGETS[against]): each for each in members}
    if len(budgets) < 2:
        return _within(label, widest(members), against)
    bounded = sorted((float(bound), each) for bound, each in budgets.items() if bound is not None)
    points = [_measured(bound, each) for bound, each in bounded]
    return Curve(label=label, against=against, by_budget=True, n=len(widest(members).records), points=points)


def _measured(bound: float, results: ExperimentResults) -> CurvePoint:
    rate = success_interval(results)
    return CurvePoint(x=bound, y=rate.estimate, low=rate.low, high=rate.high)


def _within(label: str, results: ExperimentResults, against: str) -> Curve:
    solved: dict[float, float] = defaultdict(float)
    spent, unplaced = [0.0], 0
    for record in results.records:
        price = cost(record, against)
        if price is None:
            unplaced += record.success > 0
        else:
            spent.append(price)
            solved[price] += record.success
    total, n = solved.pop(0.0, 0.0), len(results.records)
    points = [CurvePoint(x=0.0, y=total / n)]
    for price in sorted(price for price, gain in solved.items() if gain):
        total += solved[price]
        points.append(CurvePoint(x=price, y=total / n))
    if max(spent) > points[-1].x:
        points.append(CurvePoint(x=max(spent), y=total / n))
    return Curve(label=label, against=against, by_budget=False, n=n, points=points, unplaced=unplaced)
