"""Experiments: every item scored and kept, seeds and budgets, and nothing sent anywhere."""

import json
import logging
import threading

import pytest
from experiment_worlds import CORRIDOR, TASKS, recorded, slinvit, table
from langsmith import evaluate
from worlds import Corridor, closeness, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Outcome, Task
from langchain_linvit.errors import InvalidSettingError, MissingDependencyError
from langchain_linvit.evaluation import (
    BenchmarkEvaluator,
    ExperimentResults,
    Greedy,
    arun_experiment,
    load_dataset,
    run_experiment,
    to_examples,
)
from langchain_linvit.evaluation.offline import offline_client
from langchain_linvit.evaluation.results import INFO_FILE
from langchain_linvit.planner import PlanResult

# what a record holds


def test_every_item_is_scored_by_the_benchmarks_own_check():
    results = slinvit()
    assert [record.item for record in results.records] == [task.id for task in TASKS]
    assert results.complete
    first = results.records[0]
    assert first.text == "reach 1"
    assert first.metadata == {"kind": "near"}
    assert first.result.verdict.success
    assert first.scores["success"] == first.scores["plan_valid"] == first.scores["goal_share"] == 1.0
    assert first.scores["steps"] == len(first.result.trajectory) == 1
    assert first.scores["llm_calls"] == first.result.usage.llm_calls > 0
    assert first.scores["tokens"] == first.result.usage.tokens > 0
    assert sum(score for name, score in first.scores.items() if name.startswith("prior.")) == pytest.approx(1)


def test_what_a_target_believes_does_not_count():
    claim = PlanResult(task_id="x", goal="", outcome="solved", plan=["wait"], trajectory=[], usage={})
    results = run_experiment(lambda inputs: claim, TASKS[:1], environment=Corridor(), progress=False)
    assert results.records[0].result.solved
    assert results.records[0].success == 0
    assert results.info.prior == "own"


def test_a_plan_with_a_step_that_was_refused_is_not_valid():
    results = run_experiment(lambda inputs: ["go left", "go right"], TASKS[:1], environment=Corridor(), progress=False)
    assert (results.records[0].scores["plan_valid"], results.records[0].success) == (0.0, 1.0)


def test_the_share_of_the_goal_is_the_environments_own():
    class Halfway(Corridor):
        def evaluate(self):
            return Outcome(success=False, score=0.0, info={"goal_conditions": self.position / self.target})

    results = run_experiment(lambda inputs: ["go right"], TASKS[1:2], environment=Halfway(), progress=False)
    assert results.records[0].scores["goal_share"] == 0.5


def test_a_spent_budget_shows():
    results = slinvit(budget=Budget(completions=1))
    far = results.records[-1]
    assert (far.scores["budget_hit"], far.result.budget_exhausted, far.success) == (1.0, "completions", 0.0)
    assert all(record.scores["llm_calls"] <= 1 for record in results.records)


def test_an_error_is_a_scored_failure_with_its_reason():
    def target(inputs):
        if inputs["task"]["id"] == "to-2":
            raise ValueError("out of order")
        return ["go right"]

    results = run_experiment(target, TASKS[:3], environment=Corridor(), progress=False)
    failed = results.records[1]
    assert (failed.item, failed.success, failed.error) == ("to-2", 0.0, "ValueError: out of order")
    assert [record.success for record in results.records] == [1.0, 0.0, 0.0]
    assert (results.row().n, results.row().errors) == (3, 1)


def test_a_check_that_fails_is_a_failure_with_its_reason():
    class Broken(Corridor):
        def evaluate(self):
            raise RuntimeError("no verdict today")

    record = run_experiment(lambda inputs: ["go right"], TASKS[:1], environment=Broken(), progress=False).records[0]
    assert (record.success, record.error) == (0.0, "the benchmark's check failed: RuntimeError: no verdict today")


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_every_item_lacks_stops_the_experiment_and_is_no_failure_of_theirs(tmp_path, concurrency):
    def target(inputs):
        raise MissingDependencyError("install it")

    options = {"environment": Corridor(), "out": tmp_path, "progress": False, "concurrency": concurrency}
    with pytest.raises(MissingDependencyError, match="install it"):
        run_experiment(target, TASKS, **options)
    with pytest.raises(MissingDependencyError, match="install it"):
        await arun_experiment(target, TASKS, **options)
    assert ExperimentResults.load(tmp_path).records == []


