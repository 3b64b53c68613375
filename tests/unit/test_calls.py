"""How models and environments are called: sync and async alike, counted, limited, retried, seeded, unseen."""

import asyncio
import threading
import time

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult, Generation, LLMResult
from langgraph.graph import END, START, MessagesState, StateGraph
from worlds import Corridor, walker_model

from langchain_linvit.accounting import Account
from langchain_linvit.calls import MAX_TEXT, AsyncIO, Caller, Retry, SyncIO, derive_seed, drive
from langchain_linvit.environments.base import Task, Transition
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.models.sampling import SamplingModel

PROMPT = [HumanMessage("What next?")]
NO_RETRY = Retry(attempts=1, delay=0)


def run(body, io="sync", **fields):
    """The result of `body(caller)`, over sync or async primitives."""
    if io == "sync":
        return drive(body(Caller(SyncIO(), **fields)))

    async def inside():
        return await body(Caller(AsyncIO(), **fields))

    return asyncio.run(inside())


def texts(completions):
    return [completion.text for completion in completions]


def complete(model, io="sync", n=1, path=("here",), options=None, **fields):
    sampling = SamplingModel.of(model)
    return run(lambda caller: caller.complete(sampling, PROMPT, path=path, n=n, **(options or {})), io, **fields)


class WithoutN(ScriptedChatModel):
    """A scripted model whose class has no `n`: samples need a request each."""

    n: int = 1
    latency: float = 0.0

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        assert "n" not in kwargs
        time.sleep(self.latency)
        return super()._generate(messages, stop, run_manager, **kwargs)


def without_n(replies, **fields):
    sampling = SamplingModel.of(WithoutN(replies=replies, **fields))
    return SamplingModel(sampling.model, takes_n=False)


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


# retries


@pytest.mark.parametrize("io", ["sync", "async"])
def test_a_passing_failure_is_tried_again_and_counted(io):
    account = Account()
    model = ScriptedChatModel(replies=[TimeoutError("slow"), "a"])
    assert texts(complete(model, io, account=account, retry=Retry(3, 0))) == ["a"]
    assert account.spent["llm_calls"] == 2
    assert (account.spent["requests"], account.spent["failed_requests"]) == (2, 1)


def test_after_the_last_attempt_the_failure_is_named_and_chained():
    model = ScriptedChatModel(replies=[ConnectionError("first"), ConnectionError("second")])
    with pytest.raises(ModelCallError, match=r"failed 2 time\(s\).*ConnectionError: second") as caught:
        complete(model, retry=Retry(2, 0))
    assert isinstance(caught.value.__cause__, ConnectionError)


class Refused(Exception):
    def __init__(self, status_code):
        self.status_code = status_code


@pytest.mark.parametrize(
    "failure", [Refused(400), Refused(401), Refused(404), TypeError("?"), InvalidSettingError("?")]
)
def test_what_no_retry_mends_is_asked_once(failure):
    model = ScriptedChatModel(replies=[failure, "a"])
    with pytest.raises(ModelCallError, match=r"failed 1 time\(s\)"):
        complete(model, retry=Retry(5, 0))


@pytest.mark.parametrize("failure", [Refused(429), Refused(500), OSError()])
def test_what_a_retry_may_mend_is_tried_again(failure):
    assert texts(complete(ScriptedChatModel(replies=[failure, "a"]), retry=Retry(2, 0))) == ["a"]


def test_an_answer_without_a_generation_is_a_failure():
    class NoGeneration(SyncIO):
        async def generate(self, model, prompts, seconds, **kwargs):
            return LLMResult(generations=[[]])

    sampling = SamplingModel.of(ScriptedChatModel(replies=[]))
    caller = Caller(NoGeneration(), retry=Retry(2, 0))
    with pytest.raises(ModelCallError, match="no generation"):
        drive(caller.complete(sampling, PROMPT, path=[]))
    assert caller.account.spent["failed_requests"] == 2


def test_delays_double_and_end_with_the_time():
    class Clock(SyncIO):
        def __init__(self):
            super().__init__()
            self.waited = []

        async def sleep(self, seconds):
            self.waited.append(seconds)

    def failing():
        return SamplingModel.of(ScriptedChatModel(replies=[OSError()] * 4))

    free, hurried = Clock(), Clock()
    with pytest.raises(ModelCallError):
        drive(Caller(free, retry=Retry(4, 0.5)).complete(failing(), PROMPT, path=[]))
    assert free.waited == [0.5, 1.0, 2.0]
    soon = Account(deadline=time.monotonic() + 30)
    with pytest.raises(ModelCallError):
        drive(Caller(hurried, soon, retry=Retry(4, 100)).complete(failing(), PROMPT, path=[]))
    assert max(hurried.waited) <= 30


def test_retries_stop_with_the_budget():
    account = Account(completions=2)
    model = ScriptedChatModel(replies=[OSError()] * 9)
    with pytest.raises(BudgetExhaustedError):
        complete(model, account=account, retry=Retry(9, 0))
    assert len(model.requests) == 2
    assert account.completions == 0


# time


