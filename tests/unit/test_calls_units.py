"""Work that is done at once and shares a budget, and calls of environments."""

import threading

import pytest
from calling import run
from worlds import Corridor

from langchain_linvit.accounting import Account
from langchain_linvit.calls import AsyncIO, Caller
from langchain_linvit.environments.base import Task, Transition
from langchain_linvit.errors import BudgetExhaustedError

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