def test_a_failing_target_says_nothing_on_the_terminal(capfd, caplog):
    run_experiment(lambda inputs: 1 / 0, TASKS[:2], environment=Corridor(), progress=False)
    shown = capfd.readouterr()
    assert (shown.out, shown.err, caplog.records) == ("", "", [])
    assert not any(logging.getLogger(f"langsmith.evaluation.{name}").filters for name in ("_runner", "_arunner"))


def test_what_a_target_prints_is_shown(capsys):
    run_experiment(lambda inputs: print("hello") or ["go right"], TASKS[:1], environment=Corridor(), progress=False)
    assert capsys.readouterr().out == "hello\n"


def test_progress_has_the_running_success_and_cost(capsys):
    slinvit(TASKS[:2], progress=True)
    assert "100% solved" in " ".join(capsys.readouterr().err.split())


# the same in every way of running


def test_repetitions_have_seeds_of_their_own():
    results = slinvit(TASKS[:2], repetitions=2, seed=7)
    alone = slinvit(TASKS[:2], seed=8)
    assert [record.key for record in results.records] == [("to-1", 0), ("to-1", 1), ("to-2", 0), ("to-2", 1)]
    second = [record for record in results.records if record.repetition == 1]
    for one, other in zip(second, alone.records, strict=True):
        assert one.result.model_dump(exclude={"usage": {"seconds"}}) == other.result.model_dump(
            exclude={"usage": {"seconds"}}
        )


async def test_sync_async_and_concurrent_runs_are_equal():
    one = slinvit(repetitions=2)
    assert table(slinvit(repetitions=2, concurrency=4)) == table(one)
    options = {**CORRIDOR, "value": closeness, "depth": 1, "repetitions": 2}
    assert table(await arun_experiment("slinvit", TASKS, **options)) == table(one)
    assert table(await arun_experiment("slinvit", TASKS, concurrency=4, **options)) == table(one)


async def test_environments_that_block_are_judged_off_the_event_loop():
    on_the_loop = set()

    class Blocking(Corridor):
        concurrency = "thread"

        def evaluate(self):
            on_the_loop.add(threading.current_thread() is threading.main_thread())
            return super().evaluate()

    await arun_experiment(Greedy(Blocking()), TASKS[:2], environment=Blocking(), model=walker_model(), progress=False)
    assert on_the_loop == {False}


def test_a_benchmark_brings_its_environment_model_and_settings():
    results = run_experiment("slinvit", load_dataset("blocksworld", limit=3), progress=False)
    assert (results.info.benchmark, results.info.prior, results.info.value) == (
        "blocksworld",
        "blocksworld-novice",
        "rules",
    )
    assert results.row().success == 1.0
    blind = run_experiment("breadth_first", load_dataset("blocksworld", limit=1), progress=False)
    assert (blind.info.prior, blind.row().llm_calls) == ("none", 0.0)


# evaluators


def test_further_evaluators_drop_in():
    def short(outputs: dict, reference_outputs: dict) -> bool:
        return len(outputs["plan"]) < 2

    def broken(run, example):
        raise ValueError("no opinion")

    def success(outputs: dict) -> dict:
        return {"key": "success", "score": 0.5}

    results = slinvit(TASKS[:2], evaluators=[short, broken, success])
    scores = [record.scores for record in results.records]
    assert [score["short"] for score in scores] == [1.0, 0.0]
    assert scores[0]["broken"] is None
    assert (scores[0]["success"], scores[0]["success (evaluator)"]) == (1.0, 0.5)


async def test_async_evaluators_run_in_a_loop():
    async def short(outputs: dict) -> bool:
        return len(outputs["plan"]) < 2

    results = await arun_experiment(
        "slinvit", TASKS[:2], evaluators=[short], value=closeness, depth=1, **CORRIDOR
    )  # fmt: skip
    assert [record.scores["short"] for record in results.records] == [1.0, 0.0]


@pytest.mark.parametrize(("method", "expected"), [("slinvit", 1.0), ("greedy", 0.0)])
def test_agentevals_compares_trajectories_with_the_reference(method, expected):
    agentevals = pytest.importorskip("agentevals.trajectory.match", reason="needs agentevals")
    match = agentevals.create_trajectory_match_evaluator(trajectory_match_mode="strict")
    examples = load_dataset("blocksworld", split="step_4", limit=1)
    target = method if method == "slinvit" else lambda inputs: ["pick up the red block"]
    results = run_experiment(target, examples, evaluators=[match], progress=False)
    assert results.records[0].scores["trajectory_strict_match"] == expected


