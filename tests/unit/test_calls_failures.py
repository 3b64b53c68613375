"""Calls that fail, that are tried again, or that are given up when their time is over."""

import asyncio
import threading
import time

import pytest
from calling import NO_RETRY, PROMPT, WithoutN, complete, texts
from langchain_core.outputs import LLMResult

from langchain_linvit.accounting import Account
from langchain_linvit.calls import AsyncIO, Caller, Retry, SyncIO, drive
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.models import ScriptedChatModel
from langchain_linvit.models.sampling import SamplingModel

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
