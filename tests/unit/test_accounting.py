"""Budgets, usage and accounts: shares, refusals, and what comes back from parts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from langchain_linvit.accounting import Account, Budget, Usage, add_counts, divide
from langchain_linvit.errors import BudgetExhaustedError


@pytest.mark.parametrize(
    ("total", "shares", "parts"), [(7, 3, [3, 2, 2]), (2, 4, [1, 1, 0, 0]), (-5, 2, [0, 0]), (None, 2, [None, None])]
)
def test_divide_gives_whole_parts_the_first_ones_larger(total, shares, parts):
    assert divide(total, shares) == parts


@given(total=st.integers(0, 10_000), shares=st.integers(1, 50))
def test_the_parts_make_up_the_whole(total, shares):
    parts = divide(total, shares)
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)


def test_a_budget_refuses_what_makes_no_sense():
    for wrong in ({"completions": -1}, {"seconds": -0.1}, {"calls": 3}):
        with pytest.raises(ValidationError):
            Budget(**wrong)


def test_usage_adds_every_counter():
    first = Usage(llm_calls=3, requests=2, prompt_tokens=5, completion_tokens=7, env_steps_real=1, seconds=0.5)
    second = Usage(llm_calls=1, failed_requests=1, env_steps_simulated=4, forks=2, value_cache_hits=1, seconds=0.25)
    total = first + second
    assert total.model_dump() == add_counts(first.model_dump(), second.model_dump())
    assert (total.llm_calls, total.requests, total.failed_requests, total.forks) == (4, 2, 1, 2)
    assert (total.tokens, total.env_steps, total.seconds) == (12, 5, 0.75)


def test_add_counts_keeps_its_arguments_and_knows_new_keys():
    left = {"a": 1}
    assert add_counts(left, {"a": 2, "b": 3}) == {"a": 3, "b": 3}
    assert left == {"a": 1}


def test_counting_takes_from_what_is_left():
    account = Account(completions=5, tokens=100, env_steps=4)
    account.count({"llm_calls": 2, "prompt_tokens": 30, "completion_tokens": 10})
    account.count({"env_steps_simulated": 1, "env_steps_real": 2})
    assert (account.completions, account.tokens, account.env_steps) == (3, 60, 1)
    assert account.spent["llm_calls"] == 2
    assert account.spent["env_steps_real"] == 2


def test_an_account_without_bounds_grants_everything():
    account = Account()
    account.count({"llm_calls": 10**6, "prompt_tokens": 10**9, "env_steps_simulated": 10**6})
    assert account.grant_completions(64) == 64
    account.grant_step()
    assert account.seconds_left() is None
    assert account.refused is None


def test_fewer_completions_are_granted_where_fewer_are_left_and_that_is_noted():
    account = Account(completions=2)
    assert account.grant_completions(2) == 2
    assert account.refused is None
    assert account.grant_completions(3) == 2
    assert account.refused == "completions"


@pytest.mark.parametrize(
    ("account", "what"),
    [
        (Account(completions=0), "completions"),
        (Account(tokens=0), "tokens"),
        (Account(tokens=-3, completions=0), "tokens"),
        (Account(deadline=0.0), "seconds"),
    ],
)
def test_a_spent_budget_refuses_a_call_and_says_which(account, what):
    with pytest.raises(BudgetExhaustedError, match=rf"budget of {what} has run out; raise Budget\({what}="):
        account.grant_completions(1)
    assert account.refused == what


@pytest.mark.parametrize(("account", "what"), [(Account(env_steps=0), "env_steps"), (Account(deadline=0.0), "seconds")])
def test_a_spent_budget_refuses_a_step(account, what):
    with pytest.raises(BudgetExhaustedError, match=what):
        account.grant_step()
    assert account.refused == what


def test_the_first_refusal_is_the_one_that_is_kept():
    account = Account(completions=0, env_steps=0)
    for grant in (account.grant_step, lambda: account.grant_completions(1)):
        with pytest.raises(BudgetExhaustedError):
            grant()
    assert account.refused == "env_steps"


def test_seconds_left_never_fall_below_zero():
    assert Account(deadline=time.monotonic() - 5).seconds_left() == 0
    assert 50 < Account(deadline=time.monotonic() + 60).seconds_left() <= 60


def test_parts_share_the_deadline_and_begin_unspent():
    whole = Account(completions=5, tokens=None, env_steps=3, deadline=time.monotonic() + 60, spent={"llm_calls": 9})
    parts = whole.split(2)
    assert [part.completions for part in parts] == [3, 2]
    assert [part.env_steps for part in parts] == [2, 1]
    assert [part.tokens for part in parts] == [None, None]
    assert {part.deadline for part in parts} == {whole.deadline}
    assert [part.spent for part in parts] == [{}, {}]


def test_merging_brings_back_what_was_spent_and_refused():
    whole = Account(completions=4)
    first, second = whole.split(2)
    first.count({"llm_calls": 1})
    second.count({"llm_calls": 2})
    with pytest.raises(BudgetExhaustedError):
        second.grant_completions(1)
    whole.merge([first, second])
    assert whole.completions == 1
    assert whole.spent == {"llm_calls": 3}
    assert whole.refused == "completions"


@given(
    completions=st.integers(0, 40),
    steps=st.integers(0, 40),
    wanted=st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=1, max_size=6),
)
def test_parts_never_spend_more_than_the_whole(completions, steps, wanted):
    """Whatever parts ask for, in completions and in steps: together they stay within the whole."""
    whole = Account(completions=completions, env_steps=steps)
    parts = whole.split(len(wanted))
    refused = False
    for part, requests in zip(parts, wanted, strict=True):
        for request in requests:
            try:
                part.count({"llm_calls": part.grant_completions(request)})
                part.grant_step()
                part.count({"env_steps_simulated": 1})
            except BudgetExhaustedError:
                refused = True
    whole.merge(parts)
    assert 0 <= whole.completions <= completions
    assert 0 <= whole.env_steps <= steps
    assert whole.completions == completions - whole.spent.get("llm_calls", 0)
    assert not refused or whole.refused


@given(budget=st.integers(0, 200), depth=st.integers(1, 4), shares=st.integers(1, 4))
def test_shares_of_shares_never_spend_more_than_the_whole(budget, depth, shares):
    def spend(account, level):
        if level == 0:
            while account.completions > 0:
                account.count({"llm_calls": account.grant_completions(3)})
            return
        parts = account.split(shares)
        for part in parts:
            spend(part, level - 1)
        account.merge(parts)

    whole = Account(completions=budget)
    spend(whole, depth)
    assert whole.spent.get("llm_calls", 0) == budget
    assert whole.completions == 0
