"""Experiments compared item by item: differences with intervals, McNemar's test, and costs.

    print(compare("results/slinvit", "results/greedy"))

Every difference is the first experiment minus the other one, on the items that both have run.
"""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console, Group

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.results import ExperimentResults, ItemRecord
from langchain_linvit.evaluation.statistics import CONFIDENCE, RESAMPLES, Interval, McNemar, mcnemar, mean_interval
from langchain_linvit.evaluation.summary import (
    COSTS,
    budget_text,
    cost,
    further_scores,
    group_of,
    in_order,
    labels,
    sees_verdict,
)
from langchain_linvit.evaluation.tables import (
    Table,
    bounds,
    markdown_table,
    number,
    percent,
    points,
    rich_table,
    signed,
)

MAX_NAMED = 10
"""Unpaired items that a table names; the rest is counted."""
MAX_HEAD = 16
"""Characters of an experiment's name up to which it stands above its column."""
_PLAIN_FIELDS = {"benchmark": "benchmark", "budget": "budget", "prior": "prior", "seed": "seed"}
"""What two experiments should share, for their difference to be the methods' own."""


class Difference(BaseModel):
    """A measure's mean for two experiments on the same items, and the difference."""

    model_config = ConfigDict(frozen=True)

    measure: str
    n: int = Field(description="Items on which it is known for both.")
    first: float
    second: float
    difference: Interval = Field(description="First minus second, with its paired bootstrap interval.")


class GroupDifference(BaseModel):
    """The difference in success within one group of items."""

    model_config = ConfigDict(frozen=True)

    group: str
    success: Difference
    mcnemar: McNemar


class PairedComparison(BaseModel):
    """The first experiment against one other."""

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    items: int = Field(description="Items that both have run; repetitions of an item are averaged.")
    pairs: int = Field(description="Repetitions of items that both have run.")
    unpaired_first: list[str] = Field(description="Repetitions of items that only the first has run; left out.")
    unpaired_second: list[str] = Field(description="The same of the second.")
    warnings: list[str] = Field(description="What stands between the difference and a fair comparison.")
    success: Difference
    mcnemar: McNemar
    costs: list[Difference]
    scores: list[Difference] = Field(description="Further evaluators that both experiments have.")
    groups: list[GroupDifference]


class Comparison(BaseModel):
    """The first experiment against each other one, in the order given."""

    model_config = ConfigDict(frozen=True)

    against: list[PairedComparison]
    by: str | None = Field(description="The metadata key of the groups.")
    confidence: float
    resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.model_dump(mode="json")

    def to_markdown(self) -> str:
        """Tables for a README."""
        return "\n".join(map(markdown_table, self._tables()))

    def _tables(self) -> list[Table]:
        return [table for pair in self.against for table in comparison_tables(pair, self)]

    def __rich__(self) -> Group:
        return Group(*map(rich_table, self._tables()))

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=110, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def compare(
    a: ExperimentResults | str | Path,
    b: ExperimentResults | str | Path,
    *more: ExperimentResults | str | Path,
    by: str | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare experiments item by item.

    Args:
        a: The experiment that the others are compared with: results, or their folder.
        b: Another one.
        *more: Further ones; p-values are not corrected for their number.
        by: A metadata key, such as `hardness`: differences in success within each of its groups too.
        names: What to call them; None takes the method, and as much more as it takes to tell them apart.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
        confidence: Of the intervals.

    Raises:
        InvalidSettingError: Two experiments have no item in common, or a folder holds no results.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise InvalidSettingError(f"confidence must lie between 0 and 1 (is {confidence}), resamples must be positive")
    experiments = [
        each if isinstance(each, ExperimentResults) else ExperimentResults.load(each) for each in (a, b, *more)
    ]
    known = {key for each in experiments for record in each.records for key in record.metadata}
    if by is not None and by not in known:
        raise InvalidSettingError(f"no item has metadata {by!r}; known: {', '.join(sorted(known)) or 'none'}")
    bootstrap = _Bootstrap(seed, resamples, confidence)
    names = labels(experiments) if names is None else names
    against = [
        _paired((names[0], experiments[0]), (names[number], other), by, bootstrap)
        for number, other in enumerate(experiments[1:], 1)
    ]
    return Comparison(against=against, by=by, confidence=confidence, resamples=resamples, seed=seed)


class _Bootstrap:
    """The bootstrap's settings, applied to one measure after the other."""

    def __init__(self, seed: int, resamples: int, confidence: float) -> None:
        self._settings: dict[str, Any] = {"seed": seed, "resamples": resamples, "confidence": confidence}

    def difference(self, measure: str, pairs: Sequence[tuple[float, float]]) -> Difference:
        first, second = (math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True))
        interval = mean_interval([a - b for a, b in pairs], **self._settings)
        return Difference(measure=measure, n=len(pairs), first=first, second=second, difference=interval)


