"""InterCode-Bash as an environment, in a real sandbox."""

import importlib.util
import json
import tarfile

import pytest

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import BashEnvironment, SandboxLimits, SandboxUnavailable, bash_tasks
from langchain_linvit.environments.intercode.sandbox import launch
from langchain_linvit.environments.intercode.sandbox.trees import MOST_LAYERS
from langchain_linvit.environments.intercode.sandbox.workspace import workspace
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, InvalidTaskError, MissingDependencyError
from langchain_linvit.testing import check_environment

pytestmark = pytest.mark.integration
TASK = Task(id="copy", text="Copy a.txt to c.txt.", data={"gold": "cp /data/a.txt /data/c.txt"})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("alpha\n")
    (folder / "data" / "b.txt").write_text("beta\n")
    return folder


@pytest.fixture(scope="module", params=["overlay", "copy"])
def prototype(request, files):
    try:
        environment = BashEnvironment(mode=request.param, file_system=files)
    except (SandboxUnavailable, MissingDependencyError) as error:
        pytest.skip(str(error))
    environment.reset(TASK)
    return environment


@pytest.fixture
def environment(prototype):
    fork = prototype.fork()
    yield fork
    fork.close()


def test_commands_change_files_and_show_output(environment):
    assert environment.step("cat /data/a.txt").observation == "alpha\n"
    assert environment.step("echo gamma > /data/c.txt").observation == "(no output)"
    assert "added /data/c.txt" in environment.state_text()
    environment.step("rm /data/b.txt; echo more >> /data/a.txt")
    assert "deleted /data/b.txt" in environment.state_text()
    assert "modified /data/a.txt" in environment.state_text()


def test_a_failing_command_is_an_observation_with_its_status(environment):
    transition = environment.step("cat /absent; exit 3")
    assert transition.error is None
    assert transition.info == {"exit_code": 3}
    assert transition.observation.endswith("No such file or directory\n(exit status 3)")


def test_only_files_and_the_working_directory_last(environment):
    environment.step("cd data")
    assert environment.step("pwd").observation == "/data\n"
    environment.step("x=1; cd /")
    assert environment.step("echo $x; pwd").observation == "\n/data\n"
    assert "No such file" in environment.step("cd absent").observation
    environment.step("cd ..")
    assert environment.step("pwd").observation == "/\n"


def test_forks_are_isolated_in_both_directions(environment):
    fork = environment.fork()
    fork.step("echo fork > /data/a.txt; rm /data/b.txt")
    environment.step("echo parent > /data/a.txt")
    assert fork.step("cat /data/*").observation == "fork\n"
    assert environment.step("cat /data/*").observation == "parent\nbeta\n"


def test_folders_that_were_replaced_hide_what_was_there(environment):
    environment.step("rm -r /data; mkdir /data; echo new > /data/d.txt")
    assert environment.step("ls /data").observation == "d.txt\n"
    environment.step("rm -r /data; ln -s /etc /data")
    assert environment.fork().step("test -L /data && ls /data/hosts").observation == "/data/hosts\n"


def test_deep_searches_squash_their_layers(environment):
    for number in range(MOST_LAYERS + 3):
        environment.step(f"echo {number} > /data/n{number % 5}; rm -f /data/b.txt; mkdir -p /data/d; rm -r /data/d")
    assert environment.step("cd /data && ls && cat n*").observation.split() == [
        "a.txt", "n0", "n1", "n2", "n3", "n4", "30", "31", "32", "33", "34",
    ]  # fmt: skip
    other = environment.spawn()
    other.restore(environment.snapshot())
    assert other.state_key() == environment.state_key()


def test_equal_file_systems_have_equal_keys_whatever_the_way(environment):
    other = environment.fork()
    environment.step("printf 'x\\n' > /data/c.txt")
    other.step("touch /data/c.txt; echo x > /data/c.txt")
    assert environment.state_key() == other.state_key()
    other.step("chmod 600 /data/c.txt")
    assert environment.state_key() != other.state_key()


def test_snapshots_are_plain_data_and_round_trip(environment):
    environment.step("rm /data/a.txt; mkdir -p /data/x/y; echo z > /data/x/y/z; ln -s z /data/x/y/l; chmod 700 /data/x")
    environment.step("cd /data")
    environment.step("ls")
    snapshot = json.loads(json.dumps(environment.snapshot()))
    other = environment.spawn()
    other.restore(snapshot)
    assert (other.state_key(), other.state_text()) == (environment.state_key(), environment.state_text())
    assert other.step("cat x/y/l; pwd").observation == "z\n/data\n"
    with pytest.raises(EnvironmentStateError, match="not a snapshot"):
        other.restore({"task": TASK.model_dump()})


