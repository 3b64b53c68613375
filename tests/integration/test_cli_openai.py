"""The command line and the planner with the real `ChatOpenAI`, on a local server that answers as a novice."""

import sys

import pytest
from langchain_openai import ChatOpenAI

from langchain_linvit import cli, create_slinvit_planner
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place, generate_problems
from langchain_linvit.models.blocksworld import POLICIES

pytestmark = pytest.mark.integration


def test_solves_a_problem_file_with_an_openai_model(openai_server, monkeypatch, tmp_path, capsys):
    server = openai_server(POLICIES["novice"])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-this-test")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("COLUMNS", "200")
    problem, result = tmp_path / "problem.pddl", tmp_path / "result.json"
    problem.write_text(generate_problems(blocks=4, steps=4, count=1, seed=3)[0].text)
    arguments = ["solve", "blocksworld", "--problem", problem, "--model", "openai:gpt-4o-mini", "--json", result]
    monkeypatch.setattr(sys, "argv", ["linvit", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    out = capsys.readouterr().out
    assert "solved" in out
    assert "exact" in out
    assert {request.body["model"] for request in server.requests} == {"gpt-4o-mini"}
    assert "sk-secret" not in out + result.read_text()


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "truncated", "garbage", "no_logprobs", "refusal"])
def test_every_third_call_failing_still_ends_in_a_plan(openai_server, fault):
    faults = [fault if index % 3 == 2 else None for index in range(300)]
    server = openai_server(POLICIES["novice"], faults=faults)
    model = ChatOpenAI(model="local", base_url=server.url, api_key="none", max_retries=0, timeout=5)
    planner = create_slinvit_planner(
        model, BlocksWorldEnvironment(), value=blocks_in_place, candidates=None, beam=3, depth=4, retry_delay=0.0
    )
    task = generate_problems(blocks=4, steps=4, count=1, seed=3)[0]
    result = planner.invoke({"task": task})["result"]
    assert result.solved, str(result)
    assert sum(result.prior.values()) > 0
    prompts = {}
    for request in server.requests:  # a call that is tried again keeps its seed; no other call has it
        assert prompts.setdefault(request.body["seed"], request.body["messages"]) == request.body["messages"]
    assert len(prompts) > 1


def test_which_rung_served_is_visible(openai_server):
    task = generate_problems(blocks=4, steps=4, count=1, seed=3)[0]
    for candidates, method, provenance in ((None, "auto", "exact"), (3, "auto", "sequence"), (3, "sampled", "sampled")):
        server = openai_server(POLICIES["novice"])
        model = ChatOpenAI(model="local", base_url=server.url, api_key="none", max_retries=0)
        planner = create_slinvit_planner(
            model, BlocksWorldEnvironment(), value=blocks_in_place, prior=method, candidates=candidates, depth=1
        )
        assert set(planner.invoke({"task": task})["result"].prior) == {provenance}