_Pairs = dict[str, list[tuple[ItemRecord, ItemRecord]]]
"""The pairs of records of each item."""


def _paired(
    first: tuple[str, ExperimentResults], second: tuple[str, ExperimentResults], by: str | None, bootstrap: _Bootstrap
) -> PairedComparison:
    (name_a, a), (name_b, b) = first, second
    records_a, records_b = ({record.key: record for record in each.records} for each in (a, b))
    pairs: _Pairs = defaultdict(list)
    for key, record in records_a.items():
        if key in records_b:
            pairs[record.item].append((record, records_b[key]))
    if not pairs:
        raise InvalidSettingError(f"{name_a!r} and {name_b!r} have run no item in common; there is nothing to compare")
    success = _means(pairs, "success")
    return PairedComparison(
        first=name_a,
        second=name_b,
        items=len(pairs),
        pairs=sum(map(len, pairs.values())),
        unpaired_first=[_name(key) for key in records_a if key not in records_b],
        unpaired_second=[_name(key) for key in records_b if key not in records_a],
        warnings=_warnings(first, second),
        success=bootstrap.difference("success", success),
        mcnemar=mcnemar(*zip(*success, strict=True)),
        costs=_differences(pairs, COSTS, bootstrap),
        scores=_differences(pairs, _shared_scores(pairs), bootstrap),
        groups=[] if by is None else _by_group(pairs, by, bootstrap),
    )


def _differences(pairs: _Pairs, measures: Sequence[str] | dict[str, str], bootstrap: _Bootstrap) -> list[Difference]:
    found = [(measure, _means(pairs, measure)) for measure in measures]
    return [bootstrap.difference(measure, means) for measure, means in found if means]


def _by_group(pairs: _Pairs, by: str, bootstrap: _Bootstrap) -> list[GroupDifference]:
    groups: dict[str, _Pairs] = defaultdict(dict)
    for item, found in pairs.items():
        groups[group_of(found[0][0], by)][item] = found
    return [
        GroupDifference(
            group=group,
            success=bootstrap.difference("success", means),
            mcnemar=mcnemar(*zip(*means, strict=True)),
        )
        for group in in_order(groups)
        for means in [_means(groups[group], "success")]
    ]


def _means(pairs: _Pairs, measure: str) -> list[tuple[float, float]]:
    """Per item, the means of a measure over its paired repetitions; items where a side is unknown are left out."""
    means = []
    for found in pairs.values():
        known = [(a, b) for a, b in ((_measured(a, measure), _measured(b, measure)) for a, b in found)
                 if a is not None and b is not None]  # fmt: skip
        if known:
            sides = zip(*known, strict=True)
            means.append(tuple(math.fsum(side) / len(known) for side in sides))
    return means  # type: ignore[return-value]


def _measured(record: ItemRecord, measure: str) -> float | None:
    if measure == "success":
        return record.success
    return cost(record, measure) if measure in COSTS else record.scores.get(measure)


