"""What providers' failures and incomplete answers say, and what the library makes of them."""

import asyncio
import math

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from worlds import Corridor, closeness, walker

from langchain_linvit.calls import AsyncIO, Caller, Retry
from langchain_linvit.environments.base import ParsedAction
from langchain_linvit.errors import InvalidSettingError, ModelCallError
from langchain_linvit.faults import LONGEST_WAIT, answer_fault, is_transient, retry_after
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.planner import create_slinvit_planner


def answer(content="Action: go right", refusal=None, **metadata):
    extra = {"refusal": refusal} if refusal else {}
    return AIMessage(content=content, additional_kwargs=extra, response_metadata=metadata)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (answer("", refusal="I can't\nhelp."), 'the model refused: "I can\'t help."'),
        (answer([{"type": "refusal", "refusal": "No."}], status="completed"), "the model refused: 'No.'"),
        (answer(stop_reason="refusal"), "the model refused"),
        (answer(finish_reason="content_filter"), "content filter cut the answer (content_filter)"),
        (answer(finish_reason="SAFETY"), "content filter cut the answer (safety)"),
        (answer(status="incomplete", incomplete_details={"reason": "content_filter"}), "content filter"),
        (answer(finish_reason="length"), "cut at its longest (length); raise the model's max_tokens"),
        (answer(stop_reason="max_tokens"), "cut at its longest"),
        (answer(stopReason="max_tokens"), "cut at its longest"),
        (answer(done_reason="length"), "cut at its longest"),
        (answer(incomplete_details={"reason": "max_output_tokens"}), "cut at its longest"),
    ],
)
def test_incomplete_answers_are_told_apart(message, words):
    assert words in answer_fault(message)


@pytest.mark.parametrize(
    "metadata",
    [
        *({}, {"finish_reason": "stop"}, {"finish_reason": "tool_calls"}, {"stop_reason": "end_turn"}),
        *({"finish_reason": None}, {"status": "completed", "incomplete_details": None}, {"done_reason": "stop"}),
    ],
)
def test_whole_answers_have_no_fault(metadata):
    assert answer_fault(answer(**metadata)) is None
    assert answer_fault(answer([{"type": "text", "text": "Action: wait"}], **metadata)) is None


class Limited(Exception):
    """As OpenAI's and Anthropic's errors: a status code, and the response."""

    status_code = 429

    def __init__(self, wait):
        self.response = type("Response", (), {"headers": {"retry-after": wait}})()


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("1e9", LONGEST_WAIT), ("-3", 0.0), ("soon", 0.0), ("nan", 0.0), (None, 0.0)],
)
def test_the_wait_that_a_provider_asks_for(wait, seconds):
    assert retry_after(Limited(wait)) == seconds
    assert retry_after(ValueError()) == 0.0


@pytest.mark.parametrize(("delay", "slept"), [(0.0, [3.0]), (0.5, [3.0]), (4.0, [4.0])])
def test_a_retry_waits_at_least_that_long(delay, slept):
    class Waiting(AsyncIO):
        async def sleep(self, seconds):
            waits.append(seconds)

    waits = []
    model = SamplingModel.of(ScriptedChatModel(replies=[Limited("3"), "hello"]))
    caller = Caller(Waiting(), retry=Retry(attempts=2, delay=delay))
    [completion] = asyncio.run(caller.complete(model, [HumanMessage("hi")], path=[]))
    assert completion.text == "hello"
    assert waits == slept


def test_what_another_try_cannot_change():
    failures = [InvalidSettingError("x"), TypeError(), *(type("E", (Exception,), {"status_code": 401})(),)]
    assert not any(map(is_transient, failures))
    assert all(map(is_transient, [Limited("1"), ConnectionError(), ModelCallError.__mro__[2]("x")]))


def test_a_cut_answer_is_never_acted_on():
    """`go right` is cut from `go right now`: the model meant something else."""

    replies = {"Action: go right now": 1.0}
    model = PolicyChatModel(policy=lambda messages, tools: replies, max_tokens=4)  # Action | : | go | right
    caller = Caller(AsyncIO())
    [completion] = asyncio.run(caller.complete(SamplingModel.of(model), [HumanMessage("hi")], path=[]))
    assert completion.parsed(lambda text: ParsedAction(text)) == ParsedAction(None, completion.fault)
    planner = create_slinvit_planner(model, Corridor(), value=closeness, horizon=2, retry_delay=0.0)
    result = planner.invoke({"task": "reach 2"})["result"]
    assert (result.outcome, result.plan) == ("horizon", [])
    assert {node.error for node in result.tree} - {None} == {completion.fault}
    assert any("no usable proposal at step 0: the answer was cut" in note for note in result.notes)


def test_a_label_needs_one_token_only():
    """Scoring all actions reads the first token's alternatives: that the answer ends there is no fault."""
    planner = create_slinvit_planner(
        PolicyChatModel(policy=walker, max_tokens=1), Corridor(), value=closeness, candidates=None
    )
    result = planner.invoke({"task": "reach 2"})["result"]
    assert result.solved
    assert set(result.prior) == {"exact"}
    assert all(math.isfinite(step.log_prob) for step in result.trajectory)