def test_the_environment_keeps_the_contract(prototype):
    check_environment(
        prototype.spawn,
        TASK.model_copy(update={"data": {}}),
        other_task="Something else.",
        actions=["ls /data", "echo x > /data/x", "rm -f /data/b.txt", "cd /data", "cat absent", "submit"],
        steps=3,
        episodes=2,
    )


def test_quoting_is_intercodes_or_verbatim(environment, files):
    assert environment.step("""printf '%s' "a  b" """).observation == "a  b"
    intercode = BashEnvironment(file_system=files, quoting="intercode")
    intercode.reset(TASK)
    assert intercode.step("""printf '%s,' "a  b" """).observation == "a,", "docker-py takes double quotes off"
    assert "not closed" in intercode.step('echo "').error
    assert environment.step('echo "').error is None


def test_the_verdict_is_intercodes_with_a_strict_check_beside_it(environment):
    def verdict(*commands):
        fork = environment.fork()
        for command in commands:
            fork.step(command)
        return fork.evaluate()

    right = verdict("cp /data/a.txt /data/c.txt")
    assert (right.success, right.score, right.info["strict"]["success"]) == (True, 1.0, True)
    nothing = verdict("true")
    assert 0.3 < nothing.score < 0.8
    wrong = verdict("cp /data/b.txt /data/c.txt")
    assert wrong.score < 1
    assert wrong.info["strict"]["different_files"] == ["/data/c.txt"]
    hidden = verdict("cp /data/a.txt /data/c.txt; echo evil > /data/b.txt; git add data/b.txt; git commit -qm x")
    assert not hidden.info["strict"]["success"], "a commit hides a change from InterCode, not from the strict check"
    spaces = verdict("touch '/data/a b'")
    assert spaces.score == 0.0
    assert "reward code failed" in spaces.info["failure"]


def test_evaluating_changes_nothing(environment):
    environment.step("cp /data/a.txt /data/c.txt")
    before = environment.state_key()
    environment.evaluate()
    assert environment.state_key() == before


def test_file_systems_from_scripts_tarballs_and_folders(files, tmp_path, prototype):
    script = tmp_path / "setup.sh"
    script.write_text("mkdir /made; echo 'by a script' > /made/file\n")
    tarball = tmp_path / "files.tar.gz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(files / "data", arcname="packed")
    for source, command, expected in [
        (script, "cat /made/file", "by a script\n"),
        (tarball, "ls /packed", "a.txt\nb.txt\n"),
    ]:
        environment = BashEnvironment(file_system=source)
        environment.reset("Look.")
        assert environment.step(command).observation == expected
    script.write_text("exit 7\n")
    with pytest.raises(InvalidTaskError, match=r"failed .7"):
        BashEnvironment(file_system=script).reset("Look.")
    with pytest.raises(InvalidTaskError, match="absent"):
        BashEnvironment(file_system=tmp_path / "absent").reset("Look.")


def test_long_outputs_are_cut_with_a_note(files, prototype):
    environment = BashEnvironment(file_system=files, shown_characters=20)
    environment.reset(TASK)
    assert environment.step("seq 100").observation.endswith("(272 more characters, 100 lines in all)")


def test_limits_reach_across_an_episode(files, prototype):
    environment = BashEnvironment(file_system=files, limits=SandboxLimits(disk_bytes=3_000_000))
    environment.reset(TASK)
    assert environment.step("head -c 2000000 /dev/zero > /data/one").error is None
    transition = environment.step("head -c 2000000 /dev/zero > /data/two")
    assert "in all" in transition.error
    assert environment.step("ls /data").observation == "a.txt\nb.txt\none\n"


def test_settings_and_missing_tools_say_what_to_do(monkeypatch, prototype):
    with pytest.raises(InvalidSettingError, match="quoting"):
        BashEnvironment(quoting="plain")
    monkeypatch.setattr(launch.shutil, "which", lambda name, path=None: None if name == "bwrap" else f"/usr/bin/{name}")
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        launch.require_tools()


def test_a_sandbox_that_cannot_be_set_up_is_an_error_not_a_result(prototype, monkeypatch):
    monkeypatch.setattr(launch, "_PLAIN", "exit 1")
    monkeypatch.setattr(launch, "_OVERLAY", "exit 1")
    with pytest.raises(SandboxUnavailable, match="could not be set up"):
        prototype.fork().step("echo on the host")


@pytest.mark.skipif(importlib.util.find_spec("intercode") is None, reason="intercode-bench is not installed")
@pytest.mark.parametrize("number", [0, 3, 16, 22])
def test_golds_of_the_package_score_one_and_a_wrong_answer_less(number, prototype):
    environment = BashEnvironment(quoting="intercode")
    task = bash_tasks()[number]
    environment.reset(task)
    environment.step(task.data["gold"])
    assert environment.evaluate().success
    environment.reset(task)
    environment.step("echo no such answer > /no_such_answer")
    assert environment.evaluate().score < 1
    assert workspace().folder.exists()