class Slow(ScriptedChatModel):
    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(0.4)
        return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(30)
        return self._generate(messages, stop, **kwargs)


@pytest.mark.parametrize("io", ["sync", "async"])
def test_a_call_is_given_up_at_the_deadline(io):
    account = Account(deadline=time.monotonic() + 0.05)
    with pytest.raises(BudgetExhaustedError, match="seconds"):
        complete(Slow(replies=["late"]), io, account=account)
    assert account.spent["failed_requests"] == 1


async def test_waiting_for_a_free_place_counts_as_time():
    begun = []

    class Endless(ScriptedChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            begun.append(True)
            await asyncio.sleep(60)

    caller = Caller(AsyncIO(max_concurrency=1), Account(deadline=time.monotonic() + 0.1), retry=NO_RETRY)
    sampling = SamplingModel.of(Endless(replies=[]))

    async def call(part):
        with pytest.raises(BudgetExhaustedError):
            await part.complete(sampling, PROMPT, path=["x"])

    await caller.gather([call] * 20)
    assert len(begun) < 10  # all 20, one after the other, if the wait were free


def test_waiting_for_a_free_place_counts_as_time_in_threads():
    io = SyncIO(max_concurrency=1)
    io._limit.acquire()
    with pytest.raises(TimeoutError):
        drive(io.generate(ScriptedChatModel(replies=["a"]), [PROMPT], 0.05))
    io._limit.release()
    result = drive(io.generate(ScriptedChatModel(replies=["a"]), [PROMPT], 5.0))
    assert result.generations[0][0].text == "a"
    assert io._limit.acquire(blocking=False)


@pytest.mark.parametrize("io", ["sync", "async"])
def test_no_more_calls_than_allowed_are_under_way(io):
    under_way, most, lock = 0, 0, threading.Lock()

    class Counting(WithoutN):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with lock:
                under_way -= 1
            return super()._generate(messages, stop, run_manager, **kwargs)

        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)

    sampling = SamplingModel(Counting(replies=["a"] * 8))

    async def inside():
        return await Caller(AsyncIO(2)).complete(sampling, PROMPT, path=[], n=8)

    if io == "sync":
        drive(Caller(SyncIO(2)).complete(sampling, PROMPT, path=[], n=8))
    else:
        asyncio.run(inside())
    assert most == 2


# gather, step, fork


@pytest.mark.parametrize("io", ["sync", "async"])
def test_gather_gives_equal_shares_and_brings_them_back_in_order(io):
    account = Account(completions=5)

    async def part(caller, index):
        granted = caller.account.grant_completions(9)
        caller.account.count({"llm_calls": granted - 1})
        return index, granted

    bodies = [lambda caller, index=index: part(caller, index) for index in range(3)]
    assert run(lambda caller: caller.gather(bodies), io, account=account) == [(0, 2), (1, 2), (2, 1)]
    assert account.spent == {"llm_calls": 2}
    assert account.completions == 3


@pytest.mark.parametrize("io", ["sync", "async"])
def test_gather_waits_for_all_before_it_raises(io):
    account, ended = Account(), []

    async def fails(caller):
        raise KeyError("first")

    async def goes_on(caller):
        await caller.io.sleep(0.05)
        caller.account.count({"llm_calls": 1})
        ended.append(True)

    with pytest.raises(KeyError):
        run(lambda caller: caller.gather([fails, goes_on]), io, account=account)
    assert ended == [True]
    assert account.spent == {"llm_calls": 1}


@pytest.mark.parametrize("io", ["sync", "async"])
def test_gather_gives_back_an_exception_that_a_body_returns(io):
    async def fails_softly(caller):
        return ValueError("as data")

    async def works(caller):
        return 1

    first, second = run(lambda caller: caller.gather([fails_softly, works]), io)
    assert (str(first), second) == ("as data", 1)


@pytest.mark.parametrize("io", ["sync", "async"])
def test_gather_of_nothing(io):
    assert run(lambda caller: caller.gather([]), io) == []


def corridor(**attributes):
    environment = type("Made", (Corridor,), attributes)()
    environment.reset(Task.from_text("reach 3"))
    return environment


def test_steps_and_forks_are_counted():
    account, environment = Account(env_steps=2), corridor()

    async def body(caller):
        fork = await caller.fork(environment)
        await caller.step(fork, "go right")
        await caller.step(environment, "go right", real=True)
        with pytest.raises(BudgetExhaustedError):
            await caller.step(fork, "go right")
        return await caller.step(environment, "wait", real=True)  # never refused

    assert run(body, account=account).observation == "you are in cell 1"
    assert account.spent == {"forks": 1, "env_steps_simulated": 1, "env_steps_real": 2}


@pytest.mark.parametrize(("concurrency", "same"), [("inline", True), ("thread", False)])
async def test_environments_that_block_are_driven_off_the_loop(concurrency, same):
    environment = corridor(concurrency=concurrency, step=lambda self, action: Transition(str(threading.get_ident())))
    ran_in = await Caller(AsyncIO()).step(environment, "wait")
    assert (ran_in.observation == str(threading.get_ident())) == same


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
