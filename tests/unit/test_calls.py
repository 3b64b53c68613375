"""How models are called: sync and async alike, counted, seeded, unseen."""

import asyncio
import threading

import pytest
from calling import NO_RETRY, PROMPT, WithoutN, complete, run, texts, without_n
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult, Generation, LLMResult
from langgraph.graph import END, START, MessagesState, StateGraph
from worlds import walker_model

from langchain_linvit.accounting import Account
from langchain_linvit.calls import MAX_TEXT, AsyncIO, Caller, Retry, SyncIO, derive_seed, drive
from langchain_linvit.errors import BudgetExhaustedError, ModelCallError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.models.sampling import SamplingModel


class IgnoresN(ScriptedChatModel):
    """An endpoint that takes `n` and gives one answer all the same."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return super()._generate(messages, stop, run_manager, **{**kwargs, "n": 1})


class Silent(ScriptedChatModel):
    """A model whose answer holds no generation, once."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        return ChatResult(generations=[]) if result.generations[0].text == "" else result


# drive


def test_drive_runs_what_never_suspends():
    async def inner():
        return 20

    async def body():
        return await inner() + 1

    assert drive(body()) == 21


def test_drive_refuses_what_waits_for_a_loop():
    closed = []

    async def body():
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="awaited something else"):
        drive(body())
    assert closed == [True]


def test_drive_passes_failures_on():
    async def body():
        raise KeyError("lost")

    with pytest.raises(KeyError):
        drive(body())


# seeds


def test_seeds_have_31_bits_and_tell_paths_apart():
    seeds = {
        derive_seed(*path) for path in [(0, "a", 0), (0, "a", 1), (1, "a", 0), (0, "b", 0), (0, "a0"), (0, "a", "b")]
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(7, "node", 3) == derive_seed(7, "node", 3) == 106324729


def test_the_seed_of_a_call_derives_from_run_path_and_sample():
    model = ScriptedChatModel(replies=["a"])
    sampling = SamplingModel(model, takes_seed=True)
    run(lambda caller: caller.complete(sampling, PROMPT, path=["node", 4]), seed=9)
    assert model.requests[0].options["seed"] == derive_seed(9, "node", 4, 0)


def test_samples_in_requests_of_their_own_have_seeds_of_their_own():
    model = ScriptedChatModel(replies=["a", "b", "c"])
    sampling = SamplingModel(model, takes_seed=True)
    run(lambda caller: caller.complete(sampling, PROMPT, path=["node"], n=3), seed=9)
    assert {request.options["seed"] for request in model.requests} == {derive_seed(9, "node", i) for i in range(3)}


def test_a_retry_has_the_seed_of_the_call_so_that_failures_change_nothing():
    model = ScriptedChatModel(replies=[ConnectionError(), "a"])
    sampling = SamplingModel(model, takes_seed=True)
    run(lambda caller: caller.complete(sampling, PROMPT, path=["node"]), retry=Retry(2, 0))
    assert [request.options["seed"] for request in model.requests] == [derive_seed(0, "node", 0)] * 2


def test_only_models_that_take_one_get_a_seed():
    model = ScriptedChatModel(replies=["a"])
    complete(model)
    assert "seed" not in model.requests[0].options


# n


@pytest.mark.parametrize("io", ["sync", "async"])
def test_n_samples_come_in_one_request(io):
    model, account = ScriptedChatModel(replies=list("abc")), Account()
    assert texts(complete(model, io, n=3, account=account)) == ["a", "b", "c"]
    assert [request.options["n"] for request in model.requests] == [3]
    assert (account.spent["llm_calls"], account.spent["requests"]) == (3, 1)


@pytest.mark.parametrize("io", ["sync", "async"])
def test_what_an_endpoint_that_ignores_n_left_out_is_asked_for(io):
    model, account = IgnoresN(replies=list("abc")), Account()
    assert sorted(texts(complete(model, io, n=3, account=account))) == ["a", "b", "c"]
    assert (account.spent["llm_calls"], account.spent["requests"]) == (3, 3)


@pytest.mark.parametrize("io", ["sync", "async"])
def test_a_model_without_n_is_called_at_once_for_every_sample(io):
    arrived = threading.Barrier(3, timeout=10)

    def reply(messages):
        arrived.wait()  # breaks unless all three calls are under way together
        return "a"

    class Threaded(WithoutN):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)

    sampling = SamplingModel(Threaded(replies=[reply] * 3))
    found = run(lambda caller: caller.complete(sampling, PROMPT, path=["x"], n=3), io, retry=NO_RETRY)
    assert texts(found) == ["a"] * 3


