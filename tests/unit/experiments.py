"""Small experiments for tests of comparisons and reports: real runs on generated BlocksWorld problems."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Outcome
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place, generate_problems
from langchain_linvit.evaluation import BestOfN, Greedy, Method, SlinvitMethod, judged
from langchain_linvit.evaluation.results import (
    INFO_FILE,
    ITEMS_FILE,
    ExperimentInfo,
    ExperimentResults,
    ItemRecord,
)
from langchain_linvit.models.blocksworld import blocksworld_model

METHODS: dict[str, tuple[Method, str | None]] = {
    "slinvit": (
        SlinvitMethod(BlocksWorldEnvironment(), value=blocks_in_place, candidates=None, beam=2, depth=4),
        "rules",
    ),
    "greedy": (Greedy(BlocksWorldEnvironment()), None),
    "best_of_n": (BestOfN(BlocksWorldEnvironment(), n=3, value=blocks_in_place), "rules"),
    "slinvit_oracle": (
        SlinvitMethod(BlocksWorldEnvironment(), name="slinvit_oracle", value="oracle", beam=2, depth=2),
        "oracle",
    ),
}


@functools.cache
def experiment(method: str, *, per_length: int = 3, completions: int | None = None) -> ExperimentResults:
    """Records of a method on generated problems of 2, 4 and 6 steps with the embedded novice."""
    solver, value = METHODS[method]
    budget = Budget(completions=completions)
    tasks = [
        (steps, task)
        for steps in (2, 4, 6)
        for task in generate_problems(blocks=4, steps=steps, count=per_length, seed=1)
    ]
    records = []
    for steps, task in tasks:
        result = solver.solve(task, model=blocksworld_model("novice"), budget=budget)
        result = judged(result, task, BlocksWorldEnvironment())
        assert result.verdict is not None
        records.append(
            ItemRecord(
                item=task.id,
                text=result.goal,
                metadata={"optimal_steps": steps},
                scores={"success": float(result.verdict.success)},
                result=result,
                seconds=result.usage.seconds,
            )
        )
    info = ExperimentInfo(
        name=f"{method}-{completions}",
        benchmark="blocksworld",
        method=method,
        prior="novice",
        value=value,
        budget=budget,
        items=[task.id for _, task in tasks],
    )
    return ExperimentResults(info, records)


def outcomes(name: str, solved: str, **fields: Any) -> ExperimentResults:
    """An experiment of which only the verdicts are known: `outcomes("a", "110")` solved two of three items."""
    items = [str(number) for number in range(len(solved))]
    records = [ItemRecord(item=item, scores={"success": float(mark)}) for item, mark in zip(items, solved, strict=True)]
    info = ExperimentInfo(**{"name": name, "benchmark": "b", "method": name, "prior": "p", "items": items, **fields})
    return ExperimentResults(info, records)


def written(results: ExperimentResults, folder: Path) -> Path:
    """The folder, with the results in it as an experiment leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INFO_FILE).write_text(results.info.model_dump_json())
    (folder / ITEMS_FILE).write_text("".join(record.model_dump_json() + "\n" for record in results.records))
    return folder


def hostile(name: str) -> ExperimentResults:
    """An experiment in which every text attacks whatever shows it."""
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">|`$(x)`\u2028"
    base = experiment("slinvit").records[-1]
    assert base.result is not None
    steps = [step.model_copy(update={"action": evil, "observation": evil, "error": evil, "subgoal": f"{evil}.",
                                     "provenance": evil}) for step in base.result.trajectory]  # fmt: skip
    tree = [
        node.model_copy(update={"text": evil, "observation": evil, "error": evil, "provenance": evil})
        for node in base.result.tree
    ]
    plan = base.result.model_copy(
        update={"goal": evil, "reason": evil, "notes": [evil], "value": evil, "prior": {evil: 3},
                "trajectory": steps, "tree": tree, "verdict": Outcome(success=True, score=1, info={evil: evil})}
    )  # fmt: skip
    items = [f"{evil}{number}" for number in range(4)]
    records = [
        ItemRecord(item=item, text=evil, metadata={evil: f"{evil}{number % 2}"}, scores={"success": 1.0, evil: 1.0},
                   result=plan if number else None, error=None if number else evil)
        for number, item in enumerate(items)
    ]  # fmt: skip
    info = ExperimentInfo(
        name=name, benchmark=evil, method=f"{name} {evil}", prior=evil, value=evil, items=items, repetitions=1
    )
    return ExperimentResults(info, records)
