"""Experiments around LangSmith's own `evaluate`: scored, counted, kept on disk as they run, and resumed.

    results = run_experiment("slinvit", load_dataset("blocksworld", limit=12), out="runs/slinvit")
    print(results.row())
    results.to_pandas()

Nothing is sent anywhere unless `upload=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langsmith import Client
from langsmith.schemas import Example

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.bench import Bench, Evaluator, Recipe, repetition_of, secrets_of
from langchain_linvit.evaluation.datasets import dataset_digest, load_dataset, to_examples, to_task
from langchain_linvit.evaluation.journal import Journal
from langchain_linvit.evaluation.langsmith_run import LangSmithRun, repeated, uploading_client
from langchain_linvit.evaluation.method import UNLIMITED
from langchain_linvit.evaluation.progress import ExperimentProgress
from langchain_linvit.evaluation.results import ExperimentInfo, ExperimentResults, ItemRecord

Data = str | Sequence[Example] | Sequence[Task]
"""A benchmark's name, examples, or tasks for an environment of one's own."""


def run_experiment(
    target: Any,
    data: Data,
    *,
    model: Any = None,
    environment: Environment | Callable[[], Environment] | None = None,
    evaluators: Sequence[Evaluator] = (),
    budget: Budget = UNLIMITED,
    seed: int = 0,
    repetitions: int = 1,
    concurrency: int = 1,
    out: str | Path | None = None,
    retry_errors: bool = False,
    name: str | None = None,
    prior: str | None = None,
    upload: bool = False,
    client: Client | None = None,
    shards: int = 0,
    progress: bool | None = None,
    **settings: Any,
) -> ExperimentResults:
    """Run a target on every example, and score it by the benchmark's own check.

    An item whose run fails is a scored failure with its reason. With `out`, every item is on disk once it is
    finished; the same call on the same folder goes on where an interrupted one stopped.

    Args:
        target: A name of `METHODS`, a preset of SLINVIT, a `Method`, a graph or agent, or a function of an example's
            inputs (see `as_method`).
        data: A benchmark's name, examples of `load_dataset`, or tasks for an environment of your own.
        model: A chat model or its name; by default the benchmark's embedded offline model.
        environment: A prototype or a factory; by default the benchmark's own.
        evaluators: Further LangSmith row evaluators, also those of `agentevals`. They see the outputs `result`
            (a `PlanResult`), `outcome`, `plan` and `messages`, and the reference outputs of the example.
        budget: What each item may spend.
        seed: Of the first repetition; each further one adds 1.
        repetitions: How often each item is run.
        concurrency: Items under way at once: in threads here, in the event loop in `arun_experiment`.
        out: A folder for the results; None keeps them in memory only.
        retry_errors: On a resume, run items again whose run failed.
        name: What reports call it; by default the benchmark and the method.
        prior: What tables call the model; by default its name.
        upload: Make it a normal LangSmith experiment too; needs a key. By default nothing is connected to.
        client: The LangSmith client to upload with.
        shards: Processes on Ray (extra `ray`), with the same results item by item; 0 runs everything here.
        progress: Whether to show a progress bar; by default where standard error is a terminal.
        **settings: Keyword arguments of a method that is made by name, e.g. `value="critic"`, `depth=2`.

    Returns:
        The results, those of an interrupted run included.

    Raises:
        InvalidSettingError: Something does not exist or does not fit; or `out` holds another experiment.
        MissingDependencyError: An extra is not installed.
    """
    recipe = _recipe(target, data, model, environment, evaluators, budget, seed, settings)
    if shards and upload:
        raise InvalidSettingError("an experiment is either sharded or uploaded; leave out shards or upload")
    plan = _Plan.of(recipe, _examples(data), repetitions, concurrency, name, prior, out, retry_errors)
    with ExperimentProgress(plan.info, plan.journal.records, progress) as shown:
        keep = plan.keeper(shown)
        if shards:
            from langchain_linvit.evaluation.sharding import run_shards

            run_shards(recipe, plan.waiting, keep, shards)
        else:
            plan.langsmith_run(keep, concurrency, uploading_client(client) if upload else None).run()
    return plan.journal.results


async def arun_experiment(
    target: Any,
    data: Data,
    *,
    model: Any = None,
    environment: Environment | Callable[[], Environment] | None = None,
    evaluators: Sequence[Evaluator] = (),
    budget: Budget = UNLIMITED,
    seed: int = 0,
    repetitions: int = 1,
    concurrency: int = 1,
    out: str | Path | None = None,
    retry_errors: bool = False,
    name: str | None = None,
    prior: str | None = None,
    upload: bool = False,
    client: Client | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> ExperimentResults:
    """`run_experiment` in an event loop; evaluators may be async, and environments that block run off the loop."""
    recipe = _recipe(target, data, model, environment, evaluators, budget, seed, settings)
    plan = _Plan.of(recipe, _examples(data), repetitions, concurrency, name, prior, out, retry_errors)
    with ExperimentProgress(plan.info, plan.journal.records, progress) as shown:
        chosen = uploading_client(client) if upload else None
        await plan.langsmith_run(plan.keeper(shown), concurrency, chosen).arun()
    return plan.journal.results


@dataclass(frozen=True)
class _Plan:
    """What an experiment still has to do, and where its records go."""

    bench: Bench
    info: ExperimentInfo
    journal: Journal
    examples: list[Example]
    waiting: list[Example]

    @classmethod
    def of(
        cls, recipe: Recipe, examples: list[Example], repetitions: int, concurrency: int, name: str | None,
        prior: str | None, out: str | Path | None, retry_errors: bool,
    ) -> _Plan:  # fmt: skip
        if repetitions < 1 or concurrency < 1:
            raise InvalidSettingError(
                f"repetitions and concurrency must be at least 1, not {repetitions}, {concurrency}"
            )
        bench = recipe.bench()
        info = ExperimentInfo(
            name=name or f"{recipe.benchmark}-{bench.method.name}",
            benchmark=recipe.benchmark,
            method=bench.method.name,
            prior=prior or (model_name(bench.model) if bench.method.uses_model else bench.method.own_prior),
            value=bench.method.value_name() or None,
            seed=recipe.seed,
            repetitions=repetitions,
            budget=recipe.budget,
            items=_items(examples),
            settings={"dataset": dataset_digest(examples), **{k: _plain(v) for k, v in recipe.settings.items()}},
        )
        journal = Journal.open(info, out, retry_errors=retry_errors, secrets=secrets_of(bench.model))
        ids = dict(zip((example.id for example in examples), info.items, strict=True))
        waiting = [e for e in repeated(examples, repetitions) if (ids[e.id], repetition_of(e)) not in journal]
        return cls(bench, info, journal, examples, waiting)

    def keeper(self, shown: ExperimentProgress) -> Callable[[ItemRecord], None]:
        """What takes a finished item: onto disk, then into the progress."""

        def keep(record: ItemRecord) -> None:
            self.journal.add(record)
            shown.add(record)

        return keep

    def langsmith_run(
        self, keep: Callable[[ItemRecord], None], concurrency: int, client: Client | None
    ) -> LangSmithRun:  # fmt: skip
        metadata = self.info.model_dump(mode="json", exclude={"name", "items", "settings"})
        return LangSmithRun(
            self.bench, self.waiting, keep, concurrency, self.info.name, metadata, client, self.examples
        )


def model_name(model: Any) -> str:
    """What tables call a chat model; without one, actions are equally likely."""
    if model is None:
        return "uniform"
    found = getattr(model, "model_name", None) or getattr(model, "model", None)
    return found if isinstance(found, str) else type(model).__name__


def _recipe(
    target: Any, data: Data, model: Any, environment: Environment | Callable[[], Environment] | None,
    evaluators: Sequence[Evaluator], budget: Budget, seed: int, settings: dict[str, Any],
) -> Recipe:  # fmt: skip
    return Recipe(target, _benchmark(data), model, environment, tuple(evaluators), budget, seed, settings)


def _benchmark(data: Data) -> str:
    if isinstance(data, str):
        return data
    if not data:
        raise InvalidSettingError("an experiment needs at least one example")
    metadata = data[0].metadata or {}
    return str(metadata.get("benchmark", "custom"))


def _examples(data: Data) -> list[Example]:
    if isinstance(data, str):
        return load_dataset(data)
    return [item if isinstance(item, Example) else to_examples([item])[0] for item in data]


def _items(examples: Sequence[Example]) -> list[str]:
    items = [to_task(example).id for example in examples]
    twice = next((item for item in items if items.count(item) > 1), None) if len(set(items)) < len(items) else None
    if twice is not None:
        raise InvalidSettingError(f"two examples have the task id {twice!r}; use `repetitions` to run items again")
    return items


def _plain(value: Any) -> Any:
    """A setting as plain data, the same in every process."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return getattr(value, "__qualname__", None) or getattr(value, "name", None) or type(value).__qualname__