def test_some_failed_samples_leave_the_others():
    sampling = without_n(["a", ConnectionError("down"), "c"])
    account = Account()
    found = run(lambda caller: caller.complete(sampling, PROMPT, path=["x"], n=3), retry=NO_RETRY, account=account)
    assert sorted(texts(found)) == ["a", "c"]
    assert (account.spent["llm_calls"], account.spent["requests"], account.spent["failed_requests"]) == (3, 3, 1)


def test_all_samples_failing_is_an_error():
    sampling = without_n([ConnectionError("down")] * 2)
    with pytest.raises(ModelCallError, match="down"):
        run(lambda caller: caller.complete(sampling, PROMPT, path=["x"], n=2), retry=NO_RETRY)


@pytest.mark.parametrize("make", [lambda model: model.bind(n=4), lambda model: model.model_copy(update={"n": 4})])
def test_a_models_own_n_does_not_multiply_single_calls(make):
    account = Account(completions=1)
    model = PolicyChatModel(policy=lambda messages, tools: {"a": 1})
    assert texts(complete(make(model), account=account)) == ["a"]
    assert account.completions == 0


# usage


def test_usage_of_a_request_is_counted_once_whatever_its_n():
    account = Account()
    model = PolicyChatModel(policy=lambda messages, tools: {"one two": 1})
    complete(model, n=5, account=account)
    direct = model.generate([PROMPT], n=5).llm_output["token_usage"]
    assert account.spent["prompt_tokens"] == direct["prompt_tokens"]
    assert account.spent["completion_tokens"] == direct["completion_tokens"]


def test_usage_is_read_from_the_whole_result_where_messages_have_none():
    class Bare(FakeListChatModel):
        def _generate(self, *args, **kwargs):
            result = super()._generate(*args, **kwargs)
            result.llm_output = {"token_usage": {"prompt_tokens": 3, "completion_tokens": None}}
            return result

        def _combine_llm_outputs(self, llm_outputs):
            return llm_outputs[0]

    account = Account()
    complete(Bare(responses=["a"]), account=account)
    assert (account.spent["prompt_tokens"], account.spent["completion_tokens"]) == (3, 0)


def test_of_a_long_answer_the_end_is_kept():
    [found] = complete(ScriptedChatModel(replies=["x" * 50_000 + "\nAction: look"]))
    assert len(found.text) == MAX_TEXT
    assert found.text.endswith("\nAction: look")


# message streams


@pytest.mark.parametrize("io", ["sync", "async"])
async def test_nothing_reaches_the_message_stream_of_the_graph_around(io):
    sampling = SamplingModel.of(walker_model())

    async def anode(state):
        await Caller(AsyncIO()).complete(sampling, PROMPT, path=[], n=3)
        return {"messages": [AIMessage("done")]}

    def node(state):
        drive(Caller(SyncIO()).complete(sampling, PROMPT, path=[], n=3))
        return {"messages": [AIMessage("done")]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node if io == "sync" else anode)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    stream = graph.compile().astream({"messages": PROMPT}, stream_mode="messages")
    assert {chunk[0].content async for chunk in stream} == {"done"}


def test_sync_and_async_give_the_same():
    for n in (1, 4):
        model = walker_model()
        first, second = (complete(model, io, n=n, seed=5, options={"logprobs": True}) for io in ("sync", "async"))
        assert texts(first) == texts(second)
        assert first[0].tokens == second[0].tokens


# echo scoring


class Echo(SyncIO):
    def __init__(self, info):
        super().__init__()
        self.info = info

    async def generate(self, model, prompts, seconds, **kwargs):
        return LLMResult(generations=[[Generation(text=prompt, generation_info=self.info)] for prompt in prompts])


def test_the_score_of_a_text_is_that_of_its_own_tokens():
    logprobs = {"text_offset": [0, 4, 8], "token_logprobs": [None, -1.0, -0.5]}
    caller = Caller(Echo({"logprobs": logprobs}), Account(completions=2))
    assert drive(caller.score(None, ["abcdefgh", "abcdefgh"], 4)) == [-1.5, -1.5]
    assert drive(Caller(Echo({"logprobs": logprobs})).score(None, ["abcdefgh"], 8)) == [-0.5]
    with pytest.raises(BudgetExhaustedError):
        drive(caller.score(None, ["abcdefgh"], 4))


def test_scores_need_echoed_log_probabilities():
    with pytest.raises(ModelCallError, match="set logprobs=1 and echo=True"):
        drive(Caller(Echo({})).score(None, ["abc"], 0))
    account = Account(completions=1)
    with pytest.raises(BudgetExhaustedError):
        drive(Caller(Echo({}), account).score(None, ["a", "b"], 0))
    assert account.spent == {}
