"""One line per experiment: success with its interval, what it cost, and where its numbers come from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import printable, shorten
from langchain_linvit.evaluation.results import ExperimentInfo, ExperimentResults, ItemRecord
from langchain_linvit.evaluation.rows import Row
from langchain_linvit.evaluation.statistics import Interval, mean_interval, share_interval
from langchain_linvit.evaluation.tables import Table, bounds, number, percent

COSTS = {
    "llm_calls": "completions",
    "tokens": "tokens",
    "env_steps": "environment steps",
    "seconds": "seconds",
}
"""What an item costs, and what people call it."""
MAX_GROUPS = 12
"""Distinct values up to which a metadata key is taken for a grouping, such as hardness or a task type."""
ORACLE = "oracle"


class ExperimentRow(Row):
    """A row of an experiment: means are per record (an item's repetition) whose cost is known."""

    label: str
    benchmark: str
    interval: Interval
    """Success with its interval: Wilson's, or over items by bootstrap where items were repeated."""
    budget: str
    provenance: dict[str, int]
    """Proposals by where their probabilities came from."""
    sees_verdict: bool
    """Whether V^ saw the benchmark's verdict (an oracle), as no agent can."""
    missing: int
    """Repetitions of items that were not run yet."""


def experiment_row(results: ExperimentResults, label: str | None = None, *, seed: int = 0) -> ExperimentRow:
    """The row of one experiment; an experiment without records yet has zeros and no interval."""
    info, records = results.info, results.records
    plans = [record.result for record in records if record.result is not None]
    solved = sum(record.success >= 1 for record in records)
    provenance: Counter[str] = Counter()
    for plan in plans:
        provenance.update(plan.prior)
    interval = success_interval(results, seed=seed)
    return ExperimentRow(
        label=label or info.method,
        benchmark=info.benchmark,
        method=info.method,
        prior=info.prior,
        value=info.value,
        n=len(records),
        solved=solved,
        success=interval.estimate,
        interval=interval,
        llm_calls=_mean(cost(record, "llm_calls") for record in records),
        tokens=_mean(cost(record, "tokens") for record in records),
        env_steps=_mean(cost(record, "env_steps") for record in records),
        seconds=_mean(cost(record, "seconds") for record in records),
        requests=_mean(plan.usage.requests for plan in plans),
        unique_states=_mean(plan.unique_states for plan in plans),
        errors=sum(record.error is not None for record in records),
        budget=budget_text(info.budget),
        provenance=dict(provenance),
        sees_verdict=sees_verdict(info, records),
        missing=max(len(info.items) * info.repetitions - len(records), 0),
    )


def summary_table(rows: Sequence[ExperimentRow], title: str) -> Table:
    """One row per experiment: what ran, how often it succeeded, and the means of what it cost."""
    columns = ["method", "prior", "value", "runs", "success", "95% interval", *COSTS.values(), "errors"]
    cells = [
        [
            row.label,
            row.prior,
            _value(row),
            str(row.n),
            percent(row.success),
            bounds(row.interval, percent),
            *(number(getattr(row, name)) for name in COSTS),
            str(row.errors),
        ]
        for row in rows
    ]
    notes = ["Success is the benchmark's own verdict. Completions, tokens, steps and seconds are means per run."]
    notes += [f"{row.label}: {_provenance(row)}" for row in rows if row.provenance]
    warnings = [f"{row.label}: {row.missing} runs are missing" for row in rows if row.missing]
    warnings += [
        f"{row.label} uses an oracle: its value estimator saw the benchmark's verdict, as no agent can"
        for row in rows
        if row.sees_verdict
    ]
    return Table(title, columns, cells, notes, warnings, words=3)


def _value(row: ExperimentRow) -> str:
    return (row.value or "none") + (" (oracle)" if row.sees_verdict and row.value != "oracle" else "")


def _provenance(row: ExperimentRow) -> str:
    total = sum(row.provenance.values())
    shares = [f"{name} {percent(count / total)}" for name, count in row.provenance.items()]
    return f"log π of {total} proposals: {', '.join(shares)}"


def success_interval(results: ExperimentResults, *, seed: int = 0) -> Interval:
    """The share of success with its interval; items, not their repetitions, are the independent draws."""
    by_item: dict[str, list[float]] = defaultdict(list)
    for record in results.records:
        by_item[record.item].append(record.success)
    if not by_item:
        return Interval(estimate=0.0)
    rates = [math.fsum(found) / len(found) for found in by_item.values()]
    if set(rates) <= {0.0, 1.0}:
        return share_interval(sum(rate == 1 for rate in rates), len(rates))
    return mean_interval(rates, seed=seed)


def cost(record: ItemRecord, name: str) -> float | None:
    """What a record cost, by a name of `COSTS`; None where it is not known, as after an error."""
    if record.result is not None:
        return float(getattr(record.result.usage, name))
    return record.scores.get(name)


def further_scores(record: ItemRecord) -> dict[str, float | None]:
    """A record's scores that say more than its success, its costs and its prior's provenance."""
    known = {"success", "requests", "unique_states", *COSTS}
    return {name: score for name, score in record.scores.items() if not (name in known or name.startswith("prior."))}


def sees_verdict(info: ExperimentInfo, records: Sequence[ItemRecord] = ()) -> bool:
    """Whether an estimator of the experiment, by its name, was an oracle: it saw the benchmark's verdict."""
    names = [info.value or "", *(record.result.value for record in records if record.result is not None)]
    return any(ORACLE in name for name in names)


def labels(results: Sequence[ExperimentResults]) -> list[str]:
    """A distinct name for each experiment: the method, and as much more as it takes to tell them apart."""
    ways: list[Callable[[ExperimentInfo], list[str]]] = [
        lambda info: [info.method],
        lambda info: [info.method, info.prior],
        lambda info: [info.method, info.value or ""],
        lambda info: [info.method, budget_text(info.budget)],
        lambda info: [info.method, info.prior, info.value or ""],
        lambda info: [info.method, info.prior, info.value or "", budget_text(info.budget)],
        lambda info: [info.method, info.benchmark, info.prior, info.value or "", budget_text(info.budget)],
        lambda info: [info.name],
    ]
    for parts in ways:
        names = [one_line(", ".join(filter(None, parts(each.info)))) for each in results]
        if len(set(names)) == len(names):
            return names
    return [f"{name} #{number}" for number, name in enumerate(names, 1)]


def budget_text(budget: Budget) -> str:
    """A budget in words; empty where nothing is bounded."""
    bounds = budget.model_dump(exclude_none=True)
    return ", ".join(f"≤ {bound:g} {name.replace('_', ' ')}" for name, bound in bounds.items())


def grouping_keys(results: Sequence[ExperimentResults]) -> list[str]:
    """Metadata keys that sort items into a few groups (task type, hardness, file system), in their own order.

    Of keys that sort them alike, the first.
    """
    groups: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    items: set[str] = set()
    for record in (record for each in results for record in each.records):
        items.add(record.item)
        for key, value in record.metadata.items():
            if isinstance(value, str | int | bool):
                groups[key][str(value)].add(record.item)
    most = min(MAX_GROUPS, len(items) - 1)
    first: dict[frozenset[frozenset[str]], str] = {}
    for key, found in groups.items():
        if 1 < len(found) <= most:
            first.setdefault(frozenset(map(frozenset, found.values())), key)
    return list(first.values())


def group_of(record: ItemRecord, key: str) -> str:
    """The group of a record by a metadata key; `(none)` where it has none."""
    value = record.metadata.get(key)
    return "(none)" if value is None else one_line(str(value))


def in_order(groups: Iterable[str]) -> list[str]:
    """Groups sorted for people: numbers by size, then words."""

    def place(group: str) -> tuple[bool, float, str]:
        number = float(group) if group.replace(".", "", 1).isdecimal() else math.inf
        return number == math.inf, number, group

    return sorted(set(groups), key=place)


def one_line(text: str) -> str:
    """A name or text that somebody else wrote, on one line and without control characters."""
    return printable(shorten(text, 120))


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return round(math.fsum(known) / len(known), 4) if known else 0.0
