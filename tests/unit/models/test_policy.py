"""PolicyChatModel: a real chat model whose replies, probabilities and failures are exact and reproducible."""

import asyncio
import copy
import math
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import PolicyChatModel, SimulatedFailure, ToolReply
from langchain_linvit.models import policy as policy_module

ANSWERS = {"yes": 0.6, "no": 0.3, "yes, but later": 0.1}
QUESTION = [HumanMessage("Will it rain?")]


def forecast(messages, tools):
    if tools:
        return {
            ToolReply("look", {"at": "sky"}, "Let me see."): 0.5,
            ToolReply("look", {"at": "sea"}): 0.25,
            "no": 0.25,
        }
    return ANSWERS


class Look(BaseModel):
    """Look at something."""

    at: str


def texts(model, count, prompt="Will it rain?", **options):
    return [model.invoke(prompt, **options).text for _ in range(count)]


def samples(model, n, **options):
    return [generation.message for generation in model.generate([QUESTION], n=n, **options).generations[0]]


def test_frequencies_follow_the_policy():
    counts = Counter(message.text for message in samples(PolicyChatModel(policy=forecast, seed=1), 128))
    counts += Counter(texts(PolicyChatModel(policy=forecast), 872))
    for text, probability in ANSWERS.items():
        assert counts[text] / 1000 == pytest.approx(probability, abs=4 * math.sqrt(probability / 1000))


def test_the_same_seed_and_messages_give_the_same_reply():
    model = PolicyChatModel(policy=forecast)
    for seed in range(20):
        assert len(set(texts(model, 3, seed=seed))) == 1
    assert len({model.invoke("Will it rain?", seed=seed).text for seed in range(30)}) > 1
    assert len({model.invoke(f"Will it rain on day {day}?", seed=1).text for day in range(30)}) > 1


async def test_sync_async_and_streams_agree():
    model = PolicyChatModel(policy=forecast, logprobs=True, top_logprobs=3).bind_tools([Look])
    for seed in range(8):
        reply = model.invoke(QUESTION, seed=seed)
        streamed = list(model.stream(QUESTION, seed=seed))
        merged = streamed[0]
        for chunk in streamed[1:]:
            merged += chunk
        async_merged = None
        async for chunk in model.astream(QUESTION, seed=seed):
            async_merged = chunk if async_merged is None else async_merged + chunk
        for other in (await model.ainvoke(QUESTION, seed=seed), merged, async_merged):
            assert (other.text, other.tool_calls) == (reply.text, reply.tool_calls)
            assert other.usage_metadata == reply.usage_metadata
            assert other.response_metadata["finish_reason"] == reply.response_metadata["finish_reason"]
            expected = (reply.response_metadata["logprobs"] or {}).get("content")
            assert (other.response_metadata.get("logprobs") or {}).get("content") == expected
        assert len(streamed) > 1


def test_samples_do_not_depend_on_how_many_there_are():
    model = PolicyChatModel(policy=forecast, seed=5)
    assert [m.text for m in samples(model, 3)] == [m.text for m in samples(model, 20)][:3]
    assert len({m.text for m in samples(model, 20)}) > 1
    assert model.invoke(QUESTION, n=4).text == samples(model, 1)[0].text


