"""The paper's benchmarks as they are run here: tasks, contenders, and the budgets that all of them get alike.

Settings of the searches, SLINVIT's included, were chosen on generated problems for budgets like these, by the rule of
`evals.paper_settings` (the layers of SLINVIT's search on ALFWorld by `evals.alfworld_budget`); those on InterCode
follow from a task's being one decision. The ladders of completions are geometric. Every contender of a benchmark has
the same model, value estimator, forks and budgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from langsmith.schemas import Example

from evals.alfworld import GAMES
from evals.alfworld_budget import LEAN, POLICY_FIRST
from evals.blocksworld import SEARCH
from evals.intercode import CANDIDATES
from langchain_linvit.accounting import Budget
from langchain_linvit.applications import GENERATED_PROBLEMS
from langchain_linvit.evaluation import equal_budgets, load_dataset, to_task

METHOD_ORDER = (
    "slinvit", "greedy", "react", "try_again", "plan_and_solve", "best_of_n", "reflexion", "tot", "rap", "lats",
)  # fmt: skip
"""SLINVIT, then the baselines, from the simplest to the searches."""
RATED = ("slinvit", "best_of_n", "reflexion", "tot", "rap", "lats")
"""Those that take the value estimator."""
SEARCHES = ("tot", "rap", "lats")
"""Those that search a tree of proposals."""
CHOSEN: dict[str, dict[str, dict[str, Any]]] = {
    "blocksworld": {
        "slinvit": {"candidates": None, "beam": 1, "depth": 6, "kl_coef": 0.0},
        "tot": {"candidates": None, "beam": 1},
        "rap": {"candidates": None, "weight": 0.5, "exploration": 1.0},
        "lats": {"candidates": None, "weight": 0.8, "exploration": 0.3},
    },
    "alfworld": {
        "slinvit": {"breadth": None, **POLICY_FIRST},
        "tot": {"candidates": 2, "beam": 1},
        "rap": {"candidates": 2, "weight": 0.2},
        "lats": {"candidates": 2, "weight": 0.5},
    },
    "intercode": {
        "slinvit": {"candidates": CANDIDATES, "depth": 1},
        **{name: {"candidates": CANDIDATES} for name in SEARCHES},
    },
}
"""Settings of the searches, by family of benchmarks; `evals/results/paper_settings.json` has the others."""
SQL_TASKS, BASH_TASKS = 60, 40
"""InterCode tasks by default, spread over hardness and file systems: a command in the sandbox takes its time."""
QUICK_PROBLEMS, QUICK_GAMES = 4, 3
"""Tasks of each benchmark with `--quick`."""


@dataclass(frozen=True)
class Scope:
    """What a run covers; plain data, from which every process makes the same benchmarks.

    Attributes:
        data: A folder with `blocksworld/rap`, `intercode` and `alfworld`; what it lacks is generated or shipped.
        intercode_dir: A clone of InterCode's repository, for the Bash tasks.
        quick: Generated or shipped tasks, few of them, at two budgets.
        full: Every task.
        limit: At most so many tasks of each benchmark.
        seed: Of all random choices.
    """

    data: Path | None = None
    intercode_dir: Path | None = None
    quick: bool = False
    full: bool = False
    limit: int | None = None
    seed: int = 0

    def file(self, *parts: str) -> Path | None:
        """A file or folder of the data; None where it is not there."""
        path = self.data.joinpath(*parts) if self.data is not None and not self.quick else None
        return path if path is not None and path.exists() else None

    def tasks(self, usual: int | None, quick: int) -> int | None:
        """How many tasks to take; None for all."""
        wanted = quick if self.quick else None if self.full else usual
        return min(wanted or self.limit, self.limit) if self.limit is not None else wanted


@dataclass(frozen=True)
class Contender:
    """A method with its settings on one benchmark.

    Attributes:
        label: What tables call it.
        target: Its name for `run_experiment`.
        settings: Its keyword arguments.
        uses_model: Whether it spends completions; one that doesn't has one row and no ladder.
        note: What a reader must know of it.
    """

    label: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    uses_model: bool = True
    note: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, ready to be run.

    Attributes:
        name: In options, folders and rows.
        title: In tables.
        examples: Its tasks.
        contenders: SLINVIT first.
        completions: The ladder of budgets.
        env_steps: The budget of environment steps at each of its rungs.
        environment: A factory.
        model: The chat model of all contenders.
        prior: What tables call it.
        group: The metadata key by which success is split.
        part: Tasks that one process runs in one go, with all contenders.
        notes: What its tables must say: where the tasks come from, what the model is.
    """

    name: str
    title: str
    examples: Sequence[Example]
    contenders: Sequence[Contender]
    completions: Sequence[int]
    env_steps: int
    environment: Callable[[], Any]
    model: Any
    prior: str
    group: str
    part: int
    notes: Sequence[str]

    @property
    def parts(self) -> list[Sequence[Example]]:
        """The tasks, in parts."""
        return [self.examples[start : start + self.part] for start in range(0, len(self.examples), self.part)]

    @property
    def about(self) -> dict[str, Any]:
        """What tables and figures need to know of it, as plain data."""
        names = ("title", "prior", "group", "completions", "env_steps", "notes")
        return {name: getattr(self, name) for name in names}

    def budgets(self, contender: Contender) -> list[Budget]:
        """What the contender may spend per task, rung by rung."""
        if not contender.uses_model:
            return [Budget(env_steps=self.env_steps)]
        return equal_budgets(self.completions, env_steps=self.env_steps)


