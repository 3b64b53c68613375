"""A few tasks of many, spread evenly over their kinds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from langchain_linvit.environments.base import Task


def stratified(tasks: Sequence[Task], limit: int, key: str, *, strata: Sequence[Hashable] | None = None) -> list[Task]:
    """`limit` tasks in their order, spread evenly over the values of `metadata[key]` and within each of them.

    Args:
        tasks: What to choose from; those without the key are one stratum of their own.
        limit: At most so many. Where it can't be divided evenly, the first strata get one more.
        key: The metadata that tells the strata apart, e.g. `hardness`.
        strata: Only these values, the first of them first; None for all, in the order of their first task.
    """
    present = dict.fromkeys(task.metadata.get(key) for task in tasks)
    wanted = list(present) if strata is None else [value for value in strata if value in present]
    groups = [[number for number, task in enumerate(tasks) if task.metadata.get(key) == value] for value in wanted]
    quota = [0] * len(groups)
    for _ in range(min(limit, sum(map(len, groups)))):
        smallest = min((i for i in range(len(groups)) if quota[i] < len(groups[i])), key=lambda i: quota[i])
        quota[smallest] += 1
    chosen = {group[j * len(group) // n] for group, n in zip(groups, quota, strict=True) for j in range(n)}
    return [task for number, task in enumerate(tasks) if number in chosen]
