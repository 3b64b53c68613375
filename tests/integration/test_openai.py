"""LangChain's real OpenAI clients against a local server: what arrives where, and how each fault surfaces.

The library reads logprobs, usage, refusals and failures where these tests find them; when a new release of
langchain-openai moves one, a test here fails first.
"""

import asyncio
import json
import math

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, ValidationError

from langchain_linvit.models import ToolReply
from langchain_linvit.models.tokens import tokenize
from tests.integration.openai_server import GARBAGE, REFUSAL, OpenAIServer

pytestmark = pytest.mark.integration

ANSWERS = {"Action: move b1": 0.5, "Action: move b1 on b2": 0.3, "Action: wait": 0.2}
QUESTION = [HumanMessage("What next?")]


class Look(BaseModel):
    """Look at something."""

    at: str


def policy(messages, tools):
    if messages[-1].type == "tool":
        return {f"I saw: {messages[-1].text}": 1}
    if any(tool["function"]["name"] == "Look" for tool in tools):
        return {ToolReply("Look", {"at": "sky"}, "I look."): 1}
    return ANSWERS


def client(server: OpenAIServer, kind=ChatOpenAI, **options):
    defaults = {"model": "local", "base_url": server.url, "api_key": "none", "max_retries": 0, "timeout": 5}
    return kind(**(defaults | options))


def merged(chunks) -> AIMessageChunk:
    first, *rest = chunks
    return sum(rest, first)


def content(message):
    return message.response_metadata["logprobs"]["content"]


def test_one_request_gives_n_generations_each_with_its_own_logprobs(openai_server):
    server = openai_server(policy)
    result = client(server).generate([QUESTION], n=6, logprobs=True, top_logprobs=2, seed=1)
    [generations] = result.generations
    assert len(server.requests) == 1
    assert len({generation.text for generation in generations}) > 1
    for generation in generations:
        assert "".join(entry["token"] for entry in content(generation.message)) == generation.text
        move = content(generation.message)[2]
        assert {entry["token"]: math.exp(entry["logprob"]) for entry in move["top_logprobs"]} == pytest.approx(
            {" move": 0.8, " wait": 0.2}
        )
    written = sum(len(tokenize(generation.text)) for generation in generations)
    for generation in generations:  # each carries the whole request's usage
        assert generation.message.usage_metadata["output_tokens"] == written
    assert result.llm_output["token_usage"]["completion_tokens"] == written


def test_the_sampling_options_of_a_call_reach_the_wire(openai_server):
    server = openai_server(policy)
    client(server).invoke(QUESTION, temperature=0.3, top_p=0.9, seed=7, n=2, max_tokens=9, stop=["x"])
    body = server.requests[0].body
    assert {name: body[name] for name in ("temperature", "top_p", "seed", "n", "stop")} == {
        **{"temperature": 0.3, "top_p": 0.9, "seed": 7, "n": 2, "stop": ["x"]}
    }
    assert body["max_completion_tokens"] == 9


def test_invoke_with_n_pays_for_all_and_shows_the_first(openai_server):
    message = client(openai_server(policy)).invoke(QUESTION, n=3, seed=1)
    assert isinstance(message.text, str)
    assert message.usage_metadata["output_tokens"] > len(tokenize(message.text))


def test_the_usage_callback_misses_requests_with_several_choices(openai_server):
    model = client(openai_server(policy))
    with get_usage_metadata_callback() as usage:
        model.generate([QUESTION], n=2)
    assert usage.usage_metadata == {}
    with get_usage_metadata_callback() as usage:
        model.invoke(QUESTION)
    assert usage.usage_metadata["local"]["input_tokens"] == 3


async def test_async_calls_run_at_once(openai_server):
    model = client(openai_server(policy))
    answers = await asyncio.gather(*(model.ainvoke(QUESTION, seed=seed) for seed in range(8)))
    again = await asyncio.gather(*(model.ainvoke(QUESTION, seed=seed) for seed in range(8)))
    assert [answer.text for answer in answers] == [answer.text for answer in again]
    assert {answer.text for answer in answers} <= set(ANSWERS)
    assert len({answer.text for answer in answers}) > 1


def test_tool_calls_and_their_results_go_round(openai_server):
    server = openai_server(policy)

    def Look(at: str) -> str:  # noqa: N802 - the policy calls it so
        """Look at something."""
        return f"a grey {at}"

    state = create_agent(client(server), [Look]).invoke({"messages": QUESTION})
    assert [message.text for message in state["messages"]] == [
        *("What next?", "I look.", "a grey sky", "I saw: a grey sky")
    ]
    forced = client(server).bind_tools([Look], tool_choice="Look").invoke(QUESTION)
    assert [call["args"] for call in forced.tool_calls] == [{"at": "sky"}]
    assert forced.response_metadata["finish_reason"] == "tool_calls"
    assert server.requests[-1].body["tool_choice"] == {"type": "function", "function": {"name": "Look"}}