@cache
def benchmark(name: str, scope: Scope) -> Benchmark:
    """The benchmark of that name; equal in every process.

    Raises:
        MissingDependencyError: Its extra is not installed.
    """
    return BENCHMARKS[name](scope)


def _contenders(family: str, value: Any, **shared: Any) -> Iterator[Contender]:
    """SLINVIT and every baseline, on one value estimator."""
    for name in METHOD_ORDER:
        own = {"value": value} if name in RATED else {}
        yield Contender(name, name, {"retry_delay": 0.0, **own, **CHOSEN[family].get(name, {}), **shared})


def _blocksworld(steps: int, scope: Scope) -> Benchmark:
    from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place
    from langchain_linvit.models.blocksworld import blocksworld_model

    source = scope.file("blocksworld", "rap", f"step_{steps}.json")
    limit = scope.tasks(None, QUICK_PROBLEMS)
    if source is None:
        limit = min(limit or GENERATED_PROBLEMS, GENERATED_PROBLEMS)
    examples = load_dataset("blocksworld", data=source, split=f"step_{steps}", limit=limit, seed=scope.seed)
    contenders = [
        *_contenders("blocksworld", blocks_in_place),
        Contender("slinvit, beam 3", "slinvit", {**SEARCH, "value": blocks_in_place}),
        Contender("slinvit, paper's k and N", f"paper-blocksworld-{steps}", {"retry_delay": 0.0}),
        Contender("breadth-first, no model", "breadth_first", {"retry_delay": 0.0}, uses_model=False),
        Contender("beam search, no model", "beam_search", {"value": blocks_in_place, "retry_delay": 0.0},
                  uses_model=False),
    ]  # fmt: skip
    return Benchmark(
        name=f"blocksworld-{steps}",
        title=f"BlocksWorld, {steps} steps",
        examples=examples,
        contenders=contenders,
        completions=_rungs((4, 8, 16, 32), scope),
        env_steps=200,
        environment=BlocksWorldEnvironment,
        model=blocksworld_model("novice"),
        prior="novice (simulated)",
        group="optimal_steps",
        part=20,
        notes=[
            f"{len(examples)} problems: {source.name if source else 'generated, 4 blocks'}. Model: the embedded "
            "novice, simulated. V^: hand-written rules, the same for every method that takes a value."
        ],
    )


def _alfworld(scope: Scope) -> Benchmark:
    from langchain_linvit.environments.alfworld import AlfworldEnvironment
    from langchain_linvit.models.household import household_model

    source = scope.file("alfworld", "valid_seen")
    examples = load_dataset("alfworld", data=source, limit=scope.tasks(GAMES, QUICK_GAMES), seed=1_000 + scope.seed)
    contenders = [
        *_contenders("alfworld", "critic", horizon=50),
        Contender("slinvit, search alone", "slinvit", {**LEAN, "breadth": None, "horizon": 50, "retry_delay": 0.0}),
        Contender("slinvit, paper's k and N", "paper-alfworld", {"retry_delay": 0.0}),
        Contender("breadth-first, no model", "breadth_first", {"retry_delay": 0.0}, uses_model=False),
    ]
    return Benchmark(
        name="alfworld",
        title="ALFWorld",
        examples=examples,
        contenders=contenders,
        completions=_rungs((16, 32, 64, 128), scope),
        env_steps=500,
        environment=AlfworldEnvironment,
        model=household_model("novice", seed=scope.seed),
        prior="novice (simulated)",
        group="kind",
        part=10,
        notes=[
            f"{len(examples)} games: {'valid_seen' if source else 'generated'}, 50 real steps. Model: the embedded "
            "novice, simulated. V^: the same model as a critic, whose judgements are completions too."
        ],
    )


