"""What the replay of InterCode-Bash's logs knows about them."""

import pytest

from evals.intercode_bash_replay import TIMED_OUT, cause, recorded_on
from evals.intercode_replay import ReplayedStep, replay_row
from langchain_linvit.environments.base import Task


def step(action="cat a", observation="x\n", output="y\n", recorded=0.67, reward=1.0):
    return ReplayedStep(0, action, observation, recorded, output, reward)


def task(gold="cat b"):
    return Task(id="fs1-0", text="Show b.", data={"gold": gold})


@pytest.mark.parametrize(
    ("made", "gold", "expected"),
    [
        (step(observation=TIMED_OUT), "cat b", "ran out of time in one of both"),
        (step("xxd a", "/bin/bash: line 1: xxd: command not found\n"), "cat b", "a program that only one of both has"),
        (step(), "ls -ld `which c++`", "a program that only one of both has"),
        (step(), "cat b | tee c &", "the gold leaves a job in the background"),
        (step(), "cat b 2>&1 && cat c", "another output"),
        (step("find / -name a"), "cat b", "files outside of the task's folders"),
        (step("find /testbed -name a"), "cat b", "another output"),
        (step(), "find /testbed -mtime +7", "times of files, the clock, or archives"),
        (step("cat a > /dev/null"), "sort b | uniq -w 3", "another output"),
        (step("cat a > /tmp/a"), "cat b", "files outside of the task's folders"),
        (step("df -h"), "cat b", "state of the machine, or the network"),
        (step(observation="b a\n", output="a\nb\n"), "cat b", "same output; the log's gold or files differed"),
        (step(observation="x" * 350, output="x" * 400), "cat b", "same output; the log's gold or files differed"),
        (step(observation="x" * 30, output="x" * 400), "cat b", "another output"),
        (
            step(observation="awk: read error\n", output="awk: fatal: cannot read\n"),
            "cat b",
            "wording of error messages",
        ),
    ],
)
def test_causes_are_told_from_outputs_and_commands(made, gold, expected):
    assert cause(made, task(gold)) == expected


@pytest.mark.parametrize(
    ("log", "number", "expected"),
    [
        ("bash_gpt-3.5_react_10_turns_fs_2.json.xz", 52, 1),
        ("bash_gpt-3.5_plan_solve_fs_2.json.xz", 30, 1),
        ("bash_gpt-3.5_plan_solve_fs_2.json.xz", 31, 2),
    ],
)
def test_two_logs_were_recorded_on_another_file_system(log, number, expected):
    assert recorded_on(log, number, 2) == expected
    assert recorded_on(log.replace("fs_2", "fs_3"), number, 3) == 3


def test_a_row_counts_by_log_and_by_cause():
    same = step(recorded=0.67, reward=0.68)
    row = replay_row([("a", task(), same), ("a", task(), step()), ("b", task(), same)], "here", cause)
    assert (row["n"], row["solved"], row["success"]) == (3, 2, pytest.approx(2 / 3))
    assert row["steps_at_1"] == {"both": 0, "here only": 1, "log only": 0}
    assert row["same_by_log"] == {"a": "1 of 2", "b": "1 of 1"}
    assert row["causes"] == {"another output": 1}
    assert [(one["log"], one["here"], one["log_has"]) for one in row["different"]] == [("a", 1.0, 0.67)]
    assert replay_row([], "here")["success"] == 0