@pytest.mark.parametrize("options", [{"method": "json_schema"}, {"method": "function_calling"}])
def test_structured_output(openai_server, options):
    server = openai_server(policy)
    assert client(server).with_structured_output(Look, **options).invoke(QUESTION) == Look(at="sky")
    assert ("response_format" in server.requests[0].body) == (options["method"] == "json_schema")


def test_a_stream_is_the_same_message_and_carries_logprobs(openai_server):
    model = client(openai_server(policy), logprobs=True, top_logprobs=2, stream_usage=True)
    whole, chunks = model.invoke(QUESTION, seed=3), list(model.stream(QUESTION, seed=3))
    assert len(chunks) > 3
    assert merged(chunks).text == whole.text
    assert content(merged(chunks)) == content(whole)
    assert merged(chunks).usage_metadata == whole.usage_metadata
    calls = merged(model.bind_tools([Look]).stream(QUESTION)).tool_calls
    assert [(call["name"], call["args"]) for call in calls] == [("Look", {"at": "sky"})]


def test_a_stream_has_no_usage_unless_asked_where_the_base_url_is_not_openai_s(openai_server):
    assert merged(client(openai_server(policy)).stream(QUESTION)).usage_metadata is None


def test_streamed_choices_run_into_one_message(openai_server):
    """Why candidates are sampled with streaming disabled."""
    text = merged(client(openai_server(policy)).stream(QUESTION, n=2, seed=2)).text
    assert text not in ANSWERS
    assert text.count("Action:") == 2


def test_echo_scores_texts_exactly_in_one_request(openai_server):
    server = openai_server(policy)
    scorer = client(server, OpenAI, max_tokens=0, logprobs=1, model_kwargs={"echo": True})
    start = "What next?\n\n"
    result = scorer.generate([f"{start}{text}\n" for text in ANSWERS] + [f"{start}Action: fly\n"])
    assert len(server.requests) == 1
    scores = []
    for [generation] in result.generations:
        logprobs = generation.generation_info["logprobs"]
        assert "".join(logprobs["tokens"]) == generation.text
        assert logprobs["token_logprobs"][0] is None
        pairs = zip(logprobs["text_offset"], logprobs["token_logprobs"], strict=True)
        scores.append(math.exp(sum(value for offset, value in pairs if offset >= len(start))))
    assert scores == pytest.approx([*ANSWERS.values(), 0.0])
    assert result.llm_output["token_usage"]["completion_tokens"] == 0


def test_echo_without_an_end_scores_a_beginning(openai_server):
    """An action that begins another one takes its mass, unless the scored text ends as an answer would."""
    scorer = client(openai_server(policy), OpenAI, max_tokens=0, logprobs=1, model_kwargs={"echo": True})
    scores = [
        math.exp(sum(generation.generation_info["logprobs"]["token_logprobs"][1:]))
        for [generation] in scorer.generate(["Action: move b1", "Action: move b1\n"]).generations
    ]
    assert scores == pytest.approx([0.8, 0.5])


async def test_completions_are_drawn_sync_and_async(openai_server):
    completions = client(openai_server(policy), OpenAI, n=2, best_of=2)
    [generations] = completions.generate(["What next?"]).generations
    assert {generation.text for generation in generations} <= set(ANSWERS)
    assert len(generations) == 2
    assert await client(openai_server(policy), OpenAI).ainvoke("What next?") in ANSWERS


def test_the_responses_api_answers_calls_tools_and_structures(openai_server):
    server = openai_server(policy)
    model = client(server, use_responses_api=True)
    message = model.invoke([SystemMessage("Plan."), *QUESTION])
    assert message.text in ANSWERS
    assert message.usage_metadata["output_tokens"] == len(tokenize(message.text))
    assert message.response_metadata["status"] == "completed"
    [call] = model.bind_tools([Look]).invoke(QUESTION).tool_calls
    assert (call["name"], call["args"]) == ("Look", {"at": "sky"})
    assert model.with_structured_output(Look).invoke(QUESTION) == Look(at="sky")
    assert {request.path for request in server.requests} == {"/v1/responses"}


@pytest.mark.parametrize("option", [{"n": 2}, {"logprobs": True}, {"seed": 1}])
def test_the_responses_api_refuses_sampling_options_before_any_request(openai_server, option):
    server = openai_server(policy)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(option))}'"):
        client(server, use_responses_api=True).invoke(QUESTION, **option)
    assert server.requests == []


def test_the_responses_api_drops_stop_without_a_word(openai_server):
    server = openai_server(policy)
    assert client(server, use_responses_api=True).invoke(QUESTION, stop=["Action"]).text in ANSWERS
    assert "stop" not in server.requests[0].body


def test_the_responses_api_drops_log_probabilities(openai_server):
    server = openai_server(policy)
    model = client(server, use_responses_api=True, include=["message.output_text.logprobs"], top_logprobs=2)
    message = model.invoke(QUESTION)
    assert server.requests[0].body["top_logprobs"] == 2
    assert "logprob" not in json.dumps([message.content, message.response_metadata, message.additional_kwargs])