def _shared_scores(pairs: _Pairs) -> list[str]:
    """Further evaluators that both sides of a pair have, in their own order."""
    both = (further_scores(a).keys() & b.scores.keys() for found in pairs.values() for a, b in found)
    shared = set().union(*both)
    ordered = dict.fromkeys(name for found in pairs.values() for a, _ in found for name in a.scores)
    return [name for name in ordered if name in shared]


def _warnings(first: tuple[str, ExperimentResults], second: tuple[str, ExperimentResults]) -> list[str]:
    (_, a), (_, b) = first, second
    found = [
        f"different {title}s: {_said(getattr(a.info, field))} and {_said(getattr(b.info, field))}"
        for field, title in _PLAIN_FIELDS.items()
        if getattr(a.info, field) != getattr(b.info, field)
    ]
    for name, results in (first, second):
        if not results.complete:
            planned = len(results.info.items) * results.info.repetitions
            found.append(f"{name} is not complete: {len(results.records)} of {planned} runs are there")
        if sees_verdict(results.info, results.records):
            found.append(f"{name} uses an oracle: its value estimator saw the benchmark's verdict")
        failed = sum(record.error is not None for record in results.records)
        if failed:
            found.append(f"{name}: {failed} runs failed and count as unsolved; their costs are not known")
    return found


def _said(value: Any) -> str:
    return budget_text(value) or "no bound" if isinstance(value, Budget) else str(value)


def _name(key: tuple[str, int]) -> str:
    item, repetition = key
    return item if repetition == 0 else f"{item} (repetition {repetition})"


def comparison_tables(pair: PairedComparison, comparison: Comparison) -> list[Table]:
    """What one comparison says: measure by measure, and success group by group where it has groups."""
    short = max(len(pair.first), len(pair.second)) <= MAX_HEAD
    heads = [pair.first, pair.second] if short else ["first", "second"]
    columns = ["measure", "items", *heads, "difference", f"{100 * comparison.confidence:g}% interval"]
    rows = [_share_row("success (points)", pair.success)]
    rows += [_number_row(COSTS[each.measure], each) for each in pair.costs]
    rows += [_number_row(each.measure, each) for each in pair.scores]
    notes = [_verdict(pair)]
    for name, unpaired in ((pair.first, pair.unpaired_first), (pair.second, pair.unpaired_second)):
        if unpaired:
            more = f" and {len(unpaired) - MAX_NAMED} more" if len(unpaired) > MAX_NAMED else ""
            notes.append(f"Only {name} has run (left out): {', '.join(unpaired[:MAX_NAMED])}{more}")
    tables = [Table(f"{pair.first} against {pair.second}", columns, rows, notes, pair.warnings)]
    if pair.groups:
        rows = [[*_share_row(each.group, each.success), f"{each.mcnemar.p_value:.3g}"] for each in pair.groups]
        title = f"success of {pair.first} against {pair.second}, by {comparison.by}"
        tables.append(Table(title, [str(comparison.by), *columns[1:], "p"], rows))
    return tables


def _share_row(name: str, found: Difference) -> list[str]:
    means = [percent(found.first), percent(found.second)]
    return [name, str(found.n), *means, points(found.difference.estimate), bounds(found.difference, points)]


def _number_row(name: str, found: Difference) -> list[str]:
    means = [number(found.first), number(found.second)]
    return [name, str(found.n), *means, signed(found.difference.estimate), bounds(found.difference, signed)]


def _verdict(pair: PairedComparison) -> str:
    found = pair.mcnemar
    often = " more often" if pair.pairs > pair.items else ""
    return (
        f"Items solved{often} by {pair.first} alone: {found.only_first}, by {pair.second} alone: {found.only_second}, "
        f"by both: {found.both}, by neither: {found.neither}. McNemar's exact test: p = {found.p_value:.3g}."
    )