def test_calls_without_a_seed_are_a_reproducible_stream():
    runs = [texts(PolicyChatModel(policy=forecast, random_state=3), 30) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1
    assert texts(PolicyChatModel(policy=forecast, random_state=4), 30) != runs[0]


def test_the_stream_of_a_prompt_does_not_depend_on_other_prompts_or_threads():
    alone = texts(PolicyChatModel(policy=forecast), 40, "a")
    model = PolicyChatModel(policy=forecast)
    with ThreadPoolExecutor(8) as pool:
        mixed = list(pool.map(lambda i: (i % 2, model.invoke("ab"[i % 2]).text), range(80)))
    assert Counter(text for other, text in mixed if not other) == Counter(alone)


def test_copies_share_the_stream_and_pickles_continue_it():
    expected = texts(PolicyChatModel(policy=forecast), 12)
    model = PolicyChatModel(policy=forecast)
    found = texts(model, 3) + texts(model.model_copy(update={"disable_streaming": True}), 3)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert found + texts(twin, 6) == expected
    assert found + texts(model, 6) == expected


def test_what_is_remembered_of_prompts_is_bounded(monkeypatch):
    monkeypatch.setattr(policy_module, "REMEMBERED_PROMPTS", 5)
    model = PolicyChatModel(policy=forecast)
    for number in range(50):
        model.invoke(f"question {number}")
    assert len(model._calls._counts) == 5


def test_message_ids_do_not_change_replies_but_content_does():
    model = PolicyChatModel(policy=forecast, temperature=2)
    call = {"name": "look", "args": {"at": "sky"}, "id": "1", "type": "tool_call"}
    replies = [
        [model.invoke([HumanMessage("q", id=str(i)), AIMessage("", id=str(i), tool_calls=[call])], seed=s).text
         for s in range(20)] for i in range(2)
    ]  # fmt: skip
    assert replies[0] == replies[1]
    other = [
        model.invoke([HumanMessage("q"), AIMessage("", tool_calls=[{**call, "args": {"at": "sea"}}])], seed=s).text
        for s in range(20)
    ]
    assert other != replies[0]
    assert texts(model, 1, [SystemMessage("q")], seed=1)  # other roles are taken too


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"top_p": 0.85}, {"stop": [","]}, {"max_tokens": 1}])
def test_log_probabilities_add_to_that_of_the_text_under_the_options(options):
    expected = {
        "temperature": {"yes": 36 / 46, "no": 9 / 46, "yes, but later": 1 / 46},
        "top_p": {"yes": 2 / 3, "no": 1 / 3},
        "stop": {"yes": 0.7, "no": 0.3},
        "max_tokens": {"yes": 0.6, "no": 0.3, "yes…": 0.7},
    }.get(next(iter(options), ""), ANSWERS)
    seen = {}
    for message in samples(PolicyChatModel(policy=forecast), 99, seed=2, logprobs=True, **options):
        content = message.response_metadata["logprobs"]["content"]
        assert "".join(entry["token"] for entry in content) == message.text
        ended = content[-1]["token"] == ""
        assert ended == (message.response_metadata["finish_reason"] == "stop")
        seen[message.text + "…" * (not ended)] = math.exp(sum(entry["logprob"] for entry in content))
    assert seen == pytest.approx(expected)


def test_the_first_token_s_alternatives_are_the_policy_over_numbered_choices():
    weights = {"1": 0.5, "2": 0.2, "12": 0.3}
    model = PolicyChatModel(policy=lambda messages, tools: weights, logprobs=True, top_logprobs=20)
    first = model.invoke("Which?").response_metadata["logprobs"]["content"][0]["top_logprobs"]
    assert {entry["token"]: math.exp(entry["logprob"]) for entry in first} == pytest.approx(weights)


def test_without_logprobs_there_are_none():
    message = samples(PolicyChatModel(policy=forecast, seed=1), 1)[0]
    assert message.response_metadata == {
        **{"finish_reason": "stop", "logprobs": None, "model_name": "policy", "model_provider": "linvit"},
        "token_usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5},
    }


def test_every_generation_carries_the_usage_of_the_whole_request():
    model = PolicyChatModel(policy=lambda messages, tools: {"one two three": 1})
    result = model.generate([QUESTION, QUESTION], n=4)
    for generations in result.generations:
        for generation in generations:
            assert generation.message.usage_metadata == {"input_tokens": 4, "output_tokens": 12, "total_tokens": 16}
    assert result.llm_output["token_usage"] == {"prompt_tokens": 8, "completion_tokens": 24, "total_tokens": 32}
    with get_usage_metadata_callback() as usage:
        model.invoke(QUESTION)
        model.invoke(QUESTION, n=2)
    assert usage.usage_metadata == {"policy": {"input_tokens": 8, "output_tokens": 9, "total_tokens": 17}}


def test_stop_and_max_tokens_cut_the_reply():
    model = PolicyChatModel(policy=lambda messages, tools: {"go up. go down": 1})
    assert model.invoke("x", stop=["down", "."]).text == "go up"
    cut = model.bind(max_tokens=2).invoke("x")
    assert (cut.text, cut.response_metadata["finish_reason"]) == ("go up", "length")
    assert cut.usage_metadata["output_tokens"] == 2
    tool = PolicyChatModel(policy=lambda messages, tools: {ToolReply("look", {"at": "sky"}, "first. then"): 1})
    assert tool.bind_tools([Look]).invoke("x", stop=["."]).tool_calls == []


def test_tools_reach_the_policy_and_calls_the_message():
    seen, reply = [], ToolReply("Look", {"at": "sky"}, "I look.")

    def policy(messages, tools):
        seen.extend(tools)
        return {reply: 1}

    message = PolicyChatModel(policy=policy).bind_tools([Look]).invoke("x")
    assert [tool["function"]["name"] for tool in seen] == ["Look"]
    assert message.text == "I look."
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("Look", {"at": "sky"})]
    assert message.usage_metadata["output_tokens"] == 3 + len(["Look", "{", '"', "at", '"', ":", ' "', "sky", '"', "}"])
    structured = PolicyChatModel(policy=policy).with_structured_output(Look)
    assert structured.invoke("x") == Look(at="sky")


def test_changing_a_message_does_not_change_the_policy_s_reply():
    reply = ToolReply("look", {"at": ["sky"]})
    model = PolicyChatModel(policy=lambda messages, tools: {reply: 1})
    model.invoke("x").tool_calls[0]["args"]["at"].append("sea")
    assert model.invoke("x").tool_calls[0]["args"] == {"at": ["sky"]}


