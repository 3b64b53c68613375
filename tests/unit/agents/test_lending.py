"""`tools/`: every module gives a ready list of tools; a bad config, or a missing extra, is one clear line."""

import importlib
import sys
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool

from langchain_linvit.agents.lending import ToolsConfig, application_toolkit, serving_command
from langchain_linvit.applications import APPLICATIONS
from langchain_linvit.environments.blocksworld import generate_problems
from langchain_linvit.errors import InvalidSettingError
from tools import blocksworld

MODULES = sorted(path.stem for path in Path(blocksworld.__file__).parent.glob("[a-z]*.py"))


def test_every_application_has_its_module():
    assert sorted(name.replace("-", "_") for name in APPLICATIONS) == MODULES
    for name in MODULES:
        assert callable(importlib.import_module(f"tools.{name}").get_tools)


def test_the_list_is_ready_for_an_agent():
    tools = blocksworld.get_tools({"task": 2, "seed": 5})
    assert all(isinstance(tool, BaseTool) for tool in tools)
    assert [tool.name for tool in tools] == ["read_task", "pick_up", "put_down", "stack", "unstack"]
    goal = tools[0].invoke({}).split("<goal>\n")[1].split("\n</goal>")[0]
    task = generate_problems(blocks=4, steps=6, count=10, seed=5)[1]
    assert application_toolkit("blocksworld", ToolsConfig(task=task.id, seed=5)).environment.goal == goal


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"tsak": 2}, "tsak: Extra inputs are not permitted; it takes problem, data, task, seed"),
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"task": 99}, "no task '99'; there are 10"),
    ],
)
def test_a_bad_config_is_refused(config, said):
    with pytest.raises(InvalidSettingError, match=said):
        blocksworld.get_tools(config)


def test_serving_without_the_extra_names_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.setattr(sys, "argv", ["tools.blocksworld"])
    with pytest.raises(SystemExit) as ended:
        serving_command("blocksworld")
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert "pip install 'langchain-linvit[mcp]'" in " ".join(said.err.split())
