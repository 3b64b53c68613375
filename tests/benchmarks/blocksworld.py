"""What BlocksWorld costs a search: its engine, its rule value and its policy, per call, beside a bare dict copy."""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat
from typing import Any

from langchain_linvit.environments import BlocksWorldEnvironment
from langchain_linvit.environments.blocksworld import blocks_in_place, generate_problems, text
from langchain_linvit.environments.blocksworld.state import legal_moves
from langchain_linvit.environments.blocksworld.values import share_in_place
from langchain_linvit.models.blocksworld import POLICIES
from langchain_linvit.models.blocksworld.preferences import move_weights
from langchain_linvit.prompts import DEFAULT_TEMPLATES, history_text

_CALLS = 2_000


def run() -> list[dict[str, Any]]:
    """Microseconds per call on a problem of 6 blocks; "new" means that nothing was remembered."""
    env = BlocksWorldEnvironment()
    env.reset(generate_problems(blocks=6, steps=8, count=1, seed=0)[0])
    actions = env.admissible_actions()
    state, goal = env.state_text(), env.goal
    snapshot = env.snapshot()
    prompt = DEFAULT_TEMPLATES.action.format_messages(
        description=env.description, goal=goal, history=history_text([]), state=state
    )
    calls: list[tuple[str, Callable[[], Any], str]] = [
        ("copy of a dict of 20", {i: i for i in range(20)}.copy, "the yardstick"),
        ("fork", env.fork, ""),
        ("fork and step", lambda: env.fork().step(actions[0]), ""),
        ("admissible_actions", env.admissible_actions, f"{len(actions)} actions"),
        ("parse_action", lambda: env.parse_action(f"Action: {actions[0]}"), ""),
        ("state_text", env.state_text, "remembered"),
        ("state_key", env.state_key, ""),
        ("snapshot", env.snapshot, ""),
        ("restore", lambda: env.restore(snapshot), ""),
        ("legal_moves", lambda: legal_moves(env._state), ""),
        ("blocks_in_place", lambda: blocks_in_place(state, goal), "remembered"),
        ("blocks_in_place, new", _new_value(state, goal), ""),
        ("novice's answer", lambda: POLICIES["novice"](prompt, []), "remembered moves"),
        ("novice's answer, new", _new_answer(prompt), ""),
    ]
    return [
        {
            "benchmark": "blocksworld",
            "measure": name,
            "value": round(_microseconds(call), 2),
            "unit": "us",
            "note": note,
        }
        for name, call, note in calls
    ]


def _new_value(state: str, goal: str) -> Callable[[], float]:
    def call() -> float:
        for remembered in (text._parse_state, text._parse_facts, share_in_place):
            remembered.cache_clear()
        return blocks_in_place(state, goal)

    return call


def _new_answer(prompt: list[Any]) -> Callable[[], Any]:
    def call() -> Any:
        move_weights.cache_clear()
        return POLICIES["novice"](prompt, [])

    return call


def _microseconds(call: Callable[[], Any]) -> float:
    return min(repeat(call, number=_CALLS, repeat=5)) / _CALLS * 1e6