def test_call_ids_differ_between_samples_and_prompts():
    model = PolicyChatModel(policy=lambda messages, tools: {ToolReply("look", {}): 1}, seed=1)
    ids = [message.tool_calls[0]["id"] for message in samples(model, 5)]
    ids.append(model.invoke("another question").tool_calls[0]["id"])
    assert len(set(ids)) == 6
    assert ids[0] == samples(model, 1)[0].tool_calls[0]["id"]


def test_log_probabilities_of_a_call_are_those_of_its_text():
    model = PolicyChatModel(policy=forecast, logprobs=True).bind_tools([Look])
    found = {message.text: message.response_metadata["logprobs"] for message in
             (model.invoke(QUESTION, seed=seed) for seed in range(30))}  # fmt: skip
    assert found[""] is None
    beside = found["Let me see."]["content"]
    assert "".join(entry["token"] for entry in beside) == "Let me see."
    assert math.exp(sum(entry["logprob"] for entry in beside)) == pytest.approx(0.5)


def test_failures_are_reproducible_and_drawn_anew_for_every_attempt():
    def outcomes(model, prompt="q", **options):
        found = []
        for _ in range(40):
            try:
                found.append(model.invoke(prompt, **options).text)
            except SimulatedFailure:
                found.append(None)
        return found

    def flaky(**options):
        return PolicyChatModel(policy=forecast, failure_rate=0.3, **options)

    first = outcomes(flaky())
    assert first == outcomes(flaky())
    assert 4 <= first.count(None) <= 20
    assert first != outcomes(flaky(failure_seed=1))
    assert {None} < set(outcomes(flaky(), seed=3))
    rates = [[not outcomes(model, seed=seed, n=1)[0] for seed in order] for model, order in
             ((flaky(), range(20)), (flaky(), range(19, -1, -1)))]  # fmt: skip
    assert rates[0] == rates[1][::-1]  # of each seed's own attempts, whatever was tried in between
    assert len(set(rates[0])) == 2
    survivors = [text for text in first if text is not None]
    assert survivors == texts(PolicyChatModel(policy=forecast), len(survivors), "q")
    with pytest.raises(SimulatedFailure, match="attempt 1"):
        PolicyChatModel(policy=forecast, failure_rate=1).invoke("q")


async def test_latency_is_awaited_once_per_request_and_does_not_block_the_loop(monkeypatch):
    model = PolicyChatModel(policy=forecast, latency=0.125)
    slept, original = [], asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await original(0)

    monkeypatch.setattr(policy_module.asyncio, "sleep", sleep)
    monkeypatch.setattr(policy_module.time, "sleep", lambda seconds: slept.append(-seconds))
    await asyncio.gather(*(model.ainvoke("x") for _ in range(3)), model.agenerate([QUESTION], n=5))
    assert slept == [0.125] * 4
    model.invoke("x")
    assert list(model.stream("x"))
    assert slept[4:] == [-0.125] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature = -1"),
        ({"temperature": math.nan}, "temperature = nan"),
        ({"top_p": 0}, "top_p = 0"),
        ({"n": 0}, "n = 0"),
        ({"top_logprobs": 5}, "needs logprobs=True"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs = 21"),
        ({"temprature": 0}, r"unknown options \['temprature'\]; a call takes model_name, temperature, "),
        ({"tool_choice": "any"}, "tool_choice='any'"),
    ],
)
def test_bad_options_are_one_clear_error(options, message):
    with pytest.raises(InvalidSettingError, match=message):
        PolicyChatModel(policy=forecast).invoke("x", **options)
    if "tool_choice" not in options and "temprature" not in options:
        with pytest.raises(ValidationError):
            PolicyChatModel(policy=forecast, **options)


def test_several_choices_cannot_be_streamed():
    with pytest.raises(InvalidSettingError, match="n must be 1 when streaming"):
        list(PolicyChatModel(policy=forecast).stream("x", n=2))


def test_a_policy_s_own_error_passes_through_and_bad_weights_are_named():
    def broken(messages, tools):
        raise KeyError("state")

    with pytest.raises(KeyError, match="state"):
        PolicyChatModel(policy=broken).invoke("x")
    with pytest.raises(InvalidSettingError, match="0 replies"):
        PolicyChatModel(policy=lambda messages, tools: {}).invoke("x")


def test_the_cache_key_tells_policies_and_options_apart():
    def other(messages, tools):
        return ANSWERS

    keys = {
        PolicyChatModel(policy=policy, **options)._get_llm_string()
        for policy in (forecast, other)
        for options in ({}, {"temperature": 0.5}, {"random_state": 1})
    }
    assert len(keys) == 6
