"""A bench under LangSmith's `evaluate` and `aevaluate`: offline, or uploaded as a normal experiment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid5

from langsmith import Client, aevaluate, evaluate
from langsmith.evaluation import EvaluationResults, RunEvaluator
from langsmith.schemas import Example

from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError, LinvitError, MissingDependencyError
from langchain_linvit.evaluation.bench import ITEM, REPETITION, Bench
from langchain_linvit.evaluation.datasets import dataset_digest, to_task
from langchain_linvit.evaluation.offline import offline_client, offline_process, quiet, untraced
from langchain_linvit.evaluation.results import ItemRecord


def repeated(examples: Sequence[Example], repetitions: int) -> Iterator[Example]:
    """Every repetition of every example, marked as such: all examples first, then all of them again."""
    tasks = [to_task(example) for example in examples]
    for repetition in range(repetitions):
        for example, task in zip(examples, tasks, strict=True):
            metadata = {**(example.metadata or {}), ITEM: task.id, REPETITION: repetition}
            yield example.model_copy(update={"metadata": metadata})


@dataclass
class LangSmithRun:
    """One pass of LangSmith's evaluation over examples that `repeated` has marked.

    Attributes:
        bench: The target and what scores it.
        examples: What to run; all of it is run.
        keep: Takes each record as soon as it is scored.
        concurrency: Items under way at once.
        name: The experiment's name.
        metadata: What LangSmith shows beside the name.
        client: The LangSmith client to upload with; None runs offline.
        dataset: All examples of the experiment, each once, where it is uploaded.
    """

    bench: Bench
    examples: Sequence[Example]
    keep: Callable[[ItemRecord], None]
    concurrency: int = 1
    name: str = "linvit"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    client: Client | None = None
    dataset: Sequence[Example] = ()
    _stopped: threading.Event = field(default_factory=threading.Event)
    _fatal: Exception | None = None

    def __post_init__(self) -> None:
        self._tasks = {task.id: task for task in map(to_task, self.examples)}

    def run(self) -> None:
        """Run and score everything.

        Several items at once are run by a thread of LangSmith's, so that an interrupt needn't wait for them all.

        Raises:
            MissingDependencyError: What the items need is absent: no failure of theirs, so that none is recorded.
        """
        if not self.examples:
            return
        with self._surroundings():
            results = evaluate(self._solve, blocking=self.concurrency == 1, **self._arguments())
            try:
                _wait(results)
            except BaseException:
                self._stopped.set()
                with suppress(BaseException):
                    _wait(results)  # for the items under way; the others end at once
                raise
        self._check()

    async def arun(self) -> None:
        """`run` in an event loop."""
        if self.examples:
            with self._surroundings():
                await aevaluate(self._asolve, **self._arguments())
            self._check()

    def _solve(self, inputs: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
        del inputs  # the method gets the whole task, whose environment keeps the gold answer to itself
        with self._scope(), self._unless_stopped():
            return self.bench.solve(*self._item(metadata))

    async def _asolve(self, inputs: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
        del inputs
        with self._scope(), self._unless_stopped():
            return await self.bench.asolve(*self._item(metadata))

    def _check(self) -> None:
        if self._fatal is not None:
            raise self._fatal

    def _item(self, metadata: Mapping[str, Any]) -> tuple[Task, int]:
        return self._tasks[metadata[ITEM]], metadata[REPETITION]

    @contextmanager
    def _unless_stopped(self) -> Iterator[None]:
        """Nothing is run any more once the experiment was interrupted, or lacks what every item needs."""
        if self._stopped.is_set():
            raise LinvitError("the experiment was interrupted")
        try:
            yield
        except MissingDependencyError as error:
            self._fatal = error
            self._stopped.set()
            raise

    def _scope(self) -> AbstractContextManager[None]:
        """What runs inside of a target or an evaluator is traced where the experiment is uploaded, and only there."""
        return untraced() if self.client is None else nullcontext()

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        with quiet(banner=self.client is not None), offline_process() if self.client is None else nullcontext():
            yield

    def _arguments(self) -> dict[str, Any]:
        return {
            "data": list(self.examples)
            if self.client is None
            else uploaded(self.client, self.examples, self.dataset or self.examples),
            "evaluators": [_Recorder(self)],
            "client": self.client or offline_client(),
            "upload_results": self.client is not None,
            "max_concurrency": 0 if self.concurrency == 1 else self.concurrency,
            "experiment_prefix": self.name,
            "metadata": dict(self.metadata),
        }


def _wait(results: Iterable[Any]) -> None:
    """Until every row is there; `wait()` would join a thread, which Python 3.11 takes for ended once interrupted."""
    for _ in results:
        pass


class _Recorder(RunEvaluator):
    """The one evaluator of an experiment: what it finds is kept before LangSmith sees it.

    LangSmith hands a row out when the next one is predicted; a program that is killed meanwhile would lose it.
    """

    def __init__(self, run: LangSmithRun) -> None:
        self._run = run

    def evaluate_run(
        self, run: Any, example: Example | None = None, evaluator_run_id: Any = None, **kwargs: Any
    ) -> EvaluationResults:
        del evaluator_run_id, kwargs
        if example is None or self._run._stopped.is_set():
            return EvaluationResults(results=[])
        with self._run._scope():
            record, results = self._run.bench.scored(run, example)
        self._run.keep(record)
        return EvaluationResults(results=results)

    async def aevaluate_run(
        self, run: Any, example: Example | None = None, evaluator_run_id: Any = None, **kwargs: Any
    ) -> EvaluationResults:
        del evaluator_run_id, kwargs
        if example is None or self._run._stopped.is_set():
            return EvaluationResults(results=[])
        with self._run._scope():
            record, results = await self._run.bench.ascored(run, example)
        self._run.keep(record)
        return EvaluationResults(results=results)


def uploading_client(client: Client | None) -> Client:
    """The client to upload with.

    Raises:
        InvalidSettingError: There is no key.
    """
    client = client or Client()
    if not client.api_key:
        raise InvalidSettingError("upload=True needs a LangSmith key: set LANGSMITH_API_KEY, or leave upload out")
    return client


def uploaded(client: Client, examples: Sequence[Example], dataset: Sequence[Example]) -> list[Example]:
    """The same examples as those of a LangSmith dataset, which is made where it is missing.

    Args:
        client: What to upload with.
        examples: Those to run.
        dataset: All examples of the experiment, each once: a resumed one belongs to the same dataset.
    """
    benchmark = (dataset[0].metadata or {}).get("benchmark", "custom")
    name = f"linvit-{benchmark}-{dataset_digest(dataset)}"
    missing = not client.has_dataset(dataset_name=name)
    made = client.create_dataset(name) if missing else client.read_dataset(dataset_name=name)
    ids = {example.id: uuid5(made.id, str(example.id)) for example in dataset}  # one may be in several datasets
    if missing:
        client.create_examples(
            dataset_id=made.id,
            examples=[
                {
                    "id": ids[example.id],
                    "inputs": example.inputs,
                    "reference_outputs": example.outputs,
                    "metadata": example.metadata,
                    "split": (example.metadata or {}).get("dataset_split"),
                }
                for example in dataset
            ],
        )
    return [e.model_copy(update={"id": ids[e.id], "dataset_id": made.id}) for e in examples]
