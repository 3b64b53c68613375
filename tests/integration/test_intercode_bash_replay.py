"""Steps of InterCode-Bash's logs are replayed as the scripts ran them: refused, stopped and unreadable ones too."""

import json

import pytest

from evals import intercode_bash
from evals.intercode_bash_replay import MALFORMED, TIMED_OUT, ScriptedBash
from evals.intercode_replay import replayed
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SandboxLimits, SandboxUnavailable
from langchain_linvit.errors import MissingDependencyError

pytestmark = pytest.mark.integration
NOT_JUDGED, UNLIKE, ALL = 0, pytest.approx(0.67), pytest.approx(1.0)


@pytest.fixture(scope="module")
def prototype(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("alpha\n")
    try:
        return ScriptedBash(file_system=folder, limits=SandboxLimits(seconds=1.5))
    except (SandboxUnavailable, MissingDependencyError) as error:
        pytest.skip(str(error))


def steps(prototype, gold, *recorded):
    """What is made of (action, observation, reward) of a log."""
    episode = {
        key: [row[place] for row in recorded] for place, key in enumerate(("actions", "observations", "rewards"))
    }
    return list(replayed(prototype.spawn(), Task(id="0", text="List it.", data={"gold": gold}), episode))


@pytest.mark.parametrize(
    ("action", "observation"),
    [
        ("sleep 5", TIMED_OUT),
        ('echo "', MALFORMED),
        ("printf '\\\\377'", MALFORMED),
        ("", ""),
    ],
)
def test_what_can_not_be_run_or_read_is_judged_by_the_observation_of_it(prototype, action, observation):
    step, *others = steps(prototype, "ls /data", (action, observation, 0.67), ("ls /data", "a.txt\n", 1.0))
    assert (step.output, step.reward) == (observation, UNLIKE)
    assert [other.reward for other in others] == [ALL], "and the episode goes on"


def test_the_gold_may_fail_in_the_same_words(prototype):
    """InterCode compares outputs by their words, also those of errors."""
    (step,) = steps(prototype, "echo Command timed out", ("sleep 5", TIMED_OUT, 1.0))
    assert step.reward == ALL


@pytest.mark.parametrize(
    "reply",
    [
        "Error executing query: Your last `execute` action did not contain bash code",
        "No SQL code was found in your last response.",
    ],
)
def test_an_answer_that_the_script_refused_is_not_run(prototype, reply):
    (step,) = steps(
        prototype,
        "ls /data",
        ("execute[ls /data]", "a.txt\n", NOT_JUDGED),
        ("touch /data/b.txt", reply, NOT_JUDGED),
        ("submit", "a.txt\n", 1.0),
    )
    assert (step.number, step.reward, step.output) == (2, ALL, "a.txt\n")
    assert step.action == "ls /data", "what was run last, not the submission"


def test_only_the_replay_is_renewed_in_a_file_of_results(prototype, tmp_path):
    queries, scripts = tmp_path / "clone" / "data" / "nl2bash", tmp_path / "clone" / "docker" / "bash_scripts"
    queries.mkdir(parents=True)
    scripts.mkdir(parents=True)
    for number in (1, 2, 3, 4):
        (queries / f"nl2bash_fs_{number}.json").write_text(
            json.dumps([{"query": "List.", "gold": f"ls /files{number}"}])
        )
        script = f"mkdir -p /files{number} && echo alpha > /files{number}/a{number}.txt\n"
        (scripts / f"setup_nl2b_fs_{number}.sh").write_text(script)
    log = tmp_path / "bash_gpt-3.5_react_10_turns_fs_2.json"
    absent = "ls: cannot access '/files2': No such file or directory\n"
    episode = {"actions": ["execute[ls /files2]", "submit"], "observations": [absent, absent], "rewards": [0, 1.0]}
    log.write_text(json.dumps([{"task_id": 0, "query": "List.", **episode}]))
    file = tmp_path / "rows.json"
    kept = {"method": "gold", "n": 200}
    file.write_text(
        json.dumps({"benchmark": "b", "settings": {"n": 200}, "rows": [kept, {"method": "replay", "n": 1}]})
    )
    arguments = ["--intercode-dir", str(tmp_path / "clone"), "--recorded", str(log), "--json", str(file)]
    intercode_bash.main(["--only", "replay", *arguments])
    content = json.loads(file.read_text())
    assert (content["settings"], content["rows"][0], len(content["rows"])) == ({"n": 200}, kept, 2)
    row = content["rows"][1]
    assert (row["n"], row["solved"]) == (1, 1)
    assert row["same_by_log"] == {log.name: "1 of 1"}, "ReAct's log of file system 2 was recorded on 1"
    with pytest.raises(SystemExit):
        intercode_bash.main(["--only", "replay", "--json", str(file)])
