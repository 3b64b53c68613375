"""ReAct: thoughts are asked for, kept in the history, and cost nothing but their tokens."""

from worlds import Corridor

from langchain_linvit.environments.base import Task
from langchain_linvit.evaluation import Greedy, ReAct
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.prompts import last_block

THOUGHT = "the goal is to the right"


def thinker(prompts):
    """Walks to the right with a thought, where one is asked for."""

    def policy(messages, tools):
        prompts.append(messages)
        thought = f"Thought: {THOUGHT}\n" if "Thought:" in messages[-1].text else ""
        return {f"{thought}Action: go right": 1.0}

    return PolicyChatModel(policy=policy)


def test_thoughts_are_asked_for_and_remembered():
    prompts = []
    result = ReAct(Corridor()).solve(Task.from_text("reach 3"), model=thinker(prompts))
    assert result.solved
    assert result.method == "react"
    assert result.plan == ["go right"] * 3
    assert result.usage.llm_calls == 3
    assert THOUGHT not in (last_block(prompts[0], "history") or "")
    assert (last_block(prompts[2], "history") or "").count(f"go right (thought: {THOUGHT})") == 2


def test_greedy_is_not_asked_for_thoughts():
    prompts = []
    assert Greedy(Corridor()).solve(Task.from_text("reach 2"), model=thinker(prompts)).solved
    assert all(THOUGHT not in (last_block(prompt, "history") or "") for prompt in prompts)


def test_an_answer_without_an_action_costs_a_step():
    model = PolicyChatModel(policy=lambda messages, tools: {"Thought: hm\nI wonder": 1.0})
    result = ReAct(Corridor(), horizon=2).solve(Task.from_text("reach 3"), model=model)
    assert (result.outcome, len(result.trajectory), result.plan) == ("horizon", 2, [])
