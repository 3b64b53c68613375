"""Benchmarks as LangSmith examples: what a target sees, what is kept from it, and the way back to a task."""

import json

import pytest

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
from langchain_linvit.environments.strata import stratified
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import load_dataset, to_examples, to_task
from langchain_linvit.evaluation.datasets import dataset_digest, trajectory_messages


def of_kind(*kinds):
    return [Task(id=f"{number}", text="t", metadata={"kind": kind}) for number, kind in enumerate(kinds)]


# strata


def test_a_part_is_spread_over_the_kinds_and_keeps_the_order():
    tasks = of_kind(*"aaaaaabbc")
    chosen = stratified(tasks, 5, "kind")
    assert [task.metadata["kind"] for task in chosen] == list("aabbc")
    assert [task.id for task in chosen] == ["0", "3", "6", "7", "8"]


def test_more_than_there_are_is_all_of_them():
    tasks = of_kind(*"aab")
    assert stratified(tasks, 99, "kind") == tasks


def test_tasks_without_the_key_are_one_kind():
    assert len(stratified(of_kind(*"aa"), 1, "hardness")) == 1


def test_named_kinds_come_first_and_alone():
    chosen = stratified(of_kind(*"aabbcc"), 1, "kind", strata=["b", "c"])
    assert [task.metadata["kind"] for task in chosen] == ["b"]


# examples


def test_blocksworld_has_its_splits_and_plans_that_solve():
    examples = load_dataset("blocksworld", limit=6)
    assert [example.metadata["optimal_steps"] for example in examples] == [2, 2, 4, 4, 6, 6]
    assert [example.metadata["dataset_split"] for example in examples[::2]] == [["step_2"], ["step_4"], ["step_6"]]
    environment = BlocksWorldEnvironment()
    for example in examples:
        environment.reset(to_task(example))
        for action in example.outputs["plan"]:
            environment.step(action)
        assert environment.evaluate().success


def test_a_split_can_be_chosen_and_a_wrong_one_names_those_there_are():
    assert {e.metadata["split"] for e in load_dataset("blocksworld", split="step_4", limit=3)} == {"step_4"}
    with pytest.raises(InvalidSettingError, match="step_2, step_4, step_6"):
        load_dataset("blocksworld", split="step_5")
    with pytest.raises(InvalidSettingError, match="limit is 0"):
        load_dataset("blocksworld", limit=0)
    with pytest.raises(InvalidSettingError, match="no application 'chess'"):
        load_dataset("chess")


def test_blocksworld_reads_problem_files(tmp_path):
    tasks = generate_problems(blocks=3, steps=2, count=2, seed=1)
    for task in tasks:
        (tmp_path / f"{task.id}.pddl").write_text(task.text)
    (tmp_path / "step_2.json").write_text(json.dumps([[f"{tasks[0].id}.pddl", "", 2]]))
    assert [e.metadata["dataset_split"] for e in load_dataset("blocksworld", data=tmp_path)] == [["step_2"]]
    assert len(load_dataset("blocksworld", data=tmp_path / "step_2.json")) == 1
    (tmp_path / "step_2.json").unlink()
    assert len(load_dataset("blocksworld", data=tmp_path)) == 2
    with pytest.raises(InvalidSettingError, match="no tasks in"):
        load_dataset("blocksworld", data=tmp_path.parent / tmp_path.name / "..")


def test_examples_are_tasks_again():
    task = Task(
        id="7", text="how many?", data={"gold": "SELECT 1", "db": "pets"}, metadata={"walkthrough": ["a"], "kind": "k"}
    )
    (example,) = to_examples([task], benchmark="mine")
    assert to_task(example) == task
    assert example.metadata["benchmark"] == "mine"


def test_what_gives_the_answer_away_is_in_the_reference_outputs_only():
    task = Task(id="7", text="how many?", data={"gold": "SECRET"}, metadata={"walkthrough": ["SECRET"]})
    (example,) = to_examples([task])
    assert "SECRET" not in json.dumps([example.inputs, example.metadata])
    assert "SECRET" in json.dumps(example.outputs)


def test_ids_are_the_same_everywhere_and_differ_between_tasks():
    one, other = Task(id="0", text="a", data={"file_system": "/here"}), Task(id="0", text="b")
    moved = one.model_copy(update={"data": {"file_system": "/there"}})
    ids = [to_examples([task], benchmark="b")[0].id for task in (one, moved, other)]
    assert ids[0] == ids[1] != ids[2]
    assert str(ids[0]) == "600fc4c5-6d96-5101-8f05-cbf5e7186a49"
    assert dataset_digest(to_examples([one, other])) != dataset_digest(to_examples([other, one]))


def test_an_example_without_a_task_is_an_error():
    (example,) = to_examples([Task.from_text("x")])
    with pytest.raises(InvalidSettingError, match="holds no task"):
        to_task(example.model_copy(update={"inputs": {"question": "x"}}))


def test_a_plan_as_messages_calls_the_environments_tools():
    tools = BlocksWorldEnvironment().action_tools()
    user, call = trajectory_messages("build", ["pick up the red block"], tools)
    assert user == {"role": "user", "content": "build"}
    assert call["tool_calls"][0]["function"] == {"name": "pick_up", "arguments": '{"block": "red"}'}


# real benchmark data, where they are at hand


def test_intercode_sql_has_hardness_and_gold_answers(benchmark_data):
    pytest.importorskip("intercode", reason="needs the extra intercode")
    examples = load_dataset("intercode-sql", data=benchmark_data / "intercode" / "ic_spider_dev.json", limit=8)
    hardness = [example.metadata["hardness"] for example in examples]
    assert sorted(hardness) == ["easy"] * 2 + ["extra"] * 2 + ["hard"] * 2 + ["medium"] * 2
    assert all(example.outputs["plan"] == [to_task(example).data["gold"], "submit"] for example in examples)
    assert all("gold" not in example.inputs["task"]["data"] for example in examples)


def test_intercode_bash_comes_from_its_package():
    pytest.importorskip("intercode", reason="needs the extra intercode")
    examples = load_dataset("intercode-bash")
    assert len(examples) == 24
    assert examples[0].metadata["dataset_split"] == ["package"]


def test_rap_lists_have_different_ids(benchmark_data):
    examples = load_dataset("blocksworld", data=benchmark_data / "blocksworld" / "rap")
    assert len({example.id for example in examples}) == len(examples) == 201
    assert len({to_task(example).id for example in examples}) == 201


def test_generated_households_have_kinds_and_plans():
    pytest.importorskip("alfworld", reason="needs the extra alfworld")
    examples = load_dataset("alfworld", limit=6)
    assert sorted(example.metadata["kind"] for example in examples) == ["clean", "cool", "heat", "look", "pick", "two"]
    assert all("walkthrough" not in json.dumps(example.inputs) for example in examples)
    assert all(example.outputs["plan"] for example in examples)
