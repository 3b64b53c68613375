"""Rows of what was run, and whether SLINVIT is ahead: paired by task, at the same budget, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evals.paper.benchmarks import Benchmark, Contender
from langchain_linvit.accounting import Budget
from langchain_linvit.evaluation import ExperimentResults
from langchain_linvit.evaluation.statistics import mcnemar
from langchain_linvit.evaluation.summary import cost, group_of, in_order, sees_verdict, success_interval

OURS = "slinvit"
"""The contender that the others are compared with."""
LEVEL = 0.05
"""p below which a difference counts as one; not corrected for the number of comparisons."""
Ran = tuple[Contender, Budget, ExperimentResults]
Standing = Literal["ahead", "level", "behind"]


class Verdict(BaseModel):
    """SLINVIT against one other at one budget, on the same tasks."""

    model_config = ConfigDict(frozen=True)

    benchmark: str
    completions: int = Field(description="What each may spend per task.")
    against: str
    n: int
    difference: float = Field(description="SLINVIT's success minus the other's.")
    only_ours: int = Field(description="Tasks that SLINVIT alone solved.")
    only_theirs: int = Field(description="Tasks that the other alone solved.")
    p_value: float = Field(description="McNemar's exact test.")

    @property
    def standing(self) -> Standing:
        """Whether the difference is one, and in whose favour."""
        if self.p_value >= LEVEL:
            return "level"
        return "ahead" if self.difference > 0 else "behind"


def row_of(chosen: Benchmark, contender: Contender, budget: Budget, results: ExperimentResults) -> dict[str, Any]:
    """A row in the common format, with the budget, the interval, groups, and how many tasks took how many steps."""
    rate = success_interval(results)
    after = Counter(int(cost(record, "env_steps") or 0) for record in results.records if record.success >= 1)
    by_group: dict[str, list[float]] = defaultdict(list)
    for record in results.records:
        by_group[group_of(record, chosen.group)].append(record.success)
    return {
        "benchmark": chosen.name,
        **results.row(contender.note).model_dump(),
        "completions": budget.completions,
        "env_step_budget": budget.env_steps,
        "low": rate.low,
        "high": rate.high,
        "sees_verdict": sees_verdict(results.info, results.records),
        "by_group": {group: sum(by_group[group]) / len(by_group[group]) for group in in_order(by_group)},
        "solved_after_env_steps": {str(steps): after[steps] for steps in sorted(after)},
    }


def verdicts(chosen: Benchmark, ran: Iterable[Ran]) -> list[Verdict]:
    """SLINVIT against every other method at every rung of the ladder; one without a model is the same at each.

    Further settings of SLINVIT, the oracle among them, are rows of the tables, but no others to be compared with.
    """
    by_rung: dict[tuple[str, int | None], ExperimentResults] = {
        (contender.label, budget.completions): results for contender, budget, results in ran
    }
    labels = dict.fromkeys(label for label, _ in by_rung if not label.startswith(OURS))
    found = []
    for rung in chosen.completions:
        ours = by_rung.get((OURS, rung))
        for label in labels if ours is not None else ():
            theirs = by_rung.get((label, rung)) or by_rung[label, None]
            found.append(_verdict(chosen.name, rung, label, ours, theirs))  # type: ignore[arg-type]
    return found


def _verdict(name: str, rung: int, label: str, ours: ExperimentResults, theirs: ExperimentResults) -> Verdict:
    first, second = ({record.key: record.success for record in each.records} for each in (ours, theirs))
    keys = [key for key in first if key in second]
    test = mcnemar([first[key] for key in keys], [second[key] for key in keys])
    return Verdict(
        benchmark=name,
        completions=rung,
        against=label,
        n=len(keys),
        difference=(test.only_first - test.only_second) / len(keys),
        only_ours=test.only_first,
        only_theirs=test.only_second,
        p_value=test.p_value,
    )


def sentences(found: Sequence[Verdict]) -> list[str]:
    """One line for each rung of a benchmark: what SLINVIT is ahead of, level with, and behind."""
    lines = []
    for rung in dict.fromkeys(each.completions for each in found):
        here = [each for each in found if each.completions == rung]
        parts = [
            f"{words} {', '.join(map(_named, group))}"
            for standing, words in (("ahead", "ahead of"), ("level", "level with"), ("behind", "behind"))
            if (group := [each for each in here if each.standing == standing])
        ]
        lines.append(f"≤ {rung} completions: slinvit is {'; '.join(parts)}.")
    return lines


def _named(each: Verdict) -> str:
    p = "p < 0.001" if each.p_value < 0.001 else f"p {each.p_value:.2g}"
    return f"{each.against} ({100 * each.difference:+.1f}, {p})"