def _intercode(kind: str, environment: Callable[[], Any], examples: list[Example], group: str, scope: Scope,
               part: int) -> Benchmark:  # fmt: skip
    model, prior, examples, notes = _proposals(kind, examples, scope)
    horizon = {"horizon": 1}
    contenders = [
        Contender(each.label, each.target, each.settings if each.label == "try_again" else {**each.settings, **horizon})
        for each in _contenders("intercode", "agreement")
    ]
    oracle = {**contenders[0].settings, "value": "oracle"}
    contenders.append(Contender("slinvit, oracle", "slinvit", oracle, note="sees the verdict, as the paper's search"))
    return Benchmark(
        name=f"intercode-{kind}",
        title=f"InterCode-{'SQL' if kind == 'sql' else 'Bash'}",
        examples=examples,
        contenders=contenders,
        completions=_rungs((1, 2, 5, CANDIDATES), scope),
        env_steps=50,
        environment=environment,
        model=model,
        prior=prior,
        group=group,
        part=part,
        notes=[*notes, "A recording proposes the same at every step, so that a task is one decision: horizon 1."],
    )


def _proposals(kind: str, examples: list[Example], scope: Scope) -> tuple[Any, str, list[Example], list[str]]:
    """The recorded gpt-3.5 on the examples; without recordings, the hand-written proposals on those that have some."""
    from langchain_linvit.models.intercode import BASH_SCRIPTS, SQL_SCRIPTS, intercode_model
    from langchain_linvit.models.recorded import RecordedChatModel, answers_only

    folder = scope.file("intercode", "recorded")
    logs = sorted(folder.glob(f"{kind}_*.json*")) if folder is not None else []
    if logs:
        keep = answers_only if kind == "sql" else partial(_is_not, "submit")
        note = f"{len(examples)} tasks. Model: gpt-3.5's recorded proposals ({len(logs)} logs of InterCode's authors)."
        return RecordedChatModel.from_logs(*logs, keep=keep), "recorded gpt-3.5", examples, [note]
    scripts = SQL_SCRIPTS if kind == "sql" else BASH_SCRIPTS
    known = [example for example in examples if to_task(example).text.strip() in scripts][: scope.limit]
    note = f"{len(known)} tasks with hand-written proposals, which are no model's: this shows that it runs, no more."
    return intercode_model(kind), "hand-written", known, [note]


def _sql(scope: Scope) -> Benchmark:
    from langchain_linvit.environments.intercode import SqlEnvironment

    recorded = scope.file("intercode", "recorded") is not None
    source = scope.file("intercode", "ic_spider_dev.json") if recorded else None
    limit = scope.tasks(SQL_TASKS, SQL_TASKS) if recorded else None
    examples = load_dataset("intercode-sql", data=source, limit=limit)
    return _intercode("sql", SqlEnvironment, examples, "hardness", scope, part=100)


def _bash(scope: Scope) -> Benchmark:
    from langchain_linvit.environments.intercode import BashEnvironment

    recorded = scope.file("intercode", "recorded") is not None and scope.intercode_dir is not None
    source = scope.intercode_dir if recorded else None
    limit = scope.tasks(BASH_TASKS, BASH_TASKS) if recorded else None
    examples = load_dataset("intercode-bash", data=source, limit=limit)
    environment = partial(BashEnvironment, quoting="intercode")
    scope = scope if recorded else Scope(quick=scope.quick, limit=scope.limit, seed=scope.seed)
    return _intercode("bash", environment, examples, "file_system", scope, part=10)


def _is_not(unwanted: str, action: str) -> bool:
    return action != unwanted


def _rungs(ladder: Sequence[int], scope: Scope) -> Sequence[int]:
    """The ladder; with `--quick`, every other rung up to its top."""
    return ladder[1::2] if scope.quick else ladder


BENCHMARKS: dict[str, Callable[[Scope], Benchmark]] = {
    "blocksworld-4": partial(_blocksworld, 4),
    "blocksworld-6": partial(_blocksworld, 6),
    "intercode-sql": _sql,
    "intercode-bash": _bash,
    "alfworld": _alfworld,
}
"""By name, in the order of the tables."""