def test_the_benchmarks_evaluator_works_in_langsmiths_own_evaluate():
    method = Greedy(Corridor(), horizon=1)
    rows = evaluate(
        lambda inputs: {"result": method.solve(Task.model_validate(inputs["task"]), model=walker_model())},
        data=to_examples(TASKS[:1]),
        evaluators=[BenchmarkEvaluator(Corridor())],
        client=offline_client(),
        upload_results=False,
        max_concurrency=0,
    )
    feedback = {item.key: item.score for item in next(iter(rows))["evaluation_results"]["results"]}
    assert feedback["success"] in (0.0, 1.0)
    assert feedback["steps"] == 1.0


# keys


def test_keys_are_never_in_saved_results(tmp_path, monkeypatch):
    from langchain_openai import ChatOpenAI

    monkeypatch.setenv("SOME_API_KEY", "key-in-the-environment")
    model = ChatOpenAI(model="gpt-4o-mini", api_key="key-of-the-model")
    texts = ["key-in-the-environment", "key-of-the-model", "sk-proj-AbCdEfGh12345678"]

    def target(inputs):
        raise PermissionError(f"wrong key: {', '.join(texts)}")

    run_experiment(target, TASKS[:1], environment=Corridor(), model=model, out=tmp_path / "a", progress=False)

    class Talkative(Greedy):
        def solve(self, task, **options):
            raise PermissionError(f"wrong key: {', '.join(texts)}")

    results = run_experiment(
        Talkative(Corridor()), TASKS[:1], environment=Corridor(), model=model, out=tmp_path / "b", progress=False
    )
    written = "".join(path.read_text() for path in tmp_path.glob("b/*"))
    assert results.info.prior == "gpt-4o-mini"
    assert "PermissionError: wrong key: [hidden], [hidden], [hidden]" in written
    assert not any(text in written + str(results.records) for text in texts)


# tables


def test_a_data_frame_has_a_row_per_item_and_repetition():
    pytest.importorskip("pandas", reason="needs pandas")
    frame = slinvit(TASKS[:2], repetitions=2).to_pandas()
    assert list(frame["item"]) == ["to-1", "to-1", "to-2", "to-2"]
    assert list(frame["repetition"]) == [0, 1, 0, 1]
    assert frame["score.success"].sum() == 4
    assert list(frame["metadata.kind"].unique()) == ["near"]


def test_a_row_sums_an_experiment_up():
    results = slinvit(prior="walker")
    row = results.row(note="!")
    assert (row.method, row.prior, row.value, row.n, row.solved, row.note) == ("slinvit", "walker", "rules", 5, 5, "!")
    with pytest.raises(InvalidSettingError, match="no finished items"):
        ExperimentResults(results.info).row()


# bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": []}, "at least one example"),
        ({"data": [TASKS[0], TASKS[0]]}, "two examples have the task id 'to-1'"),
        ({"repetitions": 0}, "must be at least 1"),
        ({"concurrency": 0}, "must be at least 1"),
        ({"environment": None}, "pass environment="),
        ({"shards": -1}, "shards is -1"),
        ({"shards": 2, "upload": True}, "either sharded or uploaded"),
        ({"depht": 2}, "depht"),
    ],
)
def test_bad_input_is_one_clear_error(options, message):
    with pytest.raises(InvalidSettingError, match=message):
        slinvit(**options)


def test_an_upload_needs_a_key(monkeypatch):
    for name in ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidSettingError, match="LANGSMITH_API_KEY"):
        slinvit(upload=True)


# nothing is sent


def test_nothing_is_connected_to_even_with_a_key_and_tracing_switched_on(tmp_path):
    connected = json.loads(recorded(tmp_path, "experiments"))
    assert connected == []


def test_the_recorder_of_connections_sees_what_tracing_sends_elsewhere(tmp_path):
    assert "socket.connect" in {name for name, _ in json.loads(recorded(tmp_path, "bare"))}


def test_the_info_file_is_plain(tmp_path):
    slinvit(out=tmp_path)
    info = json.loads((tmp_path / INFO_FILE).read_text())
    assert info["settings"] == {"dataset": info["settings"]["dataset"], "value": "closeness", "depth": 1}
    assert info["items"] == [task.id for task in TASKS]