FAILURES = {
    "rate_limit": (openai.RateLimitError, 429),
    "server_error": (openai.InternalServerError, 500),
    "hang": (openai.APITimeoutError, None),
    "truncated": (json.JSONDecodeError, None),
}


@pytest.mark.parametrize("fault", FAILURES)
@pytest.mark.parametrize("api", ["chat", "responses", "completions"])
def test_a_failing_transport_raises(openai_server, fault, api):
    error, status = FAILURES[fault]
    kind = OpenAI if api == "completions" else ChatOpenAI
    options = {"use_responses_api": True} if api == "responses" else {}
    model = client(openai_server(policy, [fault]), kind, timeout=0.3 if fault == "hang" else 5, **options)
    with pytest.raises(error) as caught:
        model.invoke("What next?")
    assert getattr(caught.value, "status_code", None) == status
    assert not isinstance(caught.value, TimeoutError)  # openai's timeout is a class of its own
    assert model.invoke("What next?").strip() if kind is OpenAI else model.invoke("What next?").text in ANSWERS


@pytest.mark.parametrize("fault", FAILURES)
async def test_a_failing_transport_raises_in_async_code_too(openai_server, fault):
    model = client(openai_server(policy, [fault]), timeout=0.3 if fault == "hang" else 5)
    with pytest.raises(FAILURES[fault][0]):
        await model.ainvoke(QUESTION)


@pytest.mark.parametrize("fault", FAILURES)
def test_the_client_retries_by_itself_all_but_broken_bodies(openai_server, fault):
    """Requests that langchain-openai makes again (2 by default) are seen by no callback and no account."""
    server = openai_server(policy, [fault])
    model = client(server, max_retries=2, timeout=0.3 if fault == "hang" else 5)
    if fault == "truncated":
        with pytest.raises(json.JSONDecodeError):
            model.invoke(QUESTION)
        assert len(server.requests) == 1
    else:
        assert model.invoke(QUESTION).text in ANSWERS
        assert len(server.requests) == 2


def test_a_stream_that_breaks_off_looks_like_a_short_answer(openai_server):
    message = merged(client(openai_server(policy, ["truncated"])).stream(QUESTION))
    assert message.text not in ANSWERS
    assert "finish_reason" not in message.response_metadata


def test_a_refusal_is_an_empty_answer_with_a_note(openai_server):
    server = openai_server(policy, ["refusal"] * 4)
    message = client(server).invoke(QUESTION)
    assert (message.text, message.additional_kwargs["refusal"]) == ("", REFUSAL)
    assert message.response_metadata["finish_reason"] == "stop"
    assert merged(client(server).stream(QUESTION)).additional_kwargs == {}  # streams lose the note
    message = client(server, use_responses_api=True).invoke(QUESTION)
    assert message.text == ""
    assert message.content == [{"type": "refusal", "refusal": REFUSAL, "id": "msg_1"}]
    structured = client(server).with_structured_output(Look, include_raw=True).invoke(QUESTION)
    assert (type(structured["parsing_error"]).__name__, structured["parsed"]) == ("OpenAIRefusalError", None)


def test_the_content_filter_cuts_the_answer_and_says_so(openai_server):
    server = openai_server(policy, ["content_filter"] * 3)
    message = client(server).invoke(QUESTION)
    assert (message.text, message.response_metadata["finish_reason"]) == ("Ac", "content_filter")
    message = client(server, use_responses_api=True).invoke(QUESTION)
    assert message.text == "Ac"
    assert message.response_metadata["incomplete_details"] == {"reason": "content_filter"}
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client(server).with_structured_output(Look).invoke(QUESTION)


def test_missing_log_probabilities_are_none(openai_server):
    server = openai_server(policy, ["no_logprobs"] * 2)
    assert client(server, logprobs=True).invoke(QUESTION).response_metadata["logprobs"] is None
    scorer = client(server, OpenAI, max_tokens=0, logprobs=1, model_kwargs={"echo": True})
    [[generation]] = scorer.generate(["Action: wait"]).generations
    assert generation.generation_info["logprobs"] is None


def test_garbage_arrives_as_it_is_and_breaks_structured_output(openai_server):
    server = openai_server(policy, ["garbage"] * 3)
    assert client(server).invoke(QUESTION).text == GARBAGE
    with pytest.raises(ValidationError):  # raised by the client itself: include_raw doesn't catch it
        client(server).with_structured_output(Look, include_raw=True).invoke(QUESTION)
    loose = client(server).with_structured_output(Look, method="function_calling", include_raw=True).invoke(QUESTION)
    assert loose["parsed"] == Look(at="sky")  # the call is intact, whatever the text beside it


def test_a_bad_option_is_a_bad_request(openai_server):
    with pytest.raises(openai.BadRequestError, match="top_logprobs needs logprobs=True"):
        client(openai_server(policy)).invoke(QUESTION, top_logprobs=3)
