"""What an instant call of PolicyChatModel costs, beside LangChain's own fake model in the same run."""

import time
from collections.abc import Callable
from typing import Any

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_linvit.models import PolicyChatModel

SENTENCE = "The block b1 is on the table. "
PROMPT = [SystemMessage(SENTENCE * 40), HumanMessage(SENTENCE * 40)]
"""About 640 tokens, half of them the description that every prompt of a run has."""
REPLIES = {f"Action: move b{i} onto b{j}": 1.0 for i in range(5) for j in range(4)}
CALLS, REPEATS = 100, 15


def run() -> list[dict[str, Any]]:
    """Rows of `python -m tests.benchmarks`."""
    fake = FakeListChatModel(responses=["Action: move b1 onto b2"])
    model = PolicyChatModel(policy=lambda messages, tools: REPLIES, temperature=0.7)
    cases: dict[str, Callable[[], object]] = {
        "fake": lambda: fake.invoke(PROMPT),
        "one sample": lambda: model.invoke(PROMPT),
        "8 samples": lambda: model.invoke(PROMPT, n=8),
        "logprobs": lambda: model.invoke(PROMPT, logprobs=True, top_logprobs=20),
    }
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(REPEATS):  # side by side, so that a load on the machine hits all alike
        for name, case in cases.items():
            best[name] = min(best[name], _seconds(case))
    rows = []
    for name in list(cases)[1:]:
        note = f"fake model {best['fake'] * 1e6:.0f} us, ours {best[name] * 1e6:.0f} us a call; 20 replies"
        rows += [
            _row(f"{name}: times the fake model's call", best[name] / best["fake"], "x", note),
            _row(f"{name}: beyond the fake model's call", (best[name] - best["fake"]) * 1e6, "us", note),
        ]
    return rows


def _row(measure: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"benchmark": "PolicyChatModel.invoke", "measure": measure, "value": value, "unit": unit, "note": note}


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS
