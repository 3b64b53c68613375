"""The planner over the real OpenAI clients: which rung served it, and what each fault of the wire turns into."""

import random

import pytest
from langchain_openai import ChatOpenAI, OpenAI
from worlds import Corridor, closeness, walker

from langchain_linvit import Budget, CompletionScoringPrior, create_slinvit_planner
from langchain_linvit.models.sampling import SamplingModel
from tests.integration.openai_server import REFUSAL

pytestmark = pytest.mark.integration

ALWAYS = 2_000
"""Faults enough for every request of a run."""
TRANSPORT = ["rate_limit", "server_error", "hang", "truncated"]
ANSWERS = ["refusal", "content_filter", "no_logprobs", "garbage"]


def chat(server, **options):
    defaults = {"model": "local", "base_url": server.url, "api_key": "none", "max_retries": 0, "timeout": 5}
    return ChatOpenAI(**(defaults | options))


def plan(model, task="reach 2", **options):
    defaults = {"value": closeness, "candidates": None, "retry_delay": 0.0, "horizon": 6}
    return create_slinvit_planner(model, Corridor(), **{**defaults, **options}).invoke({"task": task})["result"]


@pytest.mark.parametrize(
    ("client", "settings", "rung", "path"),
    [
        ({}, {}, "exact", "/v1/chat/completions"),
        ({}, {"prior": "verbalised"}, "verbalised", "/v1/chat/completions"),
        ({}, {"candidates": 4}, "sequence", "/v1/chat/completions"),
        ({"streaming": True}, {"candidates": 4}, "sequence", "/v1/chat/completions"),
        ({}, {"candidates": 4, "prior": "sampled"}, "sampled", "/v1/chat/completions"),
        ({"use_responses_api": True}, {}, "verbalised", "/v1/responses"),
        ({"use_responses_api": True}, {"candidates": 4}, "sampled", "/v1/responses"),
        ({"reasoning": {"effort": "low"}}, {"candidates": 4}, "sampled", "/v1/responses"),
        ({"output_version": "responses/v1"}, {}, "verbalised", "/v1/responses"),
    ],
)
def test_the_rung_that_served_is_in_the_result(openai_server, client, settings, rung, path):
    server = openai_server(walker)
    result = plan(chat(server, **client), horizon=9, **settings)
    assert result.solved, str(result)
    assert set(result.prior) == {rung}
    assert {step.provenance for step in result.trajectory} == {rung}
    assert {request.path for request in server.requests} == {path}


def test_echoed_scores_are_exact(openai_server):
    server = openai_server(walker)
    options = {"model": "local", "base_url": server.url, "api_key": "none", "max_retries": 0}
    scorer = OpenAI(**options, max_tokens=0, logprobs=1, model_kwargs={"echo": True})
    result = plan(None, prior=CompletionScoringPrior(scorer))
    assert (result.solved, set(result.prior)) == (True, {"exact"})
    assert {request.path for request in server.requests} == {"/v1/completions"}


def test_a_client_that_turns_to_the_responses_api_by_itself_is_asked_what_it_takes():
    plain = {"model": "local", "api_key": "none"}
    assert SamplingModel.of(ChatOpenAI(**plain)).takes_n
    for turned in (
        *(ChatOpenAI(**plain, reasoning={"effort": "low"}), ChatOpenAI(**plain, truncation="auto")),
        *(
            ChatOpenAI(**plain).bind(include=["reasoning.encrypted_content"]),
            ChatOpenAI(**plain, use_responses_api=True),
        ),
    ):
        prepared = SamplingModel.of(turned)
        assert (prepared.takes_n, prepared.takes_seed, prepared.takes_logprobs) == (False, False, False)


@pytest.mark.parametrize("fault", TRANSPORT)
async def test_a_failing_transport_is_tried_again_and_counted(openai_server, fault):
    server = openai_server(walker, [fault, None, fault])
    model = chat(server, timeout=0.3 if fault == "hang" else 5)
    planner = create_slinvit_planner(model, Corridor(), value=closeness, candidates=None, retry_delay=0.0)
    result = (await planner.ainvoke({"task": "reach 2"}))["result"]
    assert result.plan == ["go right"] * 2
    assert result.usage.failed_requests == 2
    assert result.usage.requests == len(server.requests)


@pytest.mark.parametrize("fault", TRANSPORT)
def test_a_transport_that_never_recovers_ends_the_run_honestly(openai_server, fault):
    model = chat(openai_server(walker, [fault] * ALWAYS), timeout=0.1 if fault == "hang" else 5)
    result = plan(model, retries=1, value="critic")
    assert (result.outcome, result.plan) == ("no_candidates", [])
    assert "failed 2 time(s)" in result.reason


def test_a_wait_that_the_provider_asks_for_does_not_outlast_the_budget(openai_server, monkeypatch):
    monkeypatch.setattr("tests.integration.openai_server.RETRY_AFTER", 50)
    result = plan(chat(openai_server(walker, ["rate_limit"] * ALWAYS)), budget=Budget(seconds=0.5))
    assert result.outcome == "budget_exhausted"
    assert result.usage.seconds < 10


@pytest.mark.parametrize(
    ("fault", "words"),
    [("refusal", REFUSAL[:20]), ("content_filter", "content filter cut the answer"), ("garbage", "no line `Action:")],
)
@pytest.mark.parametrize("client", [{}, {"use_responses_api": True}])
def test_unusable_answers_are_named_in_the_notes(openai_server, fault, words, client):
    result = plan(chat(openai_server(walker, [fault] * ALWAYS), **client), candidates=3, horizon=2)
    assert (result.outcome, result.plan) == ("horizon", [])
    assert any(words in note for note in result.notes), result.notes
    assert any(words in (node.error or "") for node in result.tree)


@pytest.mark.parametrize("client", [{}, {"use_responses_api": True}])
def test_answers_that_are_cut_at_their_longest_are_unusable(openai_server, client):
    model = chat(openai_server(lambda messages, tools: {"Action: go right at once": 1}), max_tokens=4, **client)
    result = plan(model, candidates=3, horizon=1)
    assert result.plan == []
    assert any("raise the model's max_tokens" in note for note in result.notes), result.notes


def test_missing_log_probabilities_change_the_rung_and_say_so(openai_server):
    sampled = plan(chat(openai_server(walker, ["no_logprobs"] * ALWAYS)), candidates=4, horizon=9)
    assert set(sampled.prior) == {"sampled"}
    scored = plan(chat(openai_server(walker, ["no_logprobs", None, None])), horizon=9)
    assert set(scored.prior) == {"verbalised", "exact"}
    unreadable = plan(chat(openai_server(walker, ["refusal"] * ALWAYS)))
    assert set(unreadable.prior) == {"uniform"}
    assert unreadable.solved  # the value alone decides


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{"value": "critic", "depth": 3}, {"value": "rollouts", "candidates": 3}])
def test_three_in_ten_requests_go_wrong_and_every_run_ends(openai_server, seed, settings):
    rng = random.Random(seed)
    kinds = [kind for kind in TRANSPORT + ANSWERS if kind != "hang"]
    faults = [rng.choice(kinds)] + [rng.choice(kinds) if rng.random() < 0.3 else None for _ in range(ALWAYS)]
    server = openai_server(walker, faults)
    result = plan(chat(server), "reach 3", retries=2, budget=Budget(completions=150), **settings)
    if result.solved:
        world = Corridor()
        world.reset("reach 3")
        assert [world.step(action) for action in result.plan][-1].solved
    else:
        assert result.outcome in {"horizon", "no_candidates", "budget_exhausted"}
        assert result.reason
