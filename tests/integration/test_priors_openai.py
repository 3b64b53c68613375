"""Priors over the real OpenAI clients: every rung of the ladder on the wire, and what each fault turns into."""

import math

import pytest
from langchain_openai import ChatOpenAI, OpenAI

from langchain_linvit.calls import AsyncIO, Caller, Retry
from langchain_linvit.environments.base import extract_action, match_action
from langchain_linvit.errors import ModelCallError
from langchain_linvit.priors import ChatPrior, CompletionScoringPrior
from langchain_linvit.prompts import Situation, request_kind

pytestmark = pytest.mark.integration

WEIGHTS = {"pick up b1": 0.5, "put down b2": 0.3, "wait": 0.2}
SITUATION = Situation(
    **{"description": "You move blocks.", "goal": "b1 on b2", "state": "all on the table", "admissible": list(WEIGHTS)},
    parse=lambda text: match_action(extract_action(text), list(WEIGHTS)),
)


def policy(messages, tools):
    kind = request_kind(messages)
    if kind == "choose by number":
        return dict(zip("123", WEIGHTS.values(), strict=True))
    if kind == "weigh actions":
        return {'{"1": 0.5, "2": 0.3, "3": 0.2}': 1}
    return {f"Action: {action}": weight for action, weight in WEIGHTS.items()}


def chat(server, **options):
    defaults = {"model": "local", "base_url": server.url, "api_key": "none", "max_retries": 0, "timeout": 5}
    return ChatOpenAI(**(defaults | options))


def echoing(server):
    options = {"model": "local", "base_url": server.url, "api_key": "none", "max_retries": 0}
    return OpenAI(**options, max_tokens=0, logprobs=1, model_kwargs={"echo": True})


async def proposed(prior, candidates=None, attempts=1):
    caller = Caller(AsyncIO(), seed=1, retry=Retry(attempts=attempts, delay=0))
    return await prior.propose(SITUATION, candidates, caller)


def probabilities(proposals):
    return {proposal.text: math.exp(proposal.log_prob) for proposal in proposals}


@pytest.mark.parametrize(("method", "provenance"), [("label", "exact"), ("verbalised", "verbalised")])
async def test_scoring_all_actions_takes_one_request(openai_server, method, provenance):
    server = openai_server(policy)
    proposals = await proposed(ChatPrior(chat(server), method=method))
    assert probabilities(proposals) == pytest.approx(WEIGHTS)
    assert {proposal.provenance for proposal in proposals} == {provenance}
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["sequence", "sampled"])
async def test_m_candidates_are_sampled_in_one_request(openai_server, method):
    server = openai_server(policy)
    proposals = await proposed(ChatPrior(chat(server), method=method), 60)
    assert [request.body["n"] for request in server.requests] == [60]
    assert {proposal.provenance for proposal in proposals} == {method}
    ranked = sorted(probabilities(proposals), key=probabilities(proposals).get, reverse=True)
    assert ranked == list(WEIGHTS)


async def test_echoed_texts_are_scored_in_one_request(openai_server):
    server = openai_server(policy)
    proposals = await proposed(CompletionScoringPrior(echoing(server)))
    assert probabilities(proposals) == pytest.approx(WEIGHTS)
    assert [request.path for request in server.requests] == ["/v1/completions"]


async def test_the_responses_api_gives_samples_in_concurrent_requests(openai_server):
    server = openai_server(policy)
    proposals = await proposed(ChatPrior(chat(server, use_responses_api=True)), 5)
    assert {proposal.provenance for proposal in proposals} == {"sampled"}
    assert [request.path for request in server.requests] == ["/v1/responses"] * 5


async def test_a_model_that_streams_by_default_is_sampled_all_the_same(openai_server):
    server = openai_server(policy)
    proposals = await proposed(ChatPrior(chat(server, streaming=True)), 3)
    assert {proposal.text for proposal in proposals} <= set(WEIGHTS)
    assert [request.body["stream"] for request in server.requests] == [False]


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "hang", "truncated"])
async def test_transport_faults_are_tried_again_and_then_raised(openai_server, fault):
    limit = 0.3 if fault == "hang" else 5
    prior = ChatPrior(chat(openai_server(policy, [fault]), timeout=limit), method="label")
    assert probabilities(await proposed(prior, attempts=2)) == pytest.approx(WEIGHTS)
    prior = ChatPrior(chat(openai_server(policy, [fault] * 2), timeout=limit), method="label")
    with pytest.raises(ModelCallError, match="failed 2 time"):
        await proposed(prior, attempts=2)


async def test_missing_log_probabilities_leave_frequencies(openai_server):
    prior = ChatPrior(chat(openai_server(policy, ["no_logprobs"])), method="sequence")
    assert {proposal.provenance for proposal in await proposed(prior, 9)} == {"sampled"}
    with pytest.raises(ModelCallError, match="no token log-probabilities"):
        await proposed(CompletionScoringPrior(echoing(openai_server(policy, ["no_logprobs"]))))


@pytest.mark.parametrize("fault", ["refusal", "content_filter", "garbage"])
async def test_unreadable_answers_are_proposals_with_an_error(openai_server, fault):
    prior = ChatPrior(chat(openai_server(policy, [fault])), method="sequence")
    proposals = await proposed(prior, 3)
    assert all(proposal.error for proposal in proposals)
    words = {"refusal": "refused", "content_filter": "content filter", "garbage": "no line `Action:"}[fault]
    assert any(words in proposal.error for proposal in proposals)  # langchain-openai notes only the first refusal of n


@pytest.mark.parametrize("fault", ["refusal", "garbage"])
async def test_without_a_readable_number_all_actions_are_alike(openai_server, fault):
    proposals = await proposed(ChatPrior(chat(openai_server(policy, [fault])), method="label"))
    assert {proposal.provenance for proposal in proposals} == {"uniform"}
